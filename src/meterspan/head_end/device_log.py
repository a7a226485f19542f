"""The device log: what happened with each meter, in words, and its latest frames; bounded per meter."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from meterspan.model.failures import Failure
from meterspan.model.readings import EventSeverity
from meterspan.wire.acse import blanked

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


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as sent on the medium; payloads stay ciphered, passwords are blanked, keys are never stored here."""

    time: float
    sent: bool
    protocol: str
    octets: bytes

    def __post_init__(self) -> None:
        """Blank a password in the frame: a meter's story is shown."""
        object.__setattr__(self, "octets", blanked(self.octets))


class DeviceLog:
    """Keeps the newest entries and frames of every meter.

    Args:
        entry_count_max: entries per meter; the default holds months of exceptions, as repeats are joined.
        frame_count_max: frames per meter; the default holds one session with a load profile.

    """

    def __init__(self, entry_count_max: int = 64, frame_count_max: int = 24) -> None:
        self._entry_count_max = entry_count_max
        self._frame_count_max = frame_count_max
        self._entries: dict[str, deque[Entry]] = {}
        self._frames: dict[str, deque[Frame]] = {}

    def note(self, device: str, entry: Entry) -> None:
        """Add an entry; the same thing again in a row only counts up, so that routine does not push out events."""
        entries = self._entries.setdefault(device, deque(maxlen=self._entry_count_max))
        if entries and (entries[-1].kind, entries[-1].title) == (entry.kind, entry.title):
            last = entries.pop()
            entry = replace(entry, count=last.count + 1)
        entries.append(entry)

    def frame(self, device: str, frame: Frame) -> None:
        """Keep a frame."""
        self._frames.setdefault(device, deque(maxlen=self._frame_count_max)).append(frame)

    def entries(self, device: str) -> Sequence[Entry]:
        """Return a meter's entries, newest first."""
        return tuple(reversed(self._entries.get(device, ())))

    def frames(self, device: str) -> Sequence[Frame]:
        """Return a meter's frames, newest first."""
        return tuple(reversed(self._frames.get(device, ())))
