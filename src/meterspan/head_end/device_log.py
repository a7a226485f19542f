"""The device log: what happened with each meter, in words, and its latest frames; bounded per meter.

What anybody can cause who reaches a port, a frame in quarantine or a session that fails, has a bound of its own, so
that no flood of it pushes out what a meter has proved.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from meterspan.model.failures import Failure
from meterspan.model.readings import EventSeverity

__all__ = ["DeviceLog", "Entry", "Frame"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened; ``kind`` is one lower-case word such as ``read``, ``failed`` or ``exchanged``."""

    time: float
    kind: str
    title: str
    detail: str = ""
    severity: EventSeverity = EventSeverity.INFO
    count: int = 1
    """How often in a row the same thing happened; ``time`` is the last."""
    failure: Failure | None = None
    """Why, where a session failed."""
    is_proved: bool = True
    """Whether this side did it, or the meter under its key; False where anybody can have caused it."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as sent on the medium; payloads stay ciphered, keys are never stored here."""

    time: float
    sent: bool
    protocol: str
    octets: bytes


class DeviceLog:
    """Keeps the newest entries and frames of every meter.

    Args:
        entry_count_max: entries per meter that are proved, and as many that are not; the default holds months of
            exceptions, as repeats are joined.
        frame_count_max: frames per meter; the default holds one session with a load profile.

    """

    def __init__(self, entry_count_max: int = 64, frame_count_max: int = 24) -> None:
        self._entry_count_max = entry_count_max
        self._frame_count_max = frame_count_max
        self._entries: dict[tuple[str, bool], deque[tuple[int, Entry]]] = {}
        self._noted = 0
        self._frames: dict[str, deque[Frame]] = {}

    def note(self, device: str, entry: Entry) -> None:
        """Add an entry; the same thing again in a row only counts up, so that routine does not push out events."""
        ring = (device, entry.is_proved)
        entries = self._entries.setdefault(ring, deque(maxlen=self._entry_count_max))
        if entries and (entries[-1][1].kind, entries[-1][1].title) == (entry.kind, entry.title):
            _, last = entries.pop()
            entry = replace(entry, count=last.count + 1)
        self._noted += 1
        entries.append((self._noted, entry))

    def frame(self, device: str, frame: Frame) -> None:
        """Keep a frame."""
        self._frames.setdefault(device, deque(maxlen=self._frame_count_max)).append(frame)

    def entries(self, device: str) -> Sequence[Entry]:
        """Return a meter's entries, newest first."""
        found = [*self._entries.get((device, True), ()), *self._entries.get((device, False), ())]
        found.sort(key=lambda numbered: -numbered[0])
        return tuple(entry for _, entry in found)

    def frames(self, device: str) -> Sequence[Frame]:
        """Return a meter's frames, newest first."""
        return tuple(reversed(self._frames.get(device, ())))
