"""Every engine, in both roles, keeps the promise of ``Machine``: whatever the stream brings, it does not raise.

Each engine talks to an honest peer over a line that an attacker holds. Good octets, recorded ones, damaged ones, well
framed but invented ones and noise arrive in any cut, many messages in one ``receive``, while time passes, the owner
makes requests and the medium is lost between any two octets. A new engine is one line in ``ENGINES``.
"""

import gc
import inspect
import pkgutil
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from itertools import count
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import pytest

from meterspan import engine
from meterspan.engine.association.client import ClientAssociation
from meterspan.engine.association.records import GetList
from meterspan.engine.association.server import ServerAssociation
from meterspan.engine.association.states import AssociationState
from meterspan.engine.frame_trace import FrameDirection, FrameTracer, HdlcCutter, WrapperCutter
from meterspan.engine.hdlc.link import HdlcLink
from meterspan.engine.link import Role
from meterspan.engine.mbus_link import MbusMaster, MbusSlave
from meterspan.engine.mbus_polling import MbusPoller, PolledSlave
from meterspan.engine.mbus_readout import MbusReadout, SlaveAddress
from meterspan.engine.mbus_search import BusSearch, primary_search, secondary_search
from meterspan.engine.push import PushSink
from meterspan.engine.security import SecurityContext
from meterspan.engine.session import Session, Sleep, fetch, fetch_each, fetch_encoded, perform
from meterspan.engine.uplink import Push, Uplink
from meterspan.engine.wmbus_receiver import WmbusReceiver
from meterspan.engine.wrapper_link import WrapperConfig, WrapperLink
from meterspan.wire.axdr import integer, long, visible_string
from meterspan.wire.damaged import Damaged
from meterspan.wire.errors import WireError
from meterspan.wire.hdlc import HdlcAddress, HdlcFrame, HdlcReader, write_frame
from meterspan.wire.hdlc.llc import LLC_COMMAND, LLC_RESPONSE
from meterspan.wire.mbus import build_header, build_record
from meterspan.wire.mbus.address import DeviceAddress
from meterspan.wire.mbus.application import Selection
from meterspan.wire.mbus.link import FrameReader, LinkFrame, write_link_frame
from meterspan.wire.p1 import P1Reader
from meterspan.wire.sml import find_frames
from meterspan.wire.wrapper import WrapperPdu, WrapperReader, write_wpdu
from meterspan.wire.xdlms import (
    CaptureObjectDefinition,
    DataNotification,
    DataNotificationConfirm,
    LongInvokeIdAndPriority,
    read_apdu,
    write_apdu,
)
from tests.helpers_cosem import (
    CLOCK,
    ENERGY,
    EXPORT,
    GMAC,
    KEYS,
    LLS,
    METER_TITLE,
    NOTE,
    PROFILE,
    SERIAL,
    SHA1,
    SWITCH,
    MemoryCounters,
    TestMeter,
    action_of,
    client_security,
    get_of,
    join,
    links,
    set_of,
)
from tests.helpers_push import PushSource
from tests.helpers_wire import Pair

pytestmark = pytest.mark.nonces_repeat("a new bench for each stream, with the same keys")

START = 1_700_000_000.0
STEPS = 350
"""Steps of one quick run, each of which delivers one cut; a thousand octets arrive in about fifty."""
SEEDS = 5
DEEP_OCTETS = 1_000_000
DEEP_STEPS = 10_000
HELD_MAX = 300_000
"""Octets of memory that a machine may hold beyond what it began with, its events taken: one longest APDU on its way
in, one on its way out, and HDLC's output bound."""
UNTAKEN_STEPS_MAX = 20
"""How long an owner may leave events and octets where they are."""


