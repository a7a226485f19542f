"""What the JSON interface answers: the records of ``model.views`` as typed models for OpenAPI.

Amounts are decimal strings, exact to the last digit (``"6.420"``): a bill may depend on them and JSON numbers are
doubles in most readers. Instants are ISO 8601 in UTC; quality is a list of flag names, empty for a plain measurement.
"""

from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from meterspan.model.readings import EventSeverity
from meterspan.model.views import MeterState, OrderState
from meterspan.quantities import Commodity, Quality

__all__ = [
    "CellPayload",
    "CompletenessPayload",
    "HomePayload",
    "LivePayload",
    "MeterPayload",
    "OrderPayload",
    "OrderRequest",
    "OrderValuePayload",
    "PeriodPayload",
    "QuarantinePayload",
    "StoryPayload",
    "SummaryPayload",
]


def _flag_names(value: Any) -> Any:
    return [flag.name.lower() for flag in value if flag.name] if isinstance(value, Quality) else value


def _mapping(value: Any) -> Any:
    return dict(value) if isinstance(value, Iterable) else value


def _severity_name(value: Any) -> Any:
    return value.name.lower() if isinstance(value, EventSeverity) else value


Amount = Annotated[
    Decimal,
    PlainSerializer(lambda amount: format(amount, "f"), return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": r"^-?\d+(\.\d+)?$", "examples": ["6.420"]}),
]
QualityNames = Annotated[list[str], BeforeValidator(_flag_names)]


class _Payload(BaseModel):
    model_config = ConfigDict(from_attributes=True, frozen=True)

    @classmethod
    def of(cls, view: object) -> Self:
        """Take the fields of a view record."""
        return cls.model_validate(view)


class UsagePointPayload(_Payload):
    """One supply of a home."""

    usage_point: str
    commodity: Commodity
    meter: str
    unit: str


class HomePayload(_Payload):
    """One consumer's premises."""

    home_id: str
    name: str
    zone: str
    currency: str
    usage_points: list[UsagePointPayload]


class BandWindowPayload(_Payload):
    """One stretch of a local day under one tariff band."""

    start: datetime
    end: datetime
    band: str
    price: Amount


class TariffPayload(_Payload):
    """The tariff of one commodity on one local day."""

    name: str
    currency: str
    unit: str
    standing_charge_per_day: Amount
    windows: list[BandWindowPayload]


class TodayPayload(_Payload):
    """One commodity since local midnight."""

    commodity: Commodity
    consumed: Amount
    unit: str
    cost: Amount
    yesterday_same_time: Amount | None
    last_reading: datetime | None


class LivePayload(_Payload):
    """What a display shows now; ``power_w`` is import minus export."""

    home_id: str
    at: datetime
    power_w: int | None
    power_at: datetime | None
    band: str
    price: Amount | None
    band_until: datetime | None
    today: list[TodayPayload]
    cost_today: Amount
    currency: str


class IntervalPayload(_Payload):
    """One interval; ``value`` is null where nothing is known."""

    start: datetime
    end: datetime
    value: Amount | None
    band: str
    cost: Amount | None
    quality: QualityNames
    version: int


class PeriodPointPayload(_Payload):
    """One local day of a month."""

    start: date
    value: Amount | None
    cost: Amount | None
    by_band: Annotated[dict[str, Amount], BeforeValidator(_mapping)]
    complete: bool
    expected: int
    received: int


class PeriodPayload(_Payload):
    """A day (``intervals``) or a month (``points``) of one commodity with its registers and totals.

    The sum of the intervals plus ``unexplained`` is ``closing`` minus ``opening``.
    """

    commodity: Commodity
    unit: str
    currency: str
    start: datetime
    end: datetime
    total: Amount
    cost: Amount
    unexplained: Amount
    opening: Amount | None
    closing: Amount | None
    intervals: list[IntervalPayload]
    points: list[PeriodPointPayload]
    tariff: TariffPayload | None
    notes: list[str]


class MeterPayload(_Payload):
    """One meter as the operator sees it."""

    device: str
    commodity: Commodity
    protocol: str
    interface: str
    network: str
    usage_point: str
    state: MeterState
    reason: str
    last_heard: datetime | None
    expected: int
    received: int
    missing: int


class CellPayload(_Payload):
    """What was expected and received of one meter on one day."""

    day: date
    expected: int
    received: int
    missing: int


class CompletenessPayload(_Payload):
    """One row of the completeness map."""

    device: str
    commodity: Commodity
    network: str
    cells: list[CellPayload]


class SpanPayload(_Payload):
    """One explained octet range of a frame."""

    offset: int
    octets: str
    field: str
    meaning: str


class FramePayload(_Payload):
    """One recent frame of a meter."""

    at: datetime
    direction: str
    protocol: str
    octets: str
    summary: str
    spans: list[SpanPayload]


class StoryEntryPayload(_Payload):
    """One line of a meter's story."""

    at: datetime
    kind: str
    title: str
    detail: str
    severity: Annotated[str, BeforeValidator(_severity_name)]


class StoryPayload(_Payload):
    """All about one meter."""

    status: MeterPayload
    entries: list[StoryEntryPayload]
    frames: list[FramePayload]
    cells: list[CellPayload]


class QuarantinePayload(_Payload):
    """One frame kept aside, with the reason."""

    at: datetime
    source: str
    kind: str
    reason: str
    octets: str
    device: str


class OrderRequest(BaseModel):
    """How long an on-demand read may take."""

    deadline_s: Annotated[float, Field(ge=5, le=600, description="Seconds until it counts as timed out.")] = 60.0


class OrderValuePayload(_Payload):
    """One register of an answered order."""

    obis: str
    value: Amount
    unit: str


class OrderPayload(_Payload):
    """An on-demand read: waiting, answered or timed out, never silent."""

    order_id: int
    device: str
    state: OrderState
    asked_at: datetime
    deadline: datetime
    values: list[OrderValuePayload]


class SummaryPayload(_Payload):
    """The operator's headline numbers."""

    at: datetime
    meters: int
    by_state: Annotated[dict[MeterState, int], BeforeValidator(_mapping)]
    by_commodity: Annotated[dict[Commodity, int], BeforeValidator(_mapping)]
    expected_today: int
    received_today: int
    completeness_yesterday: Amount
    unexplained_wh: int
    quarantined: int
    readings_stored: int
    sessions_open: int
