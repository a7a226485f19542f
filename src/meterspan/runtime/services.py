"""The services of a program: each runs until the program ends, and again where it fails.

A service that fails does not end the others. It runs again with growing patience; what says that the program was
started wrongly, such as an address that cannot be listened at, ends the program at its start alone.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from meterspan.model.storage.errors import StorageError
from meterspan.runtime.defects import note_defect
from meterspan.runtime.endpoints import EndpointError
from meterspan.runtime.media import CannotConnectError
from meterspan.runtime.troubles import Troubles

__all__ = ["Services"]

AGAIN_FIRST_S, AGAIN_MAX_S = 1.0, 60.0
"""Pauses before a failed service runs again."""
STARTING_S: Final = 10.0
"""A service that is refused a port or an address within so long after its first start was started wrongly."""
REFUSALS: Final = (CannotConnectError, EndpointError, OSError)

_log = logging.getLogger("meterspan.runtime")


class Services:
    """Keeps the services of a program running.

    Args:
        troubles: of the program; a service that does not run now is one of them.
        pause: waits for so many seconds.

    """

    def __init__(
        self, troubles: Troubles | None = None, *, pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self.failing = (Troubles() if troubles is None else troubles).now
        """Why a service, or another part of the program, does not work now, by its name."""
        self._pause = pause

    async def keep(self, name: str, run: Callable[[], Awaitable[Any]]) -> None:
        """Run a service until it ends by itself or is cancelled; run it again where it fails.

        Args:
            name: of the service, as people are told about it.
            run: starts it.

        Raises:
            CannotConnectError: refused at the first start: an address that cannot be listened at.
            EndpointError: likewise: an endpoint with wrong options.
            OSError: likewise.

        """
        again_s, is_first = AGAIN_FIRST_S, True
        while True:
            begun = time.monotonic()
            try:
                await run()
            except Exception as error:
                lasted = time.monotonic() - begun
                if is_first and lasted < STARTING_S and isinstance(error, REFUSALS):
                    raise
                self._note(name, error)
                if lasted > AGAIN_MAX_S:
                    again_s = AGAIN_FIRST_S
            else:
                self.failing.pop(name, None)
                return
            await self._pause(again_s)
            is_first, again_s = False, min(again_s * 2, AGAIN_MAX_S)
            self.failing.pop(name, None)

    def _note(self, name: str, error: Exception) -> None:
        self.failing[name] = str(error) or type(error).__name__
        if isinstance(error, StorageError | CannotConnectError):
            _log.error("a service failed and runs again soon", extra={"service": name, "reason": str(error)})
        else:
            note_defect(f"a defect ended the service {name}; it runs again soon", error)