@dataclass
class Bench:
    """One engine on the bench.

    Attributes:
        subject: the machine under test.
        peer: an honest machine at the other end.
        begin: starts the talk, given the time.
        moves: what the owner of the subject may ask of it at any time.
        peer_moves: the same at the other end.
        forge: makes one whole message for the subject, well framed, with invented content.
        unit: whether octets arrive in whole datagrams.

    """

    subject: Any
    peer: Any
    begin: Callable[[float], None]
    moves: Sequence[Callable[[float], None]] = ()
    peer_moves: Sequence[Callable[[float], None]] = ()
    forge: Callable[[random.Random], bytes] = random.Random.randbytes
    unit: bool = False


@dataclass(frozen=True)
class Engine:
    """One line of the registry: which class, and how to put it on the bench."""

    name: str
    machine: type
    make: Callable[[], Bench]


# APDUs and frames that an attacker constructs.

_TAGS = bytes.fromhex("60616263 0E01080F C0C1C2C3C4C5C7 C8CBCCD0D4D8 DBDCDDE0")
_READ = bytes.fromhex("C001C100010000600100FF0200")
_APDUS = tuple(
    map(
        bytes.fromhex,
        (
            "D80101",
            "D801060000FFFF",
            "D80105",
            "0E010601",
            "6203800100",
            "6303800100",
            "601DA109060760857405080101BE10040E01000000065F1F0400007E1FFFFF",
            "6129A109060760857405080101A203020100A305A103020100BE10040E0800065F1F0400001E1DFFFF0007",
            "6129A109060760857405080101A203020101A305A10302010DBE10040E0800065F1F0400001E1DFFFF0007",
            "C40101000600000001",
            "C4010101",
            "C402010100000001000402060000000A",
            "C402010000000001000106",
            "C402010100000002010B",
            "C403010200060000000100060000000A",
            "C5010100",
            "C5020100000001",
            "C701010000",
            "C70101000100091110000000010102030405060708090A0B0C",
            "C702010100000001020900",
            "C002C100000001",
            "C1020100010000600D00FF02000000000102AA55",
            "C1030100000000020109",
            "C3020100080000010000FF0601000000010103",
            "C30601010000000109",
            "0F000000010002020600000001090101",
            "DB084D53500000000001131000000001" + "00" * 14,
            "C80E300000000100112233445566778899AABBCC",
            "2113310000000100112233445566778899AABBCC0011",
        ),
    )
)


def forged_apdu(rng: random.Random) -> bytes:
    """Invent an APDU: a known one, a damaged one, or a tag and noise."""
    choice = rng.random()
    if choice < 0.45:
        return rng.choice(_APDUS)
    if choice < 0.75:
        return damaged(rng.choice(_APDUS), rng) or b"\xd8"
    return bytes((rng.choice(_TAGS),)) + rng.randbytes(rng.choice((0, 1, 7, 40, 300)))


def damaged(octets: bytes, rng: random.Random) -> bytes:
    """Flip, cut, repeat or insert some octets."""
    mutable = bytearray(octets)
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(len(mutable) + 1)
        match rng.randrange(4):
            case 0 if at < len(mutable):
                mutable[at] ^= 1 << rng.randrange(8)
            case 1:
                del mutable[at : at + rng.choice((1, 2, 9))]
            case 2:
                mutable[at:at] = rng.randbytes(rng.choice((1, 2, 9)))
            case _:
                mutable[at:at] = mutable[max(0, at - 9) : at]
    return bytes(mutable)


_CONTROLS = (0x93, 0x53, 0x73, 0x1F, 0x97, 0x13, 0x03, 0x11, 0x15, 0x19, 0x10, 0x30, 0x32, 0x52, 0x54, 0x71, 0x31, 0x51)
"""SNRM, DISC, UA, DM, FRMR, UI with and without P/F, RR, RNR, REJ, and I frames of likely numbers."""


def hdlc_forger(own: HdlcAddress, peer: HdlcAddress, llc: bytes) -> Callable[[random.Random], bytes]:
    """Make frames for the station ``own``, as if from ``peer``."""

    def forge(rng: random.Random) -> bytes:
        control = rng.choice(_CONTROLS) if rng.random() < 0.7 else rng.randrange(256)
        information = b""
        if rng.random() < 0.7:
            information = llc + forged_apdu(rng) if rng.random() < 0.8 else rng.randbytes(rng.randrange(40))
        frame = HdlcFrame(own, peer, control, information, segmented=rng.random() < 0.2)
        if rng.random() < 0.1:
            frame = replace(frame, source=own, destination=peer)
        return write_frame(frame)

    return forge


