"""The quarantine: frames that could not be used, kept with the reason, bounded, and counted without end.

Nothing that arrives is lost without a trace, and no flood of damaged frames can use up memory: the newest frames are
kept whole up to a bound, every frame is counted by kind.
"""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from meterspan.model.failures import FailureKind, kind_of_error
from meterspan.wire import WireError
from meterspan.wire.acse import blanked

__all__ = ["FrameFault", "FrameQuarantine", "QuarantinedFrame", "RefusalAlarm", "RefusalTally", "fault_of"]


class FrameFault(StrEnum):
    """Why a frame was quarantined."""

    DAMAGED = "damaged"
    REPLAYED = "replayed"
    WRONG_KEY = "wrong key"
    MISSING_KEY = "missing key"
    NOT_PROTECTED = "not protected"
    """It has less protection than its sender must apply."""
    IMPLAUSIBLE = "implausible"
    UNKNOWN_DEVICE = "unknown device"
    UNKNOWN_LAYOUT = "unknown layout"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class QuarantinedFrame:
    """One quarantined frame.

    Attributes:
        time: UTC seconds when it was heard.
        source: listener or access point that heard it.
        fault: the kind of reason.
        reason: in words, with octet and field.
        octets: the frame without passwords, cut to the quarantine's bound.
        device: identification of the sender, where the frame tells it.

    """

    time: float
    source: str
    fault: FrameFault
    reason: str
    octets: bytes
    device: str = ""

    def __post_init__(self) -> None:
        """Blank a password in the frame: nobody who looks at the quarantine may learn it."""
        object.__setattr__(self, "octets", blanked(self.octets))


class FrameQuarantine:
    """Keeps the newest ``frame_count_max`` frames, each cut to ``frame_size_max`` octets.

    Args:
        frame_count_max: how many frames are kept; the default holds an evening's work of an operator.
        frame_size_max: how many octets of each are kept; the default holds any wM-Bus or HDLC frame.

    """

    def __init__(self, frame_count_max: int = 500, frame_size_max: int = 2_048) -> None:
        self._frames: deque[QuarantinedFrame] = deque(maxlen=frame_count_max)
        self._frame_size_max = frame_size_max
        self.counts: Counter[FrameFault] = Counter()

    def __len__(self) -> int:
        """Count the frames that are kept now."""
        return len(self._frames)

    def keep(self, frame: QuarantinedFrame) -> None:
        """Count a frame and keep it, letting the oldest go where the quarantine is full."""
        self.counts[frame.fault] += 1
        if len(frame.octets) > self._frame_size_max:
            cut = frame.octets[: self._frame_size_max]
            reason = f"{frame.reason} (first {len(cut)} of {len(frame.octets)} octets kept)"
            frame = QuarantinedFrame(frame.time, frame.source, frame.fault, reason, cut, frame.device)
        self._frames.append(frame)

    def newest(self, count: int = 100) -> Sequence[QuarantinedFrame]:
        """Return up to ``count`` frames, newest first."""
        return [frame for frame, _ in zip(reversed(self._frames), range(count), strict=False)]

    @property
    def total(self) -> int:
        """How many frames were ever quarantined."""
        return self.counts.total()


def fault_of(error: WireError) -> FrameFault:
    """Return which kind of fault an error is."""
    return _FAULTS.get(kind_of_error(error), FrameFault.UNREADABLE)


_FAULTS: Mapping[FailureKind, FrameFault] = {
    FailureKind.KEY_MISSING: FrameFault.MISSING_KEY,
    FailureKind.KEY_WRONG: FrameFault.WRONG_KEY,
    FailureKind.REPLAY: FrameFault.REPLAYED,
    FailureKind.NOT_PROTECTED: FrameFault.NOT_PROTECTED,
    FailureKind.IMPLAUSIBLE: FrameFault.IMPLAUSIBLE,
    FailureKind.UNKNOWN_LAYOUT: FrameFault.UNKNOWN_LAYOUT,
    FailureKind.DAMAGED: FrameFault.DAMAGED,
}


REFUSED_ALARM_AT: Final = 8
"""Refusals in a row that raise an alarm: fewer are a bad line, or one repeater that came late."""
REFUSED_ALARM_AFTER_S: Final = 1_800
"""How long such a row lasts where messages of the device were taken before: somebody who sends in its name ends no
row, and its own messages are some seconds to a quarter of an hour apart."""
REFUSED_DEVICES_MAX: Final = 100_000
"""Devices whose refusals are counted; only known devices are."""


@dataclass(frozen=True, slots=True)
class RefusalAlarm:
    """So many frames or sessions of a device were refused in a row; one alarm for each row."""

    device: str
    time: float
    count: int

    def __str__(self) -> str:
        """Write it as the title of an entry."""
        return f"The last {self.count} messages in its name were refused, and none was taken"


@dataclass(slots=True)
class _RefusalRun:
    """Refusals of a device since its last message that was taken."""

    begun: float
    count: int = 0
    lasted_s: float = 0.0
    is_said: bool = False


class RefusalTally:
    """Counts what is refused of each device in a row; the next message that is taken ends the row.

    Anybody can send in the name of a device. So of one that was taken before, a row alarms only once it has lasted for
    ``REFUSED_ALARM_AFTER_S``: until then its own next message may be on its way.
    """

    def __init__(self) -> None:
        self._rows: dict[str, _RefusalRun] = {}
        self._taken: set[str] = set()
        self._alarms: list[RefusalAlarm] = []

    def refused(self, device: str, now: float) -> None:
        """Count a refusal of a known device, at ``now`` in UTC seconds."""
        if device not in self._rows and len(self._rows) >= REFUSED_DEVICES_MAX:
            return
        row = self._rows.setdefault(device, _RefusalRun(now))
        row.count += 1
        row.lasted_s = now - row.begun
        if not row.is_said and self.alarming(device):
            row.is_said = True
            self._alarms.append(RefusalAlarm(device, now, row.count))

    def taken(self, device: str) -> None:
        """Note that a message of a device was taken."""
        self._rows.pop(device, None)
        if len(self._taken) < REFUSED_DEVICES_MAX:
            self._taken.add(device)

    def alarming(self, device: str) -> int:
        """Return how many messages of a device were refused in a row, 0 where that is no alarm."""
        row = self._rows.get(device)
        if row is None or row.count < REFUSED_ALARM_AT:
            return 0
        return row.count if device not in self._taken or row.lasted_s >= REFUSED_ALARM_AFTER_S else 0

    def take_alarms(self) -> list[RefusalAlarm]:
        """Remove and return the alarms that were raised."""
        alarms, self._alarms = self._alarms, []
        return alarms
