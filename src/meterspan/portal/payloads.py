"""The answers of the JSON interface: models for OpenAPI and JSON, derived from the records of ``model.views``.

Strategy: a field of a view is a field of its payload, in the same order and under the same name; what JSON lacks is
written by type. Amounts are decimal strings, exact to the last digit (``"6.420"``), as a bill may depend on them and
JSON numbers are doubles in most readers. Instants are ISO 8601 in UTC; quality is a list of flag names, empty for a
plain measurement; pairs are an object. A property of a view is a field too. A reason is a sentence in the language of
the reader, English where none is asked for.
"""

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from functools import cache
from inspect import cleandoc, getmembers
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin, get_type_hints

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic import create_model as create

from meterspan.model.readings import EventSeverity
from meterspan.model.remedies import ENGLISH, Phrase, Reason, tell
from meterspan.quantities import Quality

__all__ = [
    "ANSWER_OCTETS_MAX",
    "AdditionRequest",
    "ChangeRequest",
    "ExchangeRequest",
    "MoveRequest",
    "OrderRequest",
    "RemovalRequest",
    "RequestPayload",
    "ViewPayload",
    "json_list",
    "json_of",
    "list_of",
    "payload_of",
]

ANSWER_OCTETS_MAX: Final = 256 * 1024
"""Octets of one answer of a list: a second on a slow line, whatever the names in it."""


class RequestPayload(BaseModel):
    """What every body of a request is: a field that it does not know is refused, never left out."""

    model_config = ConfigDict(extra="forbid")


class OrderRequest(RequestPayload):
    """How long an on-demand read may take, and who orders it; every field may be left out, and the body too."""

    deadline_s: Annotated[float, Field(ge=5, le=600, description="Seconds until it counts as timed out.")] = 60.0
    by: Annotated[str, Field(max_length=80, description="Who orders it, for the meter's story.")] = ""


Registers = Annotated[
    list[str],
    Field(max_length=64, description="Registers as OBIS code, value and unit.", examples=[["1-0:1.8.0 6504.555 kWh"]]),
]
Fields = Annotated[
    dict[str, Any],
    Field(description="Fields of a meter, as under [[meters]] of the configuration (meterspan serve --print-config)."),
]


class ChangeRequest(RequestPayload):
    """When a change holds from, and who orders it."""

    at: Annotated[AwareDatetime | None, Field(description="When, with offset; now where it is left out.")] = None
    by: Annotated[str, Field(max_length=80, description="Who orders it, for the list of changes.")] = ""


class AdditionRequest(ChangeRequest):
    """A new meter; its keys are in the key file of the head end."""

    entry: Fields
    opening: Registers = []


class ExchangeRequest(ChangeRequest):
    """A meter that takes the place of another; its keys are in the key file of the head end."""

    entry: Annotated[Fields, Field(description="Its device, and the fields in which it differs from the old meter.")]
    closing: Annotated[Registers, Field(description="Last registers of the old meter.")] = []
    opening: Annotated[Registers, Field(description="First registers of the new meter.")] = []


class MoveRequest(ChangeRequest):
    """A meter that measures elsewhere from now on."""

    home: Annotated[str, Field(min_length=1, max_length=200, description="The home where it measures then.")]
    usage_point: Annotated[str, Field(max_length=200, description="There; by default the home's own.")] = ""
    closing: Annotated[Registers, Field(description="Its registers at that time.")] = []


class RemovalRequest(ChangeRequest):
    """A meter that is taken away; its readings stay."""

    closing: Annotated[Registers, Field(description="Its last registers.")] = []