def wrapper_forger(own: int, peer: int) -> Callable[[random.Random], bytes]:
    """Make wrapper PDUs for the port ``own``, as if from ``peer``; now and then none at all."""

    def forge(rng: random.Random) -> bytes:
        if rng.random() < 0.05:
            return rng.choice(
                (b"\xff\xff\xff\xff", bytes.fromhex("000100010001FFFF"), bytes.fromhex("0001000100010000"))
            )
        source = peer if rng.random() < 0.9 else rng.randrange(0x10000)
        return write_wpdu(WrapperPdu(source, own, forged_apdu(rng)))

    return forge


def forger(kind: str, sap: int, role: Role) -> Callable[[random.Random], bytes]:
    """Make messages for one side of ``helpers_cosem.links``."""
    if kind == "wrapper":
        return wrapper_forger(sap, 1) if role is Role.CLIENT else wrapper_forger(1, sap)
    client, server = HdlcAddress(sap), HdlcAddress.server(1, 17)
    return (
        hdlc_forger(client, server, LLC_RESPONSE) if role is Role.CLIENT else hdlc_forger(server, client, LLC_COMMAND)
    )


def forged_mbus(rng: random.Random) -> bytes:
    """Make a wired M-Bus frame with a right checksum."""
    if rng.random() < 0.15:
        return b"\xe5"
    control = rng.choice((0x08, 0x28, 0x18, 0x38, 0x40, 0x53, 0x73, 0x5B, 0x7B, 0x5A, rng.randrange(256)))
    payload = None
    if rng.random() < 0.8:
        ci = rng.choice(b"\x72\x72\x78\x7a\x51\x52\x50\xb8\xbd\x6c") if rng.random() < 0.9 else rng.randrange(256)
        payload = bytes((ci,)) + rng.randbytes(rng.choice((0, 8, 12, 30, 200)))
    return write_link_frame(LinkFrame(control, rng.choice((0, 1, 253, 254, 255)), payload))


# Each engine on its bench.


def link_bench(kind: str, role: Role, *, datagrams: bool = False) -> Bench:
    client, server = links(kind, 16)
    if datagrams:
        client = WrapperLink(Role.CLIENT, WrapperConfig(16, 1, is_datagram=True))
        server = WrapperLink(Role.SERVER, WrapperConfig(1, 16, is_datagram=True))
    subject, peer = (client, server) if role is Role.CLIENT else (server, client)

    def sending(link: Any, size: int) -> Callable[[float], None]:
        def send(now: float) -> None:
            if link.is_up:
                try:
                    link.send(b"\xc0" * size, now)
                except ValueError as error:
                    assert "wait to be sent" in str(error)  # noqa: PT017 - the bound that the port names

        return send

    def begin(now: float) -> None:
        server.connect(now)
        client.connect(now)

    moves = [sending(subject, 20), sending(subject, 900), lambda now: subject.send_unnumbered(b"\x0f", now), begin]
    if kind == "wrapper":
        moves[2] = sending(subject, 7)
    return Bench(
        subject,
        peer,
        begin,
        [*moves, subject.disconnect],
        [sending(peer, 20), sending(peer, 900), peer.disconnect],
        forger(kind, 16, role),
        unit=datagrams,
    )


_REQUESTS = (
    get_of(1, SERIAL),
    get_of(7, PROFILE),
    get_of(7, PROFILE, encoded=True),
    GetList((get_of(3, ENERGY), get_of(3, EXPORT), get_of(3, EXPORT, 3))),
    set_of(1, NOTE, 2, visible_string("n" * 300)),
    action_of(8, CLOCK, 6, long(3)),
    action_of(70, SWITCH, 2, visible_string("e" * 300)),
    action_of(70, SWITCH, 1, integer(5)),
)


