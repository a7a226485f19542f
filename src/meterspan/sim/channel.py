"""Virtual media between sans-I/O machines: links of two (stream or datagram) and a radio that many hear.

Strategy: a ``Node`` puts one machine on the virtual clock (drains its octets and events, keeps its deadline); a
``SimulatedLink`` carries the octets of two nodes through ``MediumEffects``, which are plain data: latency, jitter,
rate, loss, damage, duplicates, reordering, outages. All randomness derives from one seed, so a run repeats exactly.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any, Generic, TypeVar

import numpy as np

from meterspan.engine.machine import Machine
from meterspan.sim.clock import Ticket, VirtualClock

__all__ = ["CarriedFrame", "Counts", "FrameFate", "Kind", "MediumEffects", "Node", "Radio", "SimulatedLink"]

EventT = TypeVar("EventT")

EVENTS_PER_DRAIN_MAX = 100_000
"""A machine with more events than this for one input is in an endless loop; the simulation raises."""


class Kind(StrEnum):
    """How a link transports written octets."""

    STREAM = "stream"
    """Ordered, like TCP: a loss or an outage delays, a long outage breaks."""
    SERIAL = "serial"
    """Ordered, like a cable or an optical head: a loss is a hole."""
    DATAGRAM = "datagram"
    """Each write is one frame of its own: may be lost, doubled, overtaken."""


class FrameFate(StrEnum):
    """What became of a frame."""

    DELIVERED = "delivered"
    DAMAGED = "damaged"
    LOST = "lost"
    DUPLICATED = "duplicated"
    DELAYED = "delayed"


@dataclass(frozen=True, slots=True)
class MediumEffects:
    """The effects of a medium on a frame; chances are 0..1 per frame.

    Attributes:
        latency_s: least time on the way, seconds.
        jitter_s: up to this much more, evenly spread.
        rate_bps: bits per second of each direction; None is unlimited.
        loss: chance of a loss.
        damage: chance that one to three bits flip.
        duplicate: chance of a second copy (datagrams, radio).
        reorder: chance that a datagram is held up by ``reorder_s`` and overtaken.
        reorder_s: by how much.
        outages: spans (start, end) of UTC seconds without any passage.
        retry_s: delay that a loss adds on a stream, seconds.
        give_up_s: a stream that an outage would hold longer than this breaks.

    """

    latency_s: float = 0.02
    jitter_s: float = 0.0
    rate_bps: float | None = None
    loss: float = 0.0
    damage: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    reorder_s: float = 0.5
    outages: tuple[tuple[float, float], ...] = ()
    retry_s: float = 0.3
    give_up_s: float = 60.0

    def outage_end(self, at: float) -> float | None:
        """Return the end of the outage that ``at`` lies in, or None."""
        return next((end for start, end in self.outages if start <= at < end), None)


@dataclass(slots=True)
class Counts:
    """Counts of a medium, in frames (writes)."""

    sent: int = 0
    delivered: int = 0
    lost: int = 0
    damaged: int = 0
    duplicated: int = 0
    delayed: int = 0
    breaks: int = 0
    octets: int = 0


@dataclass(frozen=True, slots=True)
class CarriedFrame:
    """One frame as it left its sender, and its fate."""

    at: float
    sender: str
    octets: bytes
    fate: FrameFate


class Node(Generic[EventT]):
    """One machine on the virtual clock.

    Args:
        clock: the virtual clock.
        machine: any engine.
        on_event: called with (event, now) for each event, in order; it may call requests of the machine.
        name: for traces.

    """

    __slots__ = ("_clock", "_draining", "_timer", "machine", "name", "on_event", "send")

    def __init__(
        self,
        clock: VirtualClock,
        machine: Machine[EventT],
        on_event: Callable[[EventT, float], object] = lambda _event, _now: None,
        *,
        name: str = "",
    ) -> None:
        self._clock = clock
        self.machine = machine
        self.on_event = on_event
        self.name = name
        self.send: Callable[[bytes], None] = lambda _octets: None
        self._timer: Ticket | None = None
        self._draining = False

    def receive(self, octets: bytes) -> None:
        """Pass octets to the machine, then move its octets, events and timer."""
        self.machine.receive(octets, self._clock.now)
        self.poll()

    def poll(self) -> None:
        """Move all octets and events and set the timer; call it after each request made from outside."""
        if self._draining:  # an event handler made a request: the loop below takes it
            return
        self._draining = True
        try:
            for _ in range(EVENTS_PER_DRAIN_MAX):
                octets = self.machine.octets_to_send()
                if octets:
                    self.send(octets)
                event = self.machine.next_event()
                if event is not None:
                    self.on_event(event, self._clock.now)
                elif not octets:
                    break
            else:
                raise RuntimeError(f"machine {self.name!r} has no end of events")
        finally:
            self._draining = False
        self._set_timer()

    def _set_timer(self) -> None:
        deadline = self.machine.deadline()
        if self._timer is not None:
            if self._timer.action is not None and self._timer.at == deadline:
                return
            self._timer.cancel()
        self._timer = None if deadline is None else self._clock.schedule(deadline, self._advance)

    def _advance(self) -> None:
        self.machine.advance(self._clock.now)
        self.poll()


class _Chance:
    """Uniform numbers from one seed, drawn in blocks because single draws from numpy are slow."""

    __slots__ = ("_block", "_generator")

    BLOCK = 1024

    def __init__(self, seed: int) -> None:
        self._generator = np.random.default_rng(seed)
        self._block: list[float] = []

    def draw(self) -> float:
        if not self._block:
            self._block = self._generator.random(self.BLOCK).tolist()
        return self._block.pop()

    def happens(self, chance: float) -> bool:
        return chance > 0 and self.draw() < chance

    def flip_bits(self, octets: bytes) -> bytes:
        damaged = bytearray(octets)
        for bit in {int(self.draw() * 8 * len(octets)) for _ in range(1 + int(self.draw() * 3))}:
            damaged[bit // 8] ^= 1 << bit % 8
        return bytes(damaged)


@dataclass(slots=True)
class _Way:
    """One direction of a link: when its sender is free again, and when its last octet arrives."""

    free_at: float = 0.0
    last_arrival: float = 0.0


class _Carrier:
    """The common part of links and radio: chance, counts, trace and the way of one frame."""

    __slots__ = ("_chance", "_trace", "clock", "counts", "medium")

    def __init__(self, clock: VirtualClock, medium: MediumEffects, seed: int, trace_frames: int) -> None:
        self.clock = clock
        self.medium = medium
        self.counts = Counts()
        self._chance = _Chance(seed)
        self._trace: deque[CarriedFrame] = deque(maxlen=trace_frames)

    @property
    def trace(self) -> tuple[CarriedFrame, ...]:
        """The latest frames, oldest first, as many as were asked for."""
        return tuple(self._trace)

    def _note(self, sender: str, octets: bytes, fate: FrameFate) -> None:
        if self._trace.maxlen:
            self._trace.append(CarriedFrame(self.clock.now, sender, octets, fate))

    def _time_on_the_way(self, size: int, way: _Way, medium: MediumEffects) -> float:
        now = self.clock.now
        if medium.rate_bps is not None:
            way.free_at = max(way.free_at, now) + 8 * size / medium.rate_bps
            now = way.free_at
        return now + medium.latency_s + (medium.jitter_s * self._chance.draw() if medium.jitter_s else 0.0)

    def _carry_datagram(
        self, sender: str, octets: bytes, *, medium: MediumEffects, way: _Way, deliver: Callable[[bytes], None]
    ) -> None:
        chance, counts = self._chance, self.counts
        arrival = self._time_on_the_way(len(octets), way, medium)
        if medium.outage_end(self.clock.now) is not None or chance.happens(medium.loss):
            counts.lost += 1
            self._note(sender, octets, FrameFate.LOST)
            return
        fate = FrameFate.DELIVERED
        if chance.happens(medium.reorder):
            counts.delayed += 1
            arrival, fate = arrival + medium.reorder_s, FrameFate.DELAYED
        if chance.happens(medium.duplicate):
            counts.duplicated += 1
            fate = FrameFate.DUPLICATED
            self.clock.schedule(arrival + medium.reorder_s * chance.draw(), lambda: deliver(octets))
        arrived = octets
        if chance.happens(medium.damage):
            counts.damaged += 1
            arrived, fate = chance.flip_bits(octets), FrameFate.DAMAGED
        self._note(sender, octets, fate)
        self.clock.schedule(arrival, lambda: deliver(arrived))


class SimulatedLink(_Carrier):
    """Joins two nodes.

    Args:
        left: one node; its ``send`` is taken over by the link.
        right: the other.
        medium: loss, damage and delay on the way.
        kind: stream, serial or datagram.
        seed: of all chance on this link.
        trace_frames: how many of the latest frames to keep for ``trace``.
        on_break: called once with the time when a stream breaks; the owner reports it to the machines.

    """

    __slots__ = ("_ways", "is_open", "kind", "left", "on_break", "right")

    def __init__(
        self,
        left: Node[Any],
        right: Node[Any],
        *,
        clock: VirtualClock,
        medium: MediumEffects | None = None,
        kind: Kind = Kind.STREAM,
        seed: int = 0,
        trace_frames: int = 0,
        on_break: Callable[[float], object] = lambda _now: None,
    ) -> None:
        super().__init__(clock, medium or MediumEffects(), seed, trace_frames)
        self.left, self.right, self.kind, self.on_break = left, right, kind, on_break
        self.is_open = True
        self._ways = (_Way(), _Way())
        left.send = lambda octets: self._carry(octets, left.name or "left", self._ways[0], right.receive)
        right.send = lambda octets: self._carry(octets, right.name or "right", self._ways[1], left.receive)

    def poll(self) -> None:
        """Move the octets and events of both machines; call it after a request made from outside."""
        self.left.poll()
        self.right.poll()

    def break_off(self) -> None:
        """Break the link; octets on the way are lost."""
        if self.is_open:
            self.is_open = False
            self.counts.breaks += 1
            self.on_break(self.clock.now)

    def _carry(self, octets: bytes, sender: str, way: _Way, receive: Callable[[bytes], None]) -> None:
        self.counts.sent += 1
        self.counts.octets += len(octets)
        if not self.is_open:
            self.counts.lost += 1
            self._note(sender, octets, FrameFate.LOST)
        elif self.kind is Kind.DATAGRAM:
            self._carry_datagram(
                sender, octets, medium=self.medium, way=way, deliver=lambda arrived: self._deliver(arrived, receive)
            )
        else:
            self._carry_in_order(octets, sender, way, receive)

    def _carry_in_order(self, octets: bytes, sender: str, way: _Way, receive: Callable[[bytes], None]) -> None:
        medium, chance, counts, now = self.medium, self._chance, self.counts, self.clock.now
        arrival = self._time_on_the_way(len(octets), way, medium)
        outage_end = medium.outage_end(now)
        lost = chance.happens(medium.loss)
        fate, arrived = FrameFate.DELIVERED, octets
        if self.kind is Kind.SERIAL and (lost or outage_end is not None):
            counts.lost += 1
            self._note(sender, octets, FrameFate.LOST)
            return
        if outage_end is not None and outage_end - now > medium.give_up_s:
            counts.lost += 1
            self._note(sender, octets, FrameFate.LOST)
            self.clock.schedule(now + medium.give_up_s, self.break_off)
            return
        if outage_end is not None or lost:
            counts.delayed += 1
            arrival, fate = max(arrival, outage_end or 0.0) + medium.retry_s, FrameFate.DELAYED
        if chance.happens(medium.damage):
            counts.damaged += 1
            arrived, fate = chance.flip_bits(octets), FrameFate.DAMAGED
        way.last_arrival = max(way.last_arrival, arrival)
        self._note(sender, octets, fate)
        self.clock.schedule(way.last_arrival, lambda: self._deliver(arrived, receive))

    def _deliver(self, octets: bytes, receive: Callable[[bytes], None]) -> None:
        if not self.is_open:
            self.counts.lost += 1
            return
        self.counts.delivered += 1
        receive(octets)


@dataclass(frozen=True, slots=True)
class _RadioReceiver:
    hear: Callable[[bytes, float], object]
    medium: MediumEffects | None
    way: _Way = field(default_factory=_Way)


class Radio(_Carrier):
    """A broadcast medium: each listener hears each frame by its own chance (one is near, another behind two walls).

    Args:
        clock: the virtual clock.
        medium: for listeners without one of their own; it may be replaced while the clock runs.
        seed: of all chance.
        trace_frames: how many of the latest frames to keep.

    """

    __slots__ = ("_listeners",)

    def __init__(
        self, clock: VirtualClock, medium: MediumEffects | None = None, *, seed: int = 0, trace_frames: int = 0
    ) -> None:
        super().__init__(clock, medium or MediumEffects(latency_s=0.005), seed, trace_frames)
        self._listeners: list[_RadioReceiver] = []

    def listen(self, hear: Callable[[bytes, float], object], *, medium: MediumEffects | None = None) -> None:
        """Let ``hear(octets, now)`` be called for each frame that gets through."""
        self._listeners.append(_RadioReceiver(hear, medium))

    def transmit(self, octets: bytes, sender: str = "") -> None:
        """Send a frame to all listeners; each count is per listener, except ``sent``."""
        self.counts.sent += 1
        self.counts.octets += len(octets)
        for listener in self._listeners:
            deliver = partial(self._deliver, listener)
            medium = listener.medium or self.medium
            self._carry_datagram(sender, octets, medium=medium, way=listener.way, deliver=deliver)

    def _deliver(self, listener: _RadioReceiver, octets: bytes) -> None:
        self.counts.delivered += 1
        listener.hear(octets, self.clock.now)
