"""One telegram, six consumers, one truth: decode, listen, home, access point, head end and display.

Each consumer's answer is brought into one form: OBIS code, exact value in the base unit of the supply, UTC seconds.
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias

import pytest

from meterspan.app.decoding import answer_lines
from meterspan.app.home_host import HomeConfig, HomeHost
from meterspan.app.listening import TelegramListener
from meterspan.display.model import DisplayModel
from meterspan.engine.links import TRANSPORTS, DeviceProtocol
from meterspan.engine.mbus_security import Protection, build_telegram
from meterspan.engine.security import SecurityContext, SecurityKeys
from meterspan.engine.wmbus_receiver import InsecureWmbusReceiver
from meterspan.head_end.contexts import ContextCache
from meterspan.head_end.inventory import ChannelPlan, Device, KeyCustody, KeyPurpose
from meterspan.head_end.push_intake import PushIntake
from meterspan.head_end.system import HeadEnd
from meterspan.lnap.access_point import AccessPoint, AccessPointConfig
from meterspan.lnap.channel import LocalMeter
from meterspan.mdm import MeterDataManagement
from meterspan.model.cosem.profile import write_capture_objects
from meterspan.model.radio_protection import RadioProtection, RadioSettings
from meterspan.model.readings import CaptureBlock, MeterEvent
from meterspan.quantities import CATALOGUE, UNITS, ClockTime, Commodity, Obis, Scaled, parse_obis
from meterspan.readings.mbus import rows_of_mbus
from meterspan.readings.p1 import rows_of_p1
from meterspan.readings.rows import HeardTelegram
from meterspan.runtime.state import StateFile
from meterspan.wire.axdr import double_long_unsigned, enum, integer, octet_string, structure
from meterspan.wire.axdr.clock import write_clock_time
from meterspan.wire.mbus.address import DeviceAddress
from meterspan.wire.mbus.transport import HeaderKind, TransportHeader
from meterspan.wire.p1 import crc_of, read_telegram
from meterspan.wire.sml import Integer, write_frame
from meterspan.wire.wmbus.frame import FrameFormat, LinkHeader
from meterspan.wire.xdlms import CaptureObjectDefinition, DataNotification, LongInvokeIdAndPriority, write_apdu
from tests.memory import MemoryOutbox, MemoryState
from tests.readings.frames import sml_capture

Truth: TypeAlias = tuple[Obis, Fraction, int]

NOW = datetime(2026, 3, 2, 11, 0, 20, tzinfo=UTC)
HEARD = NOW.timestamp()
MIDNIGHT = datetime(2026, 3, 1, 23, 0, tzinfo=UTC)  # of Berlin
HEAD_END, POINT = b"MSPH\0\0\0\1", b"MSPL\0\0\0\1"
KEYS = SecurityKeys(bytes(range(16)), bytes(range(16, 32)))


TOTAL, DAY, NIGHT = "1-0:1.8.0({}*kWh)", "1-0:1.8.1({}*kWh)", "1-0:1.8.2({}*kWh)"
GAS = "0-1:24.1.0(003)\r\n0-1:96.1.0(4730303031)\r\n0-1:24.2.1({}W)({}*m3)"


def p1(stamp: str, *lines: str) -> bytes:
    """Write a DSMR 5 telegram, by hand: finer than a watt-hour, and with a line that no writer would write so."""
    head = f"/MSP5ONE WAY\r\n\r\n1-3:0.2.8(50)\r\n0-0:1.0.0({stamp})\r\n 0-0:96.1.1(4D53503130303030303031)\r\n"
    body = (head + "".join(f"{line}\r\n" for line in lines) + "!").encode()
    return body + b"%04X\r\n" % crc_of(body)


def techem(tenths_before: int, tenths_since: int) -> bytes:
    """Write a water meter's own payload: the register at the due date, and the volume since then, in 0.1 m3."""
    past, since = tenths_before.to_bytes(2, "little"), tenths_since.to_bytes(2, "little")
    payload = b"\x00\x9f\x27" + past + b"\x50\x24" + since + b"\x00\x00"
    link = LinkHeader(0x44, DeviceAddress.of("TCH", "11223344", 0x74, 0x72))
    header = TransportHeader(0xA2, HeaderKind.NONE, None, 0, 0, 0)
    return build_telegram(link, header, payload, Protection(), form=FrameFormat.A)


