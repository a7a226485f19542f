"""What ``meterspan read`` is: one reading of a meter, with a second try where our invocation counter was behind.

Counters are kept for each key, as every key needs counters that never repeat, whichever meter it opens. Where ours fell
behind, the meter sends the expected one, or the public client reads it.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from meterspan.app.bench_reading import BenchReading, ReadRequest
from meterspan.app.meter_keys import MeterKeys
from meterspan.crypto.mechanisms import Security
from meterspan.engine.association.records import AssociationSettings
from meterspan.engine.links import LinkAddresses
from meterspan.engine.scripts import read_invocation_counter
from meterspan.engine.security import SecurityContext, SecurityKeys
from meterspan.meter.cosem import READER_CLIENT
from meterspan.model.cosem.device import MANAGEMENT_CLIENT, PUBLIC_CLIENT
from meterspan.model.failures import FailureKind
from meterspan.model.identity import new_system_title
from meterspan.runtime.dlms_client import AssociationFailedError, DlmsClient, DlmsError, OnFrame, open_dlms
from meterspan.runtime.endpoints import Endpoint
from meterspan.runtime.state import StateFile
from meterspan.wire.errors import WireError

__all__ = ["Reader", "ReaderSettings", "client_of", "read_meter", "system_title"]

_TITLE_KEPT: Final = "system title"
_CLIENTS: Final = {Security.NONE: PUBLIC_CLIENT, Security.LLS: READER_CLIENT}

_NO_COUNTER_TROUBLE: Final = frozenset(
    {
        FailureKind.DECIPHERING_ERROR,
        FailureKind.KEY_WRONG,
        FailureKind.PROOF_REFUSED,
        FailureKind.PROOF_NOT_ACCEPTED,
        FailureKind.AUTHENTICATION_REQUIRED,
        FailureKind.MECHANISM_NOT_RECOGNISED,
        FailureKind.CONTEXT_NOT_SUPPORTED,
    }
)
"""Failures that have another cause than a counter that is behind; for that, some meters refuse and some fall silent."""


def client_of(auth: Security) -> int:
    """Return the client address (SAP) that an association of this kind usually has: 16, 2 or 1."""
    return _CLIENTS.get(auth, MANAGEMENT_CLIENT)


def system_title(state: StateFile) -> bytes:
    """Return this reader's own system title, which is made once and kept."""
    kept = state.load(_TITLE_KEPT)
    if kept is None:
        kept = new_system_title(secrets.token_bytes)
        state.save(_TITLE_KEPT, kept)
    return kept


@dataclass(frozen=True, slots=True)
class ReaderSettings:
    """How a meter is read.

    Attributes:
        place: where it is.
        addresses: client and server address.
        auth: how we associate.
        keys: ours for this meter.
        title: our system title; b"" takes our own, which is made once and kept.
        timeout_s: how long to wait for each answer.
        recover: whether to catch our invocation counter up.

    """

    place: Endpoint
    addresses: LinkAddresses
    auth: Security
    keys: MeterKeys
    title: bytes = b""
    timeout_s: float = 10.0
    recover: bool = True


def read_meter(
    settings: ReaderSettings,
    order: ReadRequest,
    folder: Path,
    *,
    after_restore: bool = False,
    on_step: Callable[[str], None],
    on_frame: OnFrame | None = None,
) -> tuple[BenchReading, int | None]:
    """Read a meter; return the reading, and the counter that the meter had seen where ours was behind.

    Args:
        settings: how.
        order: which values.
        folder: keeps our invocation counters, in ``reader.sqlite``.
        after_restore: the folder is of a back-up or another machine, and nothing else uses its counters.
        on_step: called with a name for each step.
        on_frame: called with every frame, for a trace.

    Raises:
        DlmsError: it cannot be read.

    """
    with StateFile(folder / "reader.sqlite", after_restore=after_restore) as state:
        reader = Reader(settings, state, on_frame)
        found = asyncio.run(reader.read(order, on_step))
        return found, reader.recovered


