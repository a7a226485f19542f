"""What does not work in a running program now: one place, which ``/healthz`` shows, for all its parts.

A part that goes on after a failure, as one that writes, notes it here and ends it once it has worked again. A lasting
trouble is one line of the log, and one that comes and goes is a bounded number of lines.
"""

import logging
import time
from collections.abc import Callable

from meterspan.runtime.limits import NoteLimiter

__all__ = ["Troubles"]

_log = logging.getLogger("meterspan.runtime")


class Troubles:
    """The present troubles of one program.

    Args:
        clock: UTC seconds; it bounds the lines of the log.

    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.now: dict[str, str] = {}
        """Why a part does not work now, by its name."""
        self._failed = NoteLimiter(_log.error, clock)
        self._healed = NoteLimiter(_log.info, clock)

    def note(self, name: str, what: str, reason: object) -> None:
        """Note that a part has just failed; it is logged where the reason is new.

        Args:
            name: of the part, as people are told about it.
            what: the sentence for the log: what could not be done, and what becomes of it.
            reason: why.

        """
        if self.keep(name, reason):
            self._failed(f"{what}: {self.now[name]}")

    def keep(self, name: str, reason: object) -> bool:
        """Note a failure that is logged elsewhere; return whether its reason is new."""
        text = str(reason) or type(reason).__name__
        is_new = self.now.get(name) != text
        self.now[name] = text
        return is_new

    def end(self, name: str) -> None:
        """Note that a part has just worked."""
        if self.now.pop(name, None) is not None:
            self._healed(f"{name}: in order again")