def association_bench(kind: str, way: Any, role: Role) -> Bench:
    settings = (way[0], replace(way[1], max_pdu=200))
    _, client, server, _ = join(kind, settings, TestMeter(rows=5))

    def associate(now: float) -> None:
        server.connect(now)
        if client.state is AssociationState.IDLE:
            client.associate(now)

    def asking(request: Any) -> Callable[[float], None]:
        def ask(now: float) -> None:
            if len(client._waiting) < 20:
                client.request(request, now)

        return ask

    client_moves = [associate, *map(asking, _REQUESTS), *map(asking, _REQUESTS), client.release]
    server_moves = [server.connect]
    subject, peer = (client, server) if role is Role.CLIENT else (server, client)
    moves, peer_moves = (client_moves, server_moves) if role is Role.CLIENT else (server_moves, client_moves)
    return Bench(subject, peer, associate, moves, peer_moves, forger(kind, way[0], role))


def session_bench(kind: str, way: Any) -> Bench:
    _, client, server, _ = join(kind, way, TestMeter(rows=5))

    def script() -> Iterator[Any]:
        while True:
            yield from fetch_encoded(get_of(7, PROFILE, encoded=True))
            yield from fetch_each(get_of(3, ENERGY), get_of(3, EXPORT))
            yield from perform(action_of(8, CLOCK, 6, long(1)))
            yield from fetch(get_of(1, SERIAL))
            yield Sleep(2.0)

    class Sessions:
        """One session after the other over one association, as a machine."""

        def __init__(self) -> None:
            self.session = Session(client, script(), timeout_s=1_000.0)
            self.is_started = False

        def start(self, now: float) -> None:
            server.connect(now)
            if self.session.deadline() is None and client.state is AssociationState.IDLE:
                self.session, self.is_started = Session(client, script(), timeout_s=1_000.0), False
            if not self.is_started and client.state is AssociationState.IDLE:
                self.is_started = True
                self.session.start(now)

        def cancel(self, now: float) -> None:
            self.session.cancel(now)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.session, name)

    subject = Sessions()
    return Bench(
        subject, server, subject.start, [subject.start] * 9 + [subject.cancel], (), forger(kind, way[0], Role.CLIENT)
    )


class Rows:
    """An outbox that gets three rows at a time."""

    def __init__(self) -> None:
        self.through = 0
        self.last = 3

    def next_push(self) -> Push | None:
        return Push(self.through + 1, visible_string("row")) if self.through < self.last else None

    def pushed(self, through: int) -> None:
        self.through = through


class ConfirmingHeadEnd:
    """Confirms every notification that it can open."""

    def __init__(self) -> None:
        self.link = WrapperLink(Role.SERVER, WrapperConfig(1, 1))
        self.security = client_security(peer_title=METER_TITLE)

    def receive(self, octets: bytes, now: float) -> None:
        self.link.receive(octets, now)
        while (event := self.link.next_event()) is not None:
            try:
                plain = read_apdu(self.security.unprotect(event.octets).octets)
            except (AttributeError, WireError):
                continue
            if isinstance(plain, DataNotification) and self.link.is_up:
                confirm = write_apdu(DataNotificationConfirm(LongInvokeIdAndPriority(plain.invoke.invoke_id)))
                self.link.send(self.security.protect(confirm, general=True), now)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.link, name)


def uplink_bench() -> Bench:
    security = SecurityContext(METER_TITLE, KEYS, counters=MemoryCounters())
    rows = Rows()
    link = WrapperLink(Role.CLIENT, WrapperConfig(1, 1, inactivity_timeout_s=None))
    subject, peer = Uplink(rows, security, link), ConfirmingHeadEnd()

    def connect(now: float) -> None:
        peer.connect(now)
        subject.connect(now)

    def add_rows(now: float) -> None:
        rows.last = rows.through + 3
        subject.wake(now)

    return Bench(subject, peer, connect, [connect, add_rows], (), wrapper_forger(1, 1))