class Reader:
    """Reads one meter.

    Args:
        settings: how.
        state: keeps our invocation counters.
        on_frame: is called with every frame, for a trace.

    Attributes:
        recovered: the counter that the meter had seen, where ours was behind; None where it was not.

    """

    def __init__(self, settings: ReaderSettings, state: StateFile, on_frame: OnFrame | None = None) -> None:
        self.recovered: int | None = None
        self._settings = settings
        self._title = settings.title or system_title(state)
        self._state = state
        self._on_frame = on_frame

    async def read(self, order: ReadRequest, on_step: Callable[[str], None]) -> BenchReading:
        """Read the meter; ``on_step`` is called with a name for each step.

        Raises:
            DlmsError: it cannot be read.

        """
        async with self.connect(on_step) as client:
            return await BenchReading.of(client, order, on_step)

    @asynccontextmanager
    async def connect(self, on_step: Callable[[str], None] = lambda _text: None) -> AsyncIterator[DlmsClient]:
        """Open an association for the time of the context, with a second try where our counter was behind.

        Raises:
            DlmsError: no association could be opened.

        """
        security = self._security()
        async with AsyncExitStack() as stack:
            try:
                client = await stack.enter_async_context(self._open(security))
            except AssociationFailedError as error:
                caught_up, counter = await self._catch_up(security, error, on_step)
                client = await stack.enter_async_context(self._open(caught_up))
                self.recovered = counter - 1
            yield client

    async def _catch_up(
        self, security: SecurityContext | None, error: AssociationFailedError, on_step: Callable[[str], None]
    ) -> tuple[SecurityContext, int]:
        """Return a context that tries the counter which the meter expects, and that counter.

        Nobody has proved that counter, so it is kept only once the meter has answered with its key.

        Raises:
            DlmsError: ``error`` where the counter is not its cause, or the counter cannot be recovered.

        """
        may_be_counter = error.failure.kind not in _NO_COUNTER_TROUBLE
        if security is None or not self._settings.recover or not may_be_counter:
            raise error
        counter = await self._meter_counter(error, on_step)
        if counter is None:
            raise error
        try:
            security.try_counter(counter)
        except WireError as refused:
            words = f"{error}; and the counter cannot be recovered: {refused}"
            raise DlmsError(replace(error.failure, detail=words)) from error
        return security, counter

    def _open(self, security: SecurityContext | None) -> AbstractAsyncContextManager[DlmsClient]:
        place, addresses = self._settings.place, self._settings.addresses
        return open_dlms(place, self._association(), addresses=addresses, security=security, on_frame=self._on_frame)

    def _association(self) -> AssociationSettings:
        mechanism = self._settings.auth.mechanism
        return AssociationSettings(
            mechanism.code,
            self._settings.keys.password,
            ciphered=mechanism.ciphered,
            response_timeout_s=self._settings.timeout_s,
        )

    def _security(self) -> SecurityContext | None:
        if not self._settings.auth.mechanism.needs_keys:
            return None
        keys = self._settings.keys
        secret = SecurityKeys(keys.key, keys.auth_key)
        return SecurityContext(self._title, secret, counters=self._state)

    async def _meter_counter(self, error: AssociationFailedError, on_step: Callable[[str], None]) -> int | None:
        """Return the counter that the meter expects: as it said, or as the public client reads; None if neither."""
        if error.failure.counter is not None:
            return error.failure.counter
        on_step("the invocation counter, as public client")
        public = replace(self._settings.addresses, client=PUBLIC_CLIENT)
        settings = AssociationSettings(response_timeout_s=self._settings.timeout_s)
        try:
            async with open_dlms(self._settings.place, settings, addresses=public, on_frame=self._on_frame) as client:
                return await client.run(read_invocation_counter()) + 1
        except DlmsError:
            return None
