"""The bounds on connections and on words about them: one place for every port that this program listens at.

How many files may be open bounds how many connections may be; each port gets a share. A port that is full closes the
oldest connection that has proved nothing, of the peer that holds most of them, so that idle connections keep nobody
out; those that hold a key stay.
"""

import resource
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

__all__ = [
    "ANSWERED_SHARE",
    "FILES_RESERVED",
    "UNPROVED_OCTETS_MAX",
    "Allowance",
    "ConnectionGate",
    "ConnectionPlace",
    "NoteLimiter",
    "connections_within",
    "open_files_max",
    "raise_open_files",
]

FILES_RESERVED: Final = 128
"""Files that are no connection: the store's segments, databases, logs, the loop's own."""
NOTES_A_MINUTE_MAX: Final = 60
"""Notes about peers that anybody can cause: more say nothing new, and fill a disk."""
UNPROVED_OCTETS_MAX: Final = 1 << 15
"""Octets of a connection that prove nothing: some thousand requests of a public client. So a connection costs little,
however small the frames are that it sends; a peer without a key must connect again."""
ANSWERED_SHARE: Final = 4
"""One of so many octets that answer a peer without a proof counts as received: to write an answer costs as well."""
_MINUTE_S: Final = 60.0


class Allowance:
    """So many octets a second, and a burst after a time without any.

    Args:
        per_s: octets a second.
        burst: octets at once.
        time: seconds that only rise.

    """

    def __init__(self, per_s: float, burst: float, time: Callable[[], float]) -> None:
        self._per_s = per_s
        self._burst = burst
        self._time = time
        self._left, self._at = burst, time()

    @property
    def left(self) -> float:
        """How many octets are allowed now; below 0 where too many were counted."""
        self._refill()
        return self._left

    def has(self, octets: int) -> bool:
        """Return whether so many octets are allowed now."""
        return self.left >= octets

    def spend(self, octets: int) -> float:
        """Count octets; return the seconds until the count is within the allowance again, 0 where it is."""
        self._refill()
        self._left -= octets
        return max(0.0, -self._left / self._per_s)

    def _refill(self) -> None:
        now = self._time()
        self._left = min(self._burst, self._left + self._per_s * max(0.0, now - self._at))
        self._at = now


def open_files_max() -> int:
    """Return how many files this process may have open (RLIMIT_NOFILE)."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def raise_open_files() -> None:
    """Let this process open as many files as its hard limit allows; the soft limit is often 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def connections_within(wanted: int, share: float) -> int:
    """Return how many connections a port may hold: as many as wanted, within its share of the open files.

    Args:
        wanted: the configured bound.
        share: of the files that are left for connections, 0 to 1.

    """
    return max(1, min(wanted, int((open_files_max() - FILES_RESERVED) * share)))


@dataclass(slots=True, eq=False)
class ConnectionPlace:
    """The place of one open connection.

    Attributes:
        peer: address of the peer, without its port.
        close: closes the connection.
        since: UTC seconds since when it has proved nothing, or has proved something.
        is_proved: whether its peer has proved to hold a key.
        octets: received since the last proof.

    """

    peer: str
    close: Callable[[], None]
    since: float
    is_proved: bool = False
    octets: int = 0


class ConnectionGate:
    """Admits connections to one port.

    Args:
        total_max: connections open at once.
        per_peer_max: of them, those of one address.
        clock: UTC seconds.

    """

    def __init__(self, total_max: int, per_peer_max: int, clock: Callable[[], float]) -> None:
        self.total_max = total_max
        self.per_peer_max = per_peer_max
        self._clock = clock
        self._peers: dict[str, dict[ConnectionPlace, None]] = {}
        self._count = 0

    def __len__(self) -> int:
        """Count the connections that are open."""
        return self._count

    def admit(self, peer: str, close: Callable[[], None]) -> ConnectionPlace | None:
        """Return the place of a new connection, None where all places are held by peers that have proved themselves.

        The connection that has to go for it is closed.
        """
        own = self._peers.get(peer, {})
        if len(own) >= self.per_peer_max:
            victim = _oldest_unproved(own)
        elif self._count >= self.total_max:
            victim = self._victim()
        else:
            return self._enter(peer, close)
        if victim is None:
            return None
        self.leave(victim)
        victim.close()
        return self._enter(peer, close)

    def leave(self, place: ConnectionPlace) -> None:
        """Free the place of a connection; without effect when it is free."""
        places = self._peers.get(place.peer, {})
        if place not in places:
            return
        del places[place]
        self._count -= 1
        if not places:
            del self._peers[place.peer]

    def prove(self, place: ConnectionPlace) -> None:
        """Note that a connection's peer has just proved to hold a key."""
        place.is_proved, place.since, place.octets = True, self._clock(), 0

    @staticmethod
    def spend(place: ConnectionPlace, octets: int, most: int = UNPROVED_OCTETS_MAX) -> bool:
        """Count octets that prove nothing yet; return False where they are more than ``most``: close the connection."""
        place.octets += octets
        return place.octets <= most

    def unprove(self, place: ConnectionPlace) -> None:
        """Note that what a connection's peer has proved has ended."""
        place.is_proved, place.since = False, self._clock()

    def silent(self, silence_s: float) -> list[ConnectionPlace]:
        """Return the places of connections that have proved nothing (new) for so long, in seconds."""
        until = self._clock() - silence_s
        return [place for places in self._peers.values() for place in places if place.since <= until]

    def _enter(self, peer: str, close: Callable[[], None]) -> ConnectionPlace:
        place = ConnectionPlace(peer, close, self._clock())
        self._peers.setdefault(peer, {})[place] = None
        self._count += 1
        return place

    def _victim(self) -> ConnectionPlace | None:
        """Return the oldest unproved connection of the peer that holds most connections and has such a one."""
        for peer in sorted(self._peers, key=lambda name: -len(self._peers[name])):
            victim = _oldest_unproved(self._peers[peer])
            if victim is not None:
                return victim
        return None


def _oldest_unproved(places: dict[ConnectionPlace, None]) -> ConnectionPlace | None:
    return next((place for place in places if not place.is_proved), None)


class NoteLimiter:
    """Passes on so many notes a minute, and then how many were left out.

    Args:
        on_note: called with a note that passes.
        clock: UTC seconds.
        a_minute_max: notes that pass within a minute.

    """

    def __init__(
        self, on_note: Callable[[str], None], clock: Callable[[], float], a_minute_max: int = NOTES_A_MINUTE_MAX
    ) -> None:
        self._on_note = on_note
        self._clock = clock
        self._a_minute_max = a_minute_max
        self._begun = float("-inf")
        self._passed = 0
        self._left_out = 0

    def __call__(self, note: str) -> None:
        """Pass a note on, or count it."""
        now = self._clock()
        if not 0 <= now - self._begun < _MINUTE_S:
            self._begin(now)
        if self._passed < self._a_minute_max:
            self._passed += 1
            self._on_note(note)
        else:
            self._left_out += 1

    def _begin(self, now: float) -> None:
        left_out, self._left_out = self._left_out, 0
        self._begun, self._passed = now, 0
        if left_out:
            self._on_note(f"{left_out} more notes within a minute were left out")
