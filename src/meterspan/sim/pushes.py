"""Pushes of a district: each access point's uplink, the connections it asks for, and the head end's intake behind them.

Strategy: an ``Uplink`` exists as long as its access point has power; each time it wants a connection, a link to a fresh
machine of the intake is made, or refused while the fault plan has an outage. Silent connections are closed.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from meterspan.engine.links import TRANSPORTS, DeviceProtocol
from meterspan.engine.machine import WantsConnection
from meterspan.engine.uplink import Uplink
from meterspan.head_end.device_log import Frame
from meterspan.head_end.push_intake import PushConnection, PushIntake
from meterspan.head_end.system import HeadEnd
from meterspan.sim.building import AccessPointHost, Interfaces
from meterspan.sim.channel import MediumEffects, Node, SimulatedLink
from meterspan.sim.clock import VirtualClock
from meterspan.sim.g1 import CONNECT_TIMEOUT_S, HEAD_END, MediumOf

__all__ = ["Pushes"]

FRAMES_KEPT: Final = 4
PUSH_PEER: Final = "push"


@dataclass(slots=True)
class _UplinkLine:
    """One access point's uplink, and its connection while there is one."""

    host: AccessPointHost
    uplink: Uplink
    node: Node[Any]
    link: SimulatedLink | None = None
    connection: PushConnection | None = None


class Pushes:
    """Carries the pushes of all access points.

    Args:
        clock: the virtual clock.
        head_end: for the stories.
        intake: takes the pushes.
        medium_of: returns the medium of a target at an instant.
        interfaces: where messages are counted.
        seed: of all chance.

    """

    def __init__(
        self,
        clock: VirtualClock,
        head_end: HeadEnd,
        intake: PushIntake,
        *,
        medium_of: MediumOf,
        interfaces: Interfaces,
        seed: int,
    ) -> None:
        self._clock = clock
        self._head_end = head_end
        self._intake = intake
        self._medium_of = medium_of
        self._interfaces = interfaces
        self._seed = seed
        self._lines: dict[str, _UplinkLine] = {}
        self._count = 0

    def attach(self, host: AccessPointHost) -> None:
        """Connect the uplink of an access point that has started."""
        if host.point is None:
            return
        uplink = Uplink(host.point, host.context, TRANSPORTS["tcp"].push_sender())
        node: Node[Any] = Node(self._clock, uplink, name=host.name)
        line = self._lines[host.name] = _UplinkLine(host, uplink, node)
        node.on_event = partial(self._take, line)

    def detach(self, name: str) -> None:
        """Forget the uplink of an access point that lost its power; the head end sees the connection die."""
        line = self._lines.pop(name, None)
        if line is not None:
            self._close(line)

    def attend(self) -> None:
        """Wake the uplinks that have rows, and close connections that the head end has given up."""
        now = self._clock.now
        for line in self._lines.values():
            if line.connection is not None and not line.connection.is_up:
                self._close(line)
                line.uplink.medium_lost(now)
                line.node.poll()
            if line.host.outbox:
                line.uplink.wake(now)
                line.node.poll()

    def _take(self, line: _UplinkLine, event: object, now: float) -> None:
        if not isinstance(event, WantsConnection):
            return
        medium = self._medium_of(line.host.name, now)
        if medium.outage_end(now) is not None:
            self._clock.schedule(now + CONNECT_TIMEOUT_S, partial(self._refuse, line))
        else:
            self._clock.schedule(now, partial(self._connect, line, medium))

    def _refuse(self, line: _UplinkLine) -> None:
        line.uplink.medium_lost(self._clock.now)
        line.node.poll()

    def _connect(self, line: _UplinkLine, medium: MediumEffects) -> None:
        if self._lines.get(line.host.name) is not line:  # its power failed meanwhile
            return
        now = self._clock.now
        self._count += 1
        connection = self._intake.connection(f"{line.host.name} {PUSH_PEER}")
        far: Node[Any] = Node(self._clock, connection, name=HEAD_END)
        line.link = SimulatedLink(
            line.node,
            far,
            clock=self._clock,
            medium=medium,
            seed=self._seed * 1_000_003 + self._count,
            trace_frames=FRAMES_KEPT,
            on_break=partial(self._broken, line),
        )
        line.connection = connection
        connection.connect(now)
        line.uplink.connect(now)
        line.link.poll()

    def _broken(self, line: _UplinkLine, now: float) -> None:
        self._close(line)
        line.uplink.medium_lost(now)
        line.node.poll()

    def _close(self, line: _UplinkLine) -> None:
        link, connection = line.link, line.connection
        line.link = line.connection = None
        if link is None or connection is None:
            return
        link.is_open = False
        connection.medium_lost(self._clock.now)
        link.right.poll()
        self._interfaces.note("G1", link.counts.octets, link.counts.sent)
        for frame in link.trace:
            kept = Frame(frame.at, frame.sender == HEAD_END, str(DeviceProtocol.DLMS_WRAPPER), frame.octets)
            self._head_end.device_log.frame(line.host.name, kept)
