"""Failed authentications by client, over all links of a device: guessing a password must be slow (named bounds)."""

from dataclasses import dataclass

__all__ = ["ATTEMPTS_MAX", "CLIENTS_MAX", "LOCKOUT_S", "AttemptLedger"]

ATTEMPTS_MAX = 3
"""Wrong secrets in a row before a client is locked out."""
LOCKOUT_S = 60.0
"""How long it is locked out. At three guesses a minute, half of 10^8 passwords take 30 years; one
minute is acceptable to an operator."""
CLIENTS_MAX = 256
"""Clients remembered; more than any device has associations."""


@dataclass(slots=True)
class _Attempts:
    failed: int = 0
    locked_until: float = 0.0


class AttemptLedger:
    """Counts failures; all associations of a device share one ledger."""

    def __init__(self) -> None:
        self._clients: dict[int, _Attempts] = {}

    def is_locked(self, client: int, now: float) -> bool:
        """Whether a client is locked out."""
        entry = self._clients.get(client)
        return entry is not None and now < entry.locked_until

    def failed(self, client: int, now: float) -> None:
        """Note a wrong secret."""
        if client not in self._clients and len(self._clients) >= CLIENTS_MAX:
            self._clients.pop(next(iter(self._clients)))
        entry = self._clients.setdefault(client, _Attempts())
        entry.failed += 1
        if entry.failed >= ATTEMPTS_MAX:
            entry.failed = 0
            entry.locked_until = now + LOCKOUT_S

    def succeeded(self, client: int) -> None:
        """Forget the failures of a client that has proved itself."""
        self._clients.pop(client, None)