class ViewPayload(BaseModel):
    """What every payload is: the fields of a view, read once, never changed."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


@cache
def payload_of(view: type) -> type[ViewPayload]:
    """Return the model of a view's JSON: ``HomePayload`` of ``Home``, ``OrderPayload`` of ``OrderView``.

    Raises:
        TypeError: a field has a type for which no JSON is defined.

    """
    hints = get_type_hints(view)
    members: dict[str, Any] = {field.name: (_json_type(hints[field.name]), ...) for field in fields(view)}
    members |= {name: (_json_type(get_type_hints(known.fget)["return"]), ...) for name, known in _properties(view)}
    return create(_schema_name(view), __base__=ViewPayload, __doc__=cleandoc(view.__doc__ or ""), **members)


def json_of(view: Any, *, exclude: frozenset[str] = frozenset(), texts: Mapping[str, str] = ENGLISH) -> bytes:
    """Return the JSON of one view record, without the fields in ``exclude``, its reasons in the words of ``texts``."""
    record: type = type(view)
    return payload_of(record).model_validate(view, context=texts).model_dump_json(exclude=set(exclude)).encode()


def json_list(
    view: type, records: Iterable[object], texts: Mapping[str, str] = ENGLISH, *, octets_max: int = ANSWER_OCTETS_MAX
) -> tuple[bytes, int]:
    """Return the JSON array of the first records of one view type, and how many they are: at least one of any.

    Args:
        view: the type of the records.
        records: the records.
        texts: the words of their reasons.
        octets_max: the array ends before the record that would make it longer.

    """
    payload, context = payload_of(view), texts
    parts: list[bytes] = []
    size = 2
    for record in records:
        part = payload.model_validate(record, context=context).model_dump_json().encode()
        size += len(part) + 1
        if parts and size > octets_max:
            break
        parts.append(part)
    return b"[" + b",".join(parts) + b"]", len(parts)


def list_of(view: type) -> Any:
    """Return the type of a JSON array of ``payload_of(view)``, for OpenAPI."""
    return list[payload_of(view)]  # type: ignore[misc] # a model made at run time


_NAMES: Final = {
    "CompletenessCell": "Cell",
    "IntervalPoint": "Interval",
    "MeterStatus": "Meter",
    "MeterStory": "Story",
    "NetworkSummary": "Summary",
}
"""Schemas that are published under a name other than their view's; clients are generated from these names."""


def _schema_name(view: type) -> str:
    name = view.__name__
    return f"{_NAMES.get(name, name.removesuffix('View'))}Payload"


def _properties(view: type) -> list[tuple[str, Any]]:
    return getmembers(view, lambda member: isinstance(member, property))


def _json_type(hint: Any) -> Any:
    """Return the type of a payload's field for the type of a view's field."""
    if hint in _BY_TYPE:
        return _BY_TYPE[hint]
    if get_origin(hint) in {Union, UnionType}:
        return Union[tuple(_json_type(part) for part in get_args(hint))]  # noqa: UP007 - made at run time
    if get_origin(hint) is tuple:
        return _json_of_tuple(hint)
    if isinstance(hint, type):
        return payload_of(hint) if is_dataclass(hint) else hint
    raise TypeError(f"no JSON is defined for {hint}")


def _json_of_tuple(hint: Any) -> Any:
    """Return the type of a tuple of any length: an object where its items are pairs, else a list."""
    item, *rest = get_args(hint)
    if rest != [Ellipsis]:
        raise TypeError(f"no JSON is defined for {hint}: its length is fixed")
    if get_origin(item) is tuple:
        key, value = get_args(item)
        pairs = dict[key, _json_type(value)]  # type: ignore[misc,valid-type] # made at run time
        return Annotated[pairs, BeforeValidator(_mapping)]
    return list[_json_type(item)]  # type: ignore[misc] # made at run time


def _mapping(value: Any) -> Any:
    return dict(value) if isinstance(value, Iterable) else value


def _flag_names(value: Any) -> Any:
    return [flag.name.lower() for flag in value if flag.name] if isinstance(value, Quality) else value


def _severity_name(value: Any) -> Any:
    return value.name.lower() if isinstance(value, EventSeverity) else value


def _reason_text(value: Any, info: ValidationInfo) -> Any:
    return tell(value, info.context or ENGLISH) if isinstance(value, Reason | Phrase) else value


_BY_TYPE: Final[dict[Any, Any]] = {
    NoneType: None,
    Decimal: Annotated[
        Decimal,
        PlainSerializer(lambda amount: format(amount, "f"), return_type=str, when_used="json"),
        WithJsonSchema({"type": "string", "pattern": r"^-?\d+(\.\d+)?$", "examples": ["6.420"]}),
    ],
    Quality: Annotated[list[str], BeforeValidator(_flag_names)],
    EventSeverity: Annotated[str, BeforeValidator(_severity_name)],
    Reason: Annotated[str, BeforeValidator(_reason_text)],
    Phrase: Annotated[str, BeforeValidator(_reason_text)],
}
"""What JSON has no type for, or has a poorer one."""
