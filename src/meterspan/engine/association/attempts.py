"""Failed authentications by peer and client, over all links of a device: guessing a password must be slow.

A peer that has guessed wrong waits, longer each time; nobody else waits with it, so that no one can lock a client out
for all.
"""

from dataclasses import dataclass

__all__ = [
    "ATTEMPTS_MAX",
    "CLIENTS_MAX",
    "DELAY_FIRST_S",
    "DELAY_MAX_S",
    "FORGET_S",
    "AttemptLedger",
]

ATTEMPTS_MAX = 3
"""Wrong secrets in a row before a client of a peer has to wait."""
DELAY_FIRST_S = 2.0
"""The first wait, in seconds; it doubles with each further wrong secret."""
DELAY_MAX_S = 60.0
"""The longest wait. At one guess a minute, half of 10^8 passwords take 95 years; one minute is acceptable to an
operator."""
FORGET_S = 3_600.0
"""After so long without a wrong secret, a client begins anew."""
CLIENTS_MAX = 256
"""Clients of peers remembered; the one that failed longest ago is forgotten first."""


@dataclass(slots=True)
class _Attempts:
    failed: int = 0
    failed_at: float = 0.0

    @property
    def delay_s(self) -> float:
        """How long the next try has to wait for."""
        if self.failed < ATTEMPTS_MAX:
            return 0.0
        return min(DELAY_MAX_S, DELAY_FIRST_S * 2.0 ** min(self.failed - ATTEMPTS_MAX, 10))


class AttemptLedger:
    """Counts failures; all associations of a device share one ledger."""

    def __init__(self) -> None:
        self._clients: dict[tuple[str, int], _Attempts] = {}

    def is_waiting(self, peer: str, client: int, now: float) -> bool:
        """Whether a client of a peer has to wait before its next try is looked at.

        Args:
            peer: its address, "" where the medium has none.
            client: its client address (SAP).
            now: UTC seconds.

        """
        entry = self._clients.get((peer, client))
        return entry is not None and 0 <= now - entry.failed_at < entry.delay_s

    def failed(self, peer: str, client: int, now: float) -> None:
        """Note a wrong secret."""
        entry = self._clients.pop((peer, client), None)
        if entry is None or now - entry.failed_at >= FORGET_S:
            entry = _Attempts()
        if len(self._clients) >= CLIENTS_MAX:
            self._clients.pop(next(iter(self._clients)))
        entry.failed += 1
        entry.failed_at = now
        self._clients[peer, client] = entry

    def succeeded(self, peer: str, client: int) -> None:
        """Forget the failures of a client that has proved itself."""
        self._clients.pop((peer, client), None)