def push_sink_bench(kind: str) -> Bench:
    meter = TestMeter(rows=1)
    client, server = links(kind, 1)
    context = client_security()
    source = PushSource(meter.device, security=meter.security())
    subject = PushSink(client, security_of=lambda title: context if title == METER_TITLE else None)

    def push(now: float) -> None:
        if kind == "hdlc" or server.is_up:
            server.send_unnumbered(source.notification([CaptureObjectDefinition(3, ENERGY, 2)], now), now)

    def connect(now: float) -> None:
        server.connect(now)
        client.connect(now)

    return Bench(subject, server, connect, [connect], [push], forger(kind, 1, Role.CLIENT))


def mbus_bench(role: Role) -> Bench:
    master = MbusMaster()
    identity = DeviceAddress.of("MSP", "12345678", 1, 7)
    records = [build_record(build_header(0x4, b"\x13", storage=number), 7) for number in range(60)]
    slave = MbusSlave(1, identity, lambda: records)

    def read(now: float) -> None:
        if len(master._waiting) < 20:
            master.read(1, now)
            master.select(Selection(bytes.fromhex("78563412FFFFFFFF")), now)
            master.read(253, now)
            master.send(1, bytes.fromhex("5104130000"), now)
            master.initialise(1, now)

    def search(now: float) -> None:
        if master._search is None and len(master._waiting) < 20:
            master.search(now, "1234567")

    moves = [read, read, search]
    if role is Role.CLIENT:
        return Bench(master, slave, read, moves, (), forged_mbus)
    return Bench(slave, master, read, (), moves, forged_mbus)


def readout_bench() -> Bench:
    bench = mbus_bench(_SERVER)
    readout = MbusReadout(SlaveAddress(1))
    return Bench(readout, bench.subject, readout.start, (), (), forged_mbus)


def search_bench(search: BusSearch) -> Bench:
    bench = mbus_bench(_SERVER)
    return Bench(search, bench.subject, search.start, (), (), forged_mbus)


def poller_bench() -> Bench:
    bench = mbus_bench(_SERVER)
    slaves = [PolledSlave("1", SlaveAddress(1)), PolledSlave("nobody", SlaveAddress(9))]
    poller = MbusPoller(slaves, every_s=60.0)

    def connect(now: float) -> None:
        poller.advance(now)
        poller.connect(now)

    return Bench(poller, bench.subject, connect, [connect], (), forged_mbus)


def _associations(role: Role) -> list[Engine]:
    name, machine = ("client", ClientAssociation) if role is Role.CLIENT else ("server", ServerAssociation)
    return [
        Engine(f"{name} association, {kind}, {label}", machine, lambda k=kind, w=way: association_bench(k, w, role))
        for kind in ("hdlc", "wrapper")
        for label, way in (("password", LLS), ("SHA-1", SHA1), ("ciphered", GMAC))
    ]


_CLIENT, _SERVER = Role.CLIENT, Role.SERVER
ENGINES = [
    Engine("HDLC client", HdlcLink, lambda: link_bench("hdlc", _CLIENT)),
    Engine("HDLC server", HdlcLink, lambda: link_bench("hdlc", _SERVER)),
    Engine("wrapper client", WrapperLink, lambda: link_bench("wrapper", _CLIENT)),
    Engine("wrapper server", WrapperLink, lambda: link_bench("wrapper", _SERVER)),
    Engine("wrapper client, datagrams", WrapperLink, lambda: link_bench("wrapper", _CLIENT, datagrams=True)),
    Engine("wrapper server, datagrams", WrapperLink, lambda: link_bench("wrapper", _SERVER, datagrams=True)),
    *_associations(_CLIENT),
    *_associations(_SERVER),
    Engine("session, hdlc", Session, lambda: session_bench("hdlc", LLS)),
    Engine("session, wrapper", Session, lambda: session_bench("wrapper", GMAC)),
    Engine("uplink", Uplink, uplink_bench),
    Engine("push sink, hdlc", PushSink, lambda: push_sink_bench("hdlc")),
    Engine("push sink, wrapper", PushSink, lambda: push_sink_bench("wrapper")),
    Engine("M-Bus master", MbusMaster, lambda: mbus_bench(_CLIENT)),
    Engine("M-Bus slave", MbusSlave, lambda: mbus_bench(_SERVER)),
    Engine("M-Bus readout", MbusReadout, readout_bench),
    Engine("M-Bus poller", MbusPoller, poller_bench),
    Engine("M-Bus search by primary address", BusSearch, lambda: search_bench(primary_search([1, 2, 3]))),
    Engine("M-Bus search by secondary address", BusSearch, lambda: search_bench(secondary_search("1234567"))),
]
engines = pytest.mark.parametrize("entry", ENGINES, ids=lambda entry: entry.name.replace(", ", "-").replace(" ", "-"))


