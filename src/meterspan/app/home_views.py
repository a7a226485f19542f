"""The operator's page of one home: ``NetworkViews`` over a ``HomeHost``, which has no head end."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from typing import Final

from meterspan.analytics.completeness import share_received
from meterspan.app.home_host import PROTOCOLS, HomeHost
from meterspan.head_end.views import LEFT_OUT_NAMED, DataNumbers, Explain
from meterspan.model.lookup_errors import UnknownMeterError
from meterspan.model.remedies import NO_REASON, Reason, Situation
from meterspan.model.views import (
    CompletenessCell,
    CompletenessView,
    DamageView,
    FrameView,
    GroupCompleteness,
    MeterState,
    MeterStatus,
    MeterStory,
    NetworkSummary,
    QuarantineView,
    StoryEntry,
)
from meterspan.quantities import utc

__all__ = ["HomeNetworkViews"]

LATE_AFTER_S: Final = {"H1": 120.0, "M": 3_600.0}
"""A P1 port sends at least every ten seconds, a radio meter every quarter of an hour or so."""
STORY_DAYS: Final = 28


class HomeNetworkViews:
    """The few meters of a home.

    Args:
        host: the home.
        numbers: the data management's part of the headline.
        explain: explains a frame for a meter's story.
        clock: returns the time now.

    """

    def __init__(self, host: HomeHost, numbers: DataNumbers, explain: Explain, clock: Callable[[], datetime]) -> None:
        self._host = host
        self._numbers = numbers
        self._explain = explain
        self._clock = clock

    def summary(self, now: datetime, network: str = "") -> NetworkSummary:  # noqa: ARG002 - the home is the network
        """Return the headline numbers."""
        today = now.date()
        cells = {
            row.device: {cell.day: cell for cell in row.cells}
            for row in self.completeness(today - timedelta(days=1), today)
        }
        day = [found[today] for found in cells.values() if today in found]
        before = [found[today - timedelta(days=1)] for found in cells.values() if today - timedelta(days=1) in found]
        meters = self.meters(now)
        states = Counter(meter.state for meter in meters)
        damaged = self._numbers.damage()
        expected, received = sum(cell.expected for cell in day), sum(cell.received for cell in day)
        return NetworkSummary(
            at=now,
            meters=len(meters),
            by_state=tuple((state, states[state]) for state in MeterState if states[state]),
            by_commodity=tuple(sorted(Counter(meter.commodity for meter in meters).items())),
            expected_today=expected,
            received_today=received,
            completeness_today=share_received(received, expected),
            completeness_yesterday=share_received(
                sum(cell.received for cell in before), sum(cell.expected for cell in before)
            ),
            unexplained_wh=self._numbers.unexplained_wh(),
            quarantined=self._host.point.quarantine.total,
            readings_stored=self._numbers.readings_stored(),
            sessions_open=None,
            damaged=len(damaged),
            left_out=tuple(item.item for item in damaged[:LEFT_OUT_NAMED]),
        )

    def meters(self, now: datetime) -> Sequence[MeterStatus]:
        """List all meters of the home, worst first."""
        rows = {row.device: row.cells for row in self.completeness(now.date() - timedelta(days=STORY_DAYS), now.date())}
        points = {point.meter: point for point in self._host.data.home(self._host.config.home_id).usage_points}
        lines = []
        for device, point in points.items():
            heard = self._host.meters.get(device)
            interface = "H1" if heard is None else heard.interface
            state, reason = self._state(device, now)
            cells = rows.get(device, ())
            expected, received = sum(cell.expected for cell in cells), sum(cell.received for cell in cells)
            lines.append(
                MeterStatus(
                    device,
                    point.commodity,
                    PROTOCOLS[interface],
                    interface,
                    self._host.config.home_id,
                    point.usage_point,
                    state,
                    reason,
                    None if heard is None else utc(heard.heard_at),
                    expected,
                    received,
                    max(0, expected - received),
                    missing_lately=max(0, expected - received),
                )
            )
        return sorted(lines, key=lambda line: (line.state is MeterState.OK, line.device))

    def completeness(self, first: date, last: date, devices: Sequence[str] | None = None) -> Sequence[CompletenessView]:
        """Return the completeness of these UTC days, a row per meter."""
        rows = self._host.data.completeness(first, last, until=self._clock())
        return rows if devices is None else [row for row in rows if row.device in devices]

    def groups(self, first: date, last: date) -> Sequence[GroupCompleteness]:
        """Return the completeness of these UTC days by commodity."""
        return GroupCompleteness.of(self.completeness(first, last))

    def story(self, device: str, now: datetime) -> MeterStory:
        """Return one meter's story; raises ``UnknownMeterError`` for an unknown meter."""
        status = next((line for line in self.meters(now) if line.device == device), None)
        if status is None:
            raise UnknownMeterError(device)
        rows = self.completeness(now.date() - timedelta(days=STORY_DAYS - 1), now.date())
        cells: tuple[CompletenessCell, ...] = next((row.cells for row in rows if row.device == device), ())
        frames = []
        for frame in self._host.device_log.frames(device):
            summary, spans = self._explain(frame.octets, frame.protocol)
            frames.append(
                FrameView(utc(frame.time), "received", frame.protocol, frame.octets.hex().upper(), summary, spans)
            )
        entries = tuple(
            StoryEntry(utc(entry.time), entry.kind, entry.title, entry.detail, entry.severity)
            for entry in self._host.device_log.entries(device)
        )
        return MeterStory(status, entries, tuple(frames), cells)

    def quarantine(self, limit: int = 100) -> Sequence[QuarantineView]:
        """List quarantined frames, newest first."""
        return [
            QuarantineView(
                utc(frame.time), frame.source, frame.fault, frame.reason, frame.octets.hex().upper(), frame.device
            )
            for frame in self._host.point.quarantine.newest(limit)
        ]

    def damage(self) -> Sequence[DamageView]:
        """List damaged or impossible items at rest, stored items first."""
        return [DamageView.of(item) for item in self._numbers.damage()]

    def _state(self, device: str, now: datetime) -> tuple[MeterState, Reason]:
        heard = self._host.meters.get(device)
        refused = self._host.point.refusals.alarming(device)
        if refused:
            return MeterState.FAILING, Reason(Situation.ALL_REFUSED, count=refused)
        if heard is None:
            return MeterState.LATE, Reason(Situation.UNHEARD)
        silent_s = now.timestamp() - heard.heard_at
        if silent_s > LATE_AFTER_S[heard.interface]:
            return MeterState.LATE, Reason(Situation.SILENT, count=round(silent_s / 60))
        return MeterState.OK, NO_REASON
