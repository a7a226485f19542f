"""A DLMS client in asyncio: ``async with open_dlms(endpoint, …) as client: await client.run(read_clock())``.

Strategy: a ``ClientAssociation`` runs in a ``StreamShell``; a future waits for each request. Scripts of
``engine.scripts`` run as they are. Every failure is one ``DlmsError`` with words for an operator; cancelling is
safe, and leaving the context releases the association and closes the connection.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Final, TypeVar

from meterspan.engine.association.agreement import Agreement
from meterspan.engine.association.client import ClientAssociation
from meterspan.engine.association.records import (
    Action,
    ActionDone,
    ActionListDone,
    ApduRefused,
    Associated,
    AssociationEvent,
    AssociationRefused,
    AssociationSettings,
    Get,
    GetDone,
    LinkLost,
    Notification,
    Released,
    RequestFailed,
    Set,
    SetDone,
)
from meterspan.engine.association.states import AssociationState
from meterspan.engine.frame_trace import FrameDirection, FrameTracer, TracedFrame
from meterspan.engine.links import TRANSPORTS, LinkAddresses
from meterspan.engine.security import SecurityContext
from meterspan.engine.session import (
    AskTime,
    RequestFailedError,
    Script,
    ScriptError,
    ScriptRequest,
    ScriptResponse,
    Sleep,
    fetch,
    perform,
    put,
)
from meterspan.model.failures import FailedError, Failure, FailureKind
from meterspan.runtime.clock import SystemClock
from meterspan.runtime.endpoints import Endpoint
from meterspan.runtime.media import CannotConnectError, connect_stream
from meterspan.runtime.shell import UNANSWERED_OCTETS_MAX, OnOctets, StreamShell
from meterspan.wire.axdr import Data
from meterspan.wire.errors import WireError

__all__ = [
    "AssociationFailedError",
    "DlmsClient",
    "DlmsError",
    "OnFrame",
    "open_dlms",
]

NOTIFICATIONS_MAX: Final = 64
"""Pushed or refused APDUs kept for the caller; the oldest are dropped first."""
CLOSE_TIMEOUT_S: Final = 6.0
"""How long an orderly end may take before the connection is just closed."""

ResultT = TypeVar("ResultT")
OnFrame = Callable[[TracedFrame], None]


class DlmsError(FailedError):
    """Reading the meter failed; ``failure`` is the reason."""


class AssociationFailedError(DlmsError):
    """The meter does not associate with us, or the link was lost before it did."""


@asynccontextmanager
async def open_dlms(
    endpoint: Endpoint,
    settings: AssociationSettings,
    *,
    addresses: LinkAddresses | None = None,
    security: SecurityContext | None = None,
    clock: Callable[[], float] | None = None,
    entropy: Callable[[int], bytes] = secrets.token_bytes,
    on_frame: OnFrame | None = None,
) -> AsyncIterator["DlmsClient"]:
    """Connect, associate, and give the client; release and close on leaving.

    Args:
        endpoint: of a scheme of ``engine.links.TRANSPORTS``.
        settings: how to associate.
        addresses: client and server address.
        security: keys and counters, where the association needs them.
        clock: UTC seconds; the system's by default.
        entropy: random octets.
        on_frame: called with every frame, sent or received.

    Raises:
        DlmsError: no connection, no association, or what ``DlmsClient.run`` raises.

    """
    time = SystemClock() if clock is None else clock
    who = LinkAddresses() if addresses is None else addresses
    transport = TRANSPORTS[endpoint.scheme]
    fitted = replace(settings, max_pdu=min(settings.max_pdu or transport.apdu_max, transport.apdu_max))
    association = ClientAssociation(transport.client(who), fitted, security=security, entropy=entropy)
    on_octets = None
    if on_frame is not None:
        keys = None if security is None else security.keys.global_unicast
        on_octets = _tracing(FrameTracer(transport.cutter, keys=keys, whole=True), on_frame)
    client = DlmsClient(association, time, who, on_octets)
    try:
        await connect_stream(endpoint, lambda: client.shell)
    except CannotConnectError as error:
        raise DlmsError(Failure(FailureKind.UNREACHABLE, str(error))) from error
    try:
        await client.associate()
        yield client
    finally:
        await client.close()


def _tracing(tracer: FrameTracer, on_frame: OnFrame) -> OnOctets:
    def show(direction: FrameDirection, octets: bytes, now: float) -> None:
        for frame in tracer.feed(direction, octets, now):
            on_frame(frame)

    return show


class DlmsClient:
    """One association, for the time of its context; made by ``open_dlms``.

    Attributes:
        addresses: client and server address.
        notifications: the meter's unsolicited pushes, newest last.
        refused: its unusable APDUs, newest last.

    """

    def __init__(
        self,
        association: ClientAssociation,
        clock: Callable[[], float],
        addresses: LinkAddresses,
        on_octets: OnOctets | None = None,
    ) -> None:
        self.addresses = addresses
        self.notifications: deque[Notification] = deque(maxlen=NOTIFICATIONS_MAX)
        self.refused: deque[ApduRefused] = deque(maxlen=NOTIFICATIONS_MAX)
        self.clock = clock
        self.shell: StreamShell[AssociationEvent] = StreamShell(association, clock, self._take, on_octets=on_octets)
        self.shell.unanswered_octets_max = UNANSWERED_OCTETS_MAX
        self._association = association
        self._waiting: dict[int, asyncio.Future[ScriptResponse]] = {}
        self._associating: asyncio.Future[Agreement] | None = None
        self._is_over = asyncio.Event()

    @property
    def terms(self) -> Agreement:
        """The terms of the association.

        Raises:
            DlmsError: it has ended.

        """
        agreed = self._association.agreement
        if agreed is None:
            raise DlmsError(Failure(FailureKind.LINK_LOST, "the association has ended"))
        return agreed

    async def associate(self) -> Agreement:
        """Associate; ``open_dlms`` has done it already.

        Raises:
            AssociationFailedError: the meter refuses, or does not answer.

        """
        self._associating = asyncio.get_running_loop().create_future()
        self._association.associate(self.clock())
        self.shell.pump()
        return await self._associating

    async def get(self, request: Get) -> Data:
        """Read one attribute; raises as ``run``."""
        return await self.run(fetch(request))

    async def set(self, request: Set) -> None:
        """Write one attribute; raises as ``run``."""
        await self.run(put(request))

    async def action(self, request: Action) -> Data | None:
        """Run one method; raises as ``run``."""
        return await self.run(perform(request))

    async def run(self, script: Script[ResultT], *, timeout_s: float | None = None) -> ResultT:
        """Run a script to its end.

        Raises:
            DlmsError: the meter refuses, does not answer, or sends what cannot be read; or time is up.

        """
        try:
            async with asyncio.timeout(timeout_s):
                return await self._run(script)
        except TimeoutError as error:
            raise DlmsError(Failure(FailureKind.DEADLINE, f"not finished within {timeout_s:g} s")) from error
        except ScriptError as error:
            raise DlmsError(error.failure) from error
        except WireError as error:
            raise DlmsError(Failure.of_error(error)) from error
        finally:
            script.close()

    async def close(self) -> None:
        """Release the association and close the connection."""
        self._association.release(self.clock())
        self.shell.pump()
        if not self._is_over.is_set() and self._association.state is not AssociationState.IDLE:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._is_over.wait(), CLOSE_TIMEOUT_S)
        self.shell.close()

    async def _run(self, script: Script[ResultT]) -> ResultT:
        response: ScriptResponse = None
        failure: ScriptError | None = None
        while True:
            try:
                asked = script.send(response) if failure is None else script.throw(failure)
            except StopIteration as stop:
                result: ResultT = stop.value
                return result
            response, failure = None, None
            try:
                response = await self._answer(asked)
            except ScriptError as error:
                failure = error

    async def _answer(self, asked: ScriptRequest) -> ScriptResponse:
        if isinstance(asked, AskTime):
            return self.clock()
        if isinstance(asked, Sleep):
            await asyncio.sleep(asked.seconds)
            return None
        request_id = self._association.request(asked, self.clock())
        future: asyncio.Future[ScriptResponse] = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = future
        self.shell.pump()
        try:
            return await future
        finally:
            self._waiting.pop(request_id, None)

    def _take(self, event: AssociationEvent) -> None:
        match event:
            case Associated():
                self._associated(event)
            case AssociationRefused():
                self._not_associated(AssociationFailedError(event.failure))
            case GetDone() | SetDone() | ActionDone() | ActionListDone():
                self._settle(event.request_id, event)
            case RequestFailed():
                self._settle(event.request_id, RequestFailedError(event.failure))
            case Released() | LinkLost():
                ended = event.failure or Failure(FailureKind.CANCELLED, "released")
                self._not_associated(AssociationFailedError(ended))
                self._is_over.set()
            case Notification():
                self.notifications.append(event)
            case ApduRefused():
                self.refused.append(event)

    def _associated(self, event: Associated) -> None:
        if self._associating is not None and not self._associating.done():
            self._associating.set_result(event.agreement)

    def _not_associated(self, error: AssociationFailedError) -> None:
        if self._associating is not None and not self._associating.done():
            self._associating.set_exception(error)

    def _settle(self, request_id: int, outcome: ScriptResponse | RequestFailedError) -> None:
        future = self._waiting.get(request_id)
        if future is None or future.done():
            return  # the caller was cancelled
        if isinstance(outcome, RequestFailedError):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