def recording(make: Callable[[], Bench]) -> list[bytes]:
    """Record what an undisturbed talk brings to the subject."""
    bench = make()
    pair = Pair(bench.subject, bench.peer, now=START)
    bench.begin(pair.now)
    pair.run(pair.now + 5)
    for move in (*bench.moves, *bench.peer_moves):
        move(pair.now)
        pair.run(pair.now + 5)
    recorded = [octets for mark, octets in pair.log if mark == "<"]
    assert recorded, "an honest peer has something to say"
    return recorded


class Storm:
    """A bench under attack; every choice comes from one seed."""

    def __init__(self, entry: Engine, seed: int) -> None:
        self.rng = random.Random(seed)  # noqa: S311 - a test that can be repeated
        self.bench = entry.make()
        self.recorded = recording(entry.make)
        self.now = START
        self.delivered = 0
        self.untaken = 0
        self.inbound = bytearray()
        self.datagrams: list[bytes] = []
        self.bench.begin(self.now)
        self.take()
        self.base = held(self.bench.subject)

    def step(self) -> None:
        """Let something happen, deliver a cut, and now and then take what came of it."""
        bench, rng = self.bench, self.rng
        happening = rng.random()
        if happening < 0.30:
            self.arrive(self.invented())
        elif happening < 0.45 and bench.moves:
            rng.choice(bench.moves)(self.now)
        elif happening < 0.55 and bench.peer_moves:
            rng.choice(bench.peer_moves)(self.now)
        elif happening < 0.70:
            self.let_time_pass()
        elif happening < 0.73:
            self.lose_the_medium()
        self.deliver()
        self.untaken += 1
        if self.untaken > UNTAKEN_STEPS_MAX or rng.random() < 0.7:
            self.take()

    def invented(self) -> bytes:
        """Invent octets: forged messages, recorded ones, damaged ones, noise; one or many."""
        rng = self.rng
        choice = rng.random()
        if choice < 0.5:
            return b"".join(self.bench.forge(rng) for _ in range(rng.choice((1, 1, 2, 6))))
        if choice < 0.65:
            return b"".join(rng.choices(self.recorded, k=rng.choice((1, 1, 3))))
        if choice < 0.9:
            return damaged(rng.choice(self.recorded), rng)
        return rng.randbytes(rng.choice((1, 3, 20, 200)))

    def arrive(self, octets: bytes) -> None:
        if self.bench.unit:
            self.datagrams.append(octets)
        self.inbound += octets

    def deliver(self) -> None:
        """Hand over a cut of what is on the line: one octet, a few, or all at once."""
        if self.bench.unit:
            for octets in self.datagrams:
                self.delivered += len(octets)
                self.bench.subject.receive(octets, self.now)
            self.datagrams.clear()
            return
        size = self.rng.choice((1, 3, 17, 200, len(self.inbound), len(self.inbound)))
        octets = bytes(self.inbound[:size])
        del self.inbound[:size]
        self.delivered += len(octets)
        self.bench.subject.receive(octets, self.now)

    def take(self) -> None:
        """Move events and octets at both ends; the line may lose or damage octets to the peer."""
        self.untaken = 0
        bench, rng = self.bench, self.rng
        for _ in range(rng.choice((1, 1, 4))):
            while bench.subject.next_event() is not None:
                pass
            octets = bench.subject.octets_to_send()
            if octets and rng.random() < 0.9:
                bench.peer.receive(damaged(octets, rng) if rng.random() < 0.1 else octets, self.now)
            while bench.peer.next_event() is not None:
                pass
            octets = bench.peer.octets_to_send()
            if octets:
                self.arrive(octets)

    def let_time_pass(self) -> None:
        due = [machine.deadline() for machine in (self.bench.subject, self.bench.peer)]
        soonest = min((moment for moment in due if moment is not None), default=self.now)
        self.now = max(self.now, soonest) + self.rng.choice((0.0, 0.0, 0.01, 0.3, 40.0, 700.0))
        for machine in (self.bench.subject, self.bench.peer):
            machine.advance(self.now)

    def lose_the_medium(self) -> None:
        """Lose the line with whatever is on it, and begin again."""
        self.inbound.clear()
        for machine in (self.bench.subject, self.bench.peer):
            if hasattr(machine, "medium_lost"):
                machine.medium_lost(self.now)
        if self.rng.random() < 0.8:
            self.bench.begin(self.now)

    def assert_flat(self) -> None:
        """Nothing has grown: neither what the machine holds, nor how often it wants to be woken."""
        self.take()
        self.take()
        growth = held(self.bench.subject) - self.base
        assert growth < HELD_MAX, f"holds {growth} octets more than at the start"
        deadline = self.bench.subject.deadline()
        assert deadline is None or isinstance(deadline, float)


