"""Interface G1 of a district: the head end's sessions with meters and access points, over seeded connections.

Strategy: whenever the planner has a job, a connection is made (or refused, where the fault plan has an outage), both
machines are put on the clock, and the ending goes back to the ``SessionMaker``. What passed is kept for the stories.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeAlias

from meterspan.engine.association.server import ServerAssociation
from meterspan.engine.link import Link
from meterspan.engine.links import DeviceProtocol, LinkAddresses, transport_of
from meterspan.engine.session import SessionDone, SessionFailed
from meterspan.head_end.device_log import Frame
from meterspan.head_end.planner import SessionJob
from meterspan.head_end.sessions import SessionMaker
from meterspan.head_end.system import HeadEnd
from meterspan.model.cosem.device import MANAGEMENT_CLIENT
from meterspan.model.failures import Failure, FailureKind
from meterspan.sim.building import Interfaces
from meterspan.sim.channel import MediumEffects, Node, SimulatedLink
from meterspan.sim.clock import Ticket, VirtualClock

__all__ = ["G1", "HEAD_END", "server_link"]

HEAD_END: Final = "head end"
CONNECT_TIMEOUT_S: Final = 10.0
"""How long the head end tries to connect where there is no answer."""
FRAMES_KEPT: Final = 12
"""Frames of each session that go into the story."""
SERVER_SAP: Final = 1
MediumOf: TypeAlias = Callable[[str, float], MediumEffects]
"""Returns the connection of a target at an instant, outages included."""
ServerOf: TypeAlias = Callable[[str], ServerAssociation | None]
"""Makes the server side of a new connection; None where the target has no power."""


class G1:
    """Holds the sessions that the planner asks for.

    Args:
        clock: the virtual clock.
        head_end: whose planner is followed.
        maker: makes and settles sessions.
        server_of: the other side.
        medium_of: returns the medium of a target at an instant.
        interfaces: where messages are counted.
        seed: of all chance.

    """

    def __init__(
        self,
        clock: VirtualClock,
        head_end: HeadEnd,
        maker: SessionMaker,
        *,
        server_of: ServerOf,
        medium_of: MediumOf,
        interfaces: Interfaces,
        seed: int,
    ) -> None:
        self._clock = clock
        self._head_end = head_end
        self._maker = maker
        self._server_of = server_of
        self._medium_of = medium_of
        self._interfaces = interfaces
        self._seed = seed
        self._wake: Ticket | None = None

    def attend(self) -> None:
        """Start every session that may start now, and schedule the next start."""
        now = self._clock.now
        self._head_end.time_out_orders(now)
        while (job := self._head_end.planner.next_job(now)) is not None:
            self._hold(job)
        due = self._head_end.planner.deadline()
        if self._wake is not None:
            self._wake.cancel()
        # a segment that is full is looked at again a second later
        self._wake = None if due is None else self._clock.schedule(max(due, now + 1.0), self.attend)

    def _hold(self, job: SessionJob) -> None:
        now = self._clock.now
        medium = self._medium_of(job.target, now)
        server = self._server_of(job.target)
        if server is None or medium.outage_end(now) is not None:
            self._clock.schedule(now + CONNECT_TIMEOUT_S, partial(self._unreachable, job))
            return
        self._converse(job, server, medium)

    def _converse(self, job: SessionJob, server: ServerAssociation, medium: MediumEffects) -> None:
        now = self._clock.now
        session = self._maker.open(job, now)
        near: Node[Any] = Node(self._clock, session, name=HEAD_END)
        far: Node[Any] = Node(self._clock, server, name=job.target)
        link = SimulatedLink(
            near,
            far,
            clock=self._clock,
            medium=medium,
            seed=self._seed * 1_000_003 + job.job_id,
            trace_frames=FRAMES_KEPT,
        )
        near.on_event = partial(self._settle, job, link)
        link.on_break = partial(_lose, link)
        server.connect(now)
        session.start(now)
        link.poll()

    def _settle(self, job: SessionJob, link: SimulatedLink, event: object, now: float) -> None:
        """End a session: close the connection, keep its frames, report to the planner."""
        if not isinstance(event, SessionDone | SessionFailed):
            return
        link.is_open = False
        link.right.machine.medium_lost(now)  # type: ignore[attr-defined] # the right side is a ServerAssociation
        link.right.poll()
        self._interfaces.note("G1", link.counts.octets, link.counts.sent)
        self._keep_frames(job.target, link)
        self._maker.close(job, event, now)
        self._clock.schedule(now, self.attend)

    def _keep_frames(self, target: str, link: SimulatedLink) -> None:
        device = self._head_end.inventory.get(target)
        protocol = DeviceProtocol.DLMS_WRAPPER if device is None else device.protocol
        for frame in link.trace:
            self._head_end.device_log.frame(
                target, Frame(frame.at, frame.sender == HEAD_END, str(protocol), frame.octets)
            )

    def _unreachable(self, job: SessionJob) -> None:
        failure = Failure(FailureKind.UNREACHABLE, f"no connection within {CONNECT_TIMEOUT_S:g} s")
        self._maker.fail(job, failure, self._clock.now)
        self.attend()


def server_link(protocol: DeviceProtocol) -> Link:
    """Make the meter's end of a connection.

    Raises:
        ValueError: the protocol is not of sessions over G1.

    """
    transport = transport_of(protocol)
    if transport is None:
        raise ValueError(f"{protocol} is no protocol of G1")
    return transport.server(LinkAddresses(MANAGEMENT_CLIENT, SERVER_SAP))


def _lose(link: SimulatedLink, now: float) -> None:
    """Report to both ends that their connection broke."""
    for node in (link.right, link.left):
        node.machine.medium_lost(now)  # type: ignore[attr-defined] # sessions and servers have links below
        node.poll()