def apator(litres: int) -> bytes:
    """Write a water meter's own payload: a head of seven octets, and tagged registers behind them."""
    payload = b"\x0f" + bytes(7) + b"\x10" + litres.to_bytes(4, "little") + b"\xff" * 4
    link = LinkHeader(0x44, DeviceAddress.of("APA", "55667788", 0x05, 0x07))
    header = TransportHeader(0x7A, HeaderKind.SHORT, None, 9, 0, 0)
    return build_telegram(link, header, payload, Protection(), form=FrameFormat.A)


def push(watt_hours: int, stamp: datetime) -> bytes:
    """Write a meter's push by object list: name, clock, register and scale."""
    of = [(40, Obis(0, 0, 25, 9, 0), 2), (1, Obis(0, 0, 42, 0, 0), 2), (8, Obis(0, 0, 1, 0, 0), 2)]
    of += [(3, Obis(1, 0, 1, 8, 0), 2), (3, Obis(1, 0, 1, 8, 0), 3)]
    body = structure(
        write_capture_objects([CaptureObjectDefinition(*item) for item in of]),
        octet_string(b"MSP10000009"),
        octet_string(write_clock_time(ClockTime.of(stamp))),
        double_long_unsigned(watt_hours // 10),
        structure(integer(1), enum(30)),
    )
    return write_apdu(DataNotification(LongInvokeIdAndPriority(1, confirmed=True), body, None))


@dataclass(frozen=True)
class Case:
    """A telegram, the same meter's telegram of midnight, and what both must be for everybody.

    ``sender`` is the meter of the port, where ``device`` is one behind it; ``cannot`` the consumers whose interfaces do
    not carry such a telegram, each with the reason.
    """

    commodity: Commodity
    device: str
    octets: bytes
    opening: bytes
    truth: Truth
    sender: str = ""
    cannot: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_p1(self) -> bool:
        return self.octets[:1] == b"/"

    def rows(self, octets: bytes, now: float) -> HeardTelegram:
        if self.is_p1:
            return rows_of_p1(read_telegram(octets), now)
        return rows_of_mbus(InsecureWmbusReceiver({}).read(octets), octets, now)


MAIN_ALONE = "an access point captures the electricity meter of a P1 port, not the meters behind it"
NO_INPUT = "it has inputs for P1 and M-Bus, none for DLMS or SML"
CASES = {
    "P1": Case(
        Commodity.ELECTRICITY,
        "MSP10000001",
        p1("260302120000W", TOTAL.format("000223.4568")),
        p1("260302000000W", TOTAL.format("000000.0000")),
        (Obis(1, 0, 1, 8, 0), Fraction("223456.8"), int(HEARD) - 20),
    ),
    "P1 with tariffs alone": Case(
        Commodity.ELECTRICITY,
        "MSP10000001",
        p1("260302120000W", DAY.format("000100.0004"), NIGHT.format("000123.4564")),
        p1("260302000000W", DAY.format("000000.0000"), NIGHT.format("000000.0000")),
        (Obis(1, 0, 1, 8, 0), Fraction("223456.8"), int(HEARD) - 20),
    ),
    "a gas meter behind a P1 port": Case(
        Commodity.GAS,
        "G0001",
        p1("260302120000W", TOTAL.format("000223.4568"), GAS.format("260302115500", "00005.123")),
        p1("260302000000W", TOTAL.format("000000.0000"), GAS.format("260302000000", "00000.000")),
        (Obis(7, 0, 3, 0, 0), Fraction("5.123"), int(HEARD) - 320),
        "MSP10000001",
        {"access point": MAIN_ALONE, "head end": MAIN_ALONE},
    ),
    "Techem by radio": Case(
        Commodity.WATER,
        "TCH-11223344-72",
        techem(33, 19),
        techem(0, 0),
        (Obis(8, 0, 1, 0, 0), Fraction("5.2"), int(HEARD)),
    ),
    "Apator by radio": Case(
        Commodity.WATER,
        "APA-55667788-07",
        apator(5_234),
        apator(0),
        (Obis(8, 0, 1, 0, 0), Fraction("5.234"), int(HEARD)),
    ),
    "a push of DLMS": Case(
        Commodity.ELECTRICITY,
        "MSP10000009",
        push(223_450, NOW - timedelta(seconds=20)),
        b"",
        (Obis(1, 0, 1, 8, 0), Fraction(223_450), int(HEARD) - 20),
        cannot=dict.fromkeys(("home", "access point", "display"), NO_INPUT),
    ),
    "SML": Case(
        Commodity.ELECTRICITY,
        "1TST0000000042",
        write_frame(sml_capture(Integer(-700, 2, signed=True))),
        b"",
        (Obis(1, 0, 1, 8, 0), Fraction("9876.5"), int(HEARD)),
        cannot=dict.fromkeys(("home", "access point", "display"), NO_INPUT)
        | {"head end": "meters and access points speak DLMS to it"},
    ),
}


def base(case: Case, value: Scaled) -> Fraction:
    return value.to(UNITS[CATALOGUE[case.commodity].base_unit])


def register(case: Case, answer: dict[str, object], heard: float) -> Truth:
    """Return the billing register of an answer of the decode contract."""
    code = str(CATALOGUE[case.commodity].register)
    readings = answer["readings"]
    assert isinstance(readings, list)
    (found,) = [item for item in readings if item["obis"] == code and not item["storage"]]
    assert found["unit"] == CATALOGUE[case.commodity].base_unit
    assert found.get("device", "") == (case.device if case.sender else "")
    moment = found["time"] or answer["time"]
    time = heard if moment is None else datetime.fromisoformat(str(moment)).timestamp()
    return parse_obis(found["obis"]), Fraction(str(found["value"])), int(time)


def by_decode(case: Case, _folder: Path) -> Truth:
    (line,) = answer_lines([json.dumps({"id": "1", "hex": case.octets.hex()})])
    return register(case, json.loads(line, parse_float=Decimal), HEARD)


def by_listen(case: Case, _folder: Path) -> Truth:
    listener = TelegramListener()
    hearing = (
        listener.hear_p1(read_telegram(case.octets), "port", HEARD)
        if case.is_p1
        else listener.hear(case.octets, "air", HEARD)
    )
    assert (hearing.name, hearing.octets) == (case.sender or case.device, case.octets)
    (found,) = [item for item in hearing.telegram.readings if item.obis == case.truth[0] and not item.storage]
    own = datetime.fromisoformat(found.time) if found.time else hearing.telegram.time
    time = HEARD if own is None else own.timestamp()
    assert not isinstance(found.value, str)
    return case.truth[0], Fraction(found.value), int(time)


def by_home(case: Case, folder: Path) -> Truth:
    keys = {} if case.is_p1 else {case.device: RadioSettings(protection=RadioProtection.INSECURE_PLAIN)}
    config = HomeConfig("home", "Home", "Europe/Berlin", "EUR", {}, keys)
    with MeterDataManagement(folder / "data") as data, StateFile(folder / "state.sqlite") as state:
        host = HomeHost(config, data=data, state=state, clock=lambda: HEARD)
        if case.is_p1:
            host.hear_p1(read_telegram(case.octets), HEARD, "port")
            (frame,) = host.device_log.frames(case.device)
            assert frame.octets == case.octets, "the story keeps what was received"
        else:
            host._hear("wmbus", host._collector.hear_radio, case.octets, HEARD, "air")
        asyncio.run(host.flush())
        (series,) = [item for item in data.series() if item.device == case.device and item.obis == case.truth[0]]
        rows = data.readings([series.series_id], NOW - timedelta(days=1), NOW + timedelta(days=1))
        (time,), (value,) = rows.time.tolist(), rows.value.tolist()
        meters = [point.meter for point in data.home("home").usage_points]
        assert case.device in meters, "it is installed, and so it is billed"
        return series.obis, base(case, Scaled(value, series.exponent, series.unit)), time


def access_point(case: Case) -> AccessPoint:
    registers, plain = (CATALOGUE[case.commodity].register,), RadioProtection.INSECURE_PLAIN
    meter = LocalMeter(case.device, case.commodity, "home", registers, protection=plain)
    state = MemoryState()
    config = AccessPointConfig("POINT", POINT, meters=(meter,))
    point = AccessPoint(config, counters=state, state=state, outbox=MemoryOutbox())
    if case.is_p1:
        assert point.hear_p1(read_telegram(case.octets), HEARD) == case.device
    else:
        assert point.hear_radio(case.octets, HEARD) is not None
    return point


def by_access_point(case: Case, _folder: Path) -> Truth:
    (state,) = access_point(case).local_states("home")
    ((obis, value),) = state.registers
    return obis, base(case, value), state.time


class Sink:
    """Keeps what a head end makes durable."""

    def __init__(self) -> None:
        self.blocks: list[CaptureBlock] = []

    def take(self, blocks: Sequence[CaptureBlock], events: Sequence[MeterEvent] = ()) -> None:
        self.blocks += blocks


def by_head_end(case: Case, _folder: Path) -> Truth:
    sink, custody = Sink(), KeyCustody(bytes(32))
    head_end = HeadEnd(sink, custody)
    is_own = not case.is_p1 and case.commodity is Commodity.ELECTRICITY
    name = case.device if is_own else "POINT"
    wrapped = (
        (KeyPurpose.GLOBAL_UNICAST, custody.wrap(KEYS.unicast, name, KeyPurpose.GLOBAL_UNICAST)),
        (KeyPurpose.AUTHENTICATION, custody.wrap(KEYS.authentication, name, KeyPurpose.AUTHENTICATION)),
    )
    point = Device(
        name,
        Commodity.ELECTRICITY,
        DeviceProtocol.DLMS_WRAPPER,
        "127.0.0.1:4059",
        "cell",
        system_title=POINT,
        wrapped_keys=wrapped,
    )
    plan = ChannelPlan(CATALOGUE[case.commodity].register, 900, Obis(0, 1, 24, 3, 0))
    meter = Device(case.device, case.commodity, DeviceProtocol.WMBUS, "POINT", "cell", channels=(plan,))
    for device in (point,) if is_own else (point, meter):
        head_end.add_device(device, HEARD)
    contexts = ContextCache(head_end, system_title=HEAD_END, counters=MemoryState())
    intake = PushIntake(head_end, contexts=contexts, transport=TRANSPORTS["tcp"])
    sender = SecurityContext(POINT, KEYS, counters=MemoryState(), peer_title=HEAD_END)
    notification = case.octets if is_own else _pushed_by(access_point(case))
    assert intake.take(sender.protect(notification, general=True), "peer", HEARD) is not None
    (block,) = sink.blocks
    (column,) = block.columns
    assert block.device == case.device
    value = Scaled(int(column.values[0]), column.exponent, column.unit)
    return column.obis, base(case, value), int(block.times[0])


def _pushed_by(point: AccessPoint) -> bytes:
    queued = point.next_push()
    assert queued is not None
    return write_apdu(DataNotification(LongInvokeIdAndPriority(1, confirmed=True), queued.body, None))


def by_display(case: Case, _folder: Path) -> Truth:
    """Show what was used since midnight, where the register was zero: that is the register now."""
    model = DisplayModel("Europe/Berlin")
    model.heard(case.rows(case.opening, MIDNIGHT.timestamp()), MIDNIGHT.timestamp())
    model.heard(case.rows(case.octets, HEARD), HEARD)
    (supply,) = [item for item in model.view(HEARD).today if item.commodity is case.commodity]
    assert supply.consumed is not None
    assert supply.unit == CATALOGUE[case.commodity].display_unit
    thousand = 1000 if supply.unit == "kWh" else 1
    return CATALOGUE[case.commodity].register, Fraction(supply.consumed) * thousand, int(supply.last.timestamp())


CONSUMERS: dict[str, Callable[[Case, Path], Truth]] = {
    "decode": by_decode,
    "listen": by_listen,
    "home": by_home,
    "access point": by_access_point,
    "head end": by_head_end,
    "display": by_display,
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_telegram_gives_the_same_code_value_and_time_to_every_consumer(case: Case, tmp_path: Path) -> None:
    able = {name: ask for name, ask in CONSUMERS.items() if name not in case.cannot}
    told = {name: ask(case, tmp_path) for name, ask in able.items()}
    assert told == dict.fromkeys(able, case.truth)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_consumer_that_cannot_hear_a_telegram_is_a_known_one_and_gives_a_reason(case: Case) -> None:
    assert set(case.cannot) < set(CONSUMERS)
    assert all(case.cannot.values())
    assert {"decode", "listen"}.isdisjoint(case.cannot), "both hear everything"