_ELSEWHERE = (type, ModuleType, FunctionType, BuiltinFunctionType)


def held(machine: Any) -> int:
    """Weigh everything that is reachable from a machine, but for code."""
    seen: dict[int, Any] = {}
    todo = [machine]
    while todo:
        item = todo.pop()
        if id(item) not in seen and not isinstance(item, _ELSEWHERE):
            seen[id(item)] = item
            todo += gc.get_referents(item)
    return sum(map(sys.getsizeof, seen.values()))


@engines
@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_stream_makes_an_engine_raise_or_grow(entry, seed):
    storm = Storm(entry, seed)
    for _ in range(STEPS):
        storm.step()
    storm.assert_flat()
    assert storm.delivered > STEPS


@engines
@pytest.mark.deep
def test_a_million_octets_cut_at_random_leave_an_engine_unmoved(entry):
    storm = Storm(entry, 5)
    for step in count():
        storm.step()
        if step % 2_000 == 0:
            storm.assert_flat()
        if step > DEEP_STEPS and storm.delivered > DEEP_OCTETS:
            break
    storm.assert_flat()


@engines
def test_a_talk_that_is_recorded_and_played_back_in_any_cut_makes_no_engine_raise(entry):
    stream = b"".join(recording(entry.make))[:3_000]
    for size in (1, 2, 7, 64, len(stream)):
        bench = entry.make()
        bench.begin(START)
        for at in range(0, len(stream), size):
            bench.subject.receive(stream[at : at + size], START)
            bench.subject.octets_to_send()
        while bench.subject.next_event() is not None:
            pass


@engines
def test_the_medium_may_be_lost_after_any_octet(entry):
    stream = b"".join(recording(entry.make))[:400]
    bench = entry.make()
    if not hasattr(bench.subject, "medium_lost"):
        pytest.skip("a bus has no connection to lose")
    bench.begin(START)
    for at in range(0, len(stream), 3):
        bench.subject.receive(stream[:at], START)
        bench.subject.medium_lost(START)
        bench.subject.advance(START + 1)
        bench.begin(START)
    bench.subject.medium_lost(START)


def test_the_registry_names_every_machine_of_the_engine_room():
    machines = set()
    for module in pkgutil.walk_packages(engine.__path__, f"{engine.__name__}."):
        for _, item in inspect.getmembers(import_module(module.name), inspect.isclass):
            is_protocol = getattr(item, "_is_protocol", False)
            if item.__module__ == module.name and not is_protocol and hasattr(item, "receive"):
                machines |= {item} if hasattr(item, "next_event") and not inspect.isabstract(item) else set()
    assert machines == {entry.machine for entry in ENGINES}


# What cuts a stream into messages, without being an engine.


def _hdlc_reader() -> Callable[[bytes], Any]:
    reader = HdlcReader()

    def feed(octets: bytes) -> None:
        assert all(isinstance(item, HdlcFrame | Damaged) for item in reader.feed(octets))

    return feed


def _wrapper_reader() -> Callable[[bytes], Any]:
    reader = WrapperReader()

    def feed(octets: bytes) -> None:
        nonlocal reader
        items = reader.feed(octets)
        if any(isinstance(item, Damaged) for item in items):
            reader = WrapperReader()

    return feed


def _mbus_reader() -> Callable[[bytes], Any]:
    reader = FrameReader()
    return lambda octets: list(reader.receive(octets))


def _p1_reader() -> Callable[[bytes], Any]:
    reader = P1Reader()

    def feed(octets: bytes) -> None:
        reader.receive(octets)
        while reader.next_telegram() is not None:
            pass

    return feed


def _tracer(*, is_hdlc: bool) -> Callable[[bytes], Any]:
    tracer = FrameTracer(HdlcCutter if is_hdlc else WrapperCutter)
    return lambda octets: tracer.feed(FrameDirection.RECEIVED, octets, START)


def _wmbus() -> Callable[[bytes], Any]:
    receiver = WmbusReceiver({bytes.fromhex("78563412"): bytes(16)})

    def feed(octets: bytes) -> None:
        try:
            receiver.read(octets)
        except WireError:
            return

    return feed


_RADIO = bytes.fromhex("1E446D10785634120107 7A2A000000 0413E8030000 023BC800 0000000000000000".replace(" ", ""))
_P1 = b"/ISk5\\2MT382-1000\r\n\r\n1-3:0.2.8(50)\r\n1-0:1.8.1(123456.789*kWh)\r\n!0000\r\n"
READERS = {
    "HDLC": (_hdlc_reader, hdlc_forger(HdlcAddress(16), HdlcAddress.server(1, 17), LLC_RESPONSE)),
    "wrapper": (_wrapper_reader, wrapper_forger(16, 1)),
    "M-Bus": (_mbus_reader, forged_mbus),
    "P1": (_p1_reader, lambda rng: rng.choice((_P1, damaged(_P1, rng), b"/\n!", b"/\n/", b"!\n"))),
    "SML": (lambda: lambda octets: list(find_frames(octets)), lambda rng: b"\x1b\x1b\x1b\x1b\x01\x01\x01\x01" * 2),
    "HDLC trace": (
        lambda: _tracer(is_hdlc=True),
        hdlc_forger(HdlcAddress(16), HdlcAddress.server(1, 17), LLC_RESPONSE),
    ),
    "wrapper trace": (lambda: _tracer(is_hdlc=False), wrapper_forger(16, 1)),
    "wM-Bus": (_wmbus, lambda rng: damaged(_RADIO, rng)),
}


@pytest.mark.parametrize("name", READERS)
def test_no_stream_makes_a_reader_raise_or_grow(name):
    make, forge = READERS[name]
    rng = random.Random(11)  # noqa: S311 - a test that can be repeated
    feed = make()
    feed(forge(rng))
    base = held(feed.__closure__)
    for _ in range(400):
        octets = forge(rng) if rng.random() < 0.6 else damaged(forge(rng), rng)
        size = rng.choice((1, 5, len(octets)))
        for at in range(0, len(octets), size or 1):
            feed(octets[at : at + size])
    assert held(feed.__closure__) - base < HELD_MAX
