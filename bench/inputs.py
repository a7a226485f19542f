"""Inputs of the benchmarks, made here under published test keys: the same octets go to us and to the peers."""

import json
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

from meterspan.crypto.suites import SuiteKeys, protect
from meterspan.engine.mbus_security import Protection, SecurityMode, build_telegram
from meterspan.meter.electricity import ElectricityMeter, ElectricityMeterConfig
from meterspan.meter.metrology import ElectricityFlow
from meterspan.meter.p1_port import p1_telegram
from meterspan.quantities import ClockTime
from meterspan.wire.axdr import array, double_long_unsigned, octet_string, structure, unsigned, write_clock_time
from meterspan.wire.mbus.address import DeviceAddress
from meterspan.wire.mbus.transport import HeaderKind, TransportHeader
from meterspan.wire.wmbus import FrameFormat, LinkHeader
from meterspan.wire.xdlms import (
    CipheredContent,
    GeneralCipheredApdu,
    GetResponseNormal,
    InvokeIdAndPriority,
    SecurityControl,
    write_apdu,
)

KEY, AUTH_KEY = bytes(range(16)), bytes(range(0xD0, 0xE0))
TITLE = b"MSP\0\0\0\0\1"
ROWS, REGISTERS = 96, 4


def ciphered_profile(seed=1):
    """Make a day of quarter hours, general-glo-ciphered: clock, status and four registers in a GET response."""
    random = Random(seed)
    moment, values = datetime(2026, 1, 15, tzinfo=UTC), [1_234_567, 890, 23_456, 77]
    rows = []
    for index in range(ROWS):
        values = [value + random.randrange(400) for value in values]
        when = octet_string(write_clock_time(ClockTime.of(moment + timedelta(minutes=15 * index))))
        rows.append(structure(when, unsigned(8), *(double_long_unsigned(value) for value in values)))
    plain = write_apdu(GetResponseNormal(InvokeIdAndPriority(1, high_priority=True), array(*rows)))
    control = SecurityControl.AUTHENTICATION | SecurityControl.ENCRYPTION
    keys = SuiteKeys(KEY, AUTH_KEY)
    sealed = protect(plain, control, system_title=TITLE, invocation_counter=1, keys=keys)
    return write_apdu(GeneralCipheredApdu(0xDB, TITLE, CipheredContent(control, 1, sealed))), values


def radio_key(meter):
    """One key per meter."""
    return bytes([meter & 255, meter >> 8 & 255]) + bytes(range(14))


def radio_telegrams(meters, count):
    """Water meters in mode 5 behind a short header: a volume and a flow; gives (hex telegrams, keys by address)."""
    addresses = [
        DeviceAddress(bytes.fromhex("b036") + _bcd(10_000_000 + meter) + b"\x68\x07") for meter in range(meters)
    ]
    keys = {address.octets: radio_key(meter) for meter, address in enumerate(addresses)}
    telegrams = []
    for number in range(count):
        meter = number % meters
        data = b"\x04\x13" + (1_000 + number).to_bytes(4, "little") + b"\x02\x3b" + (number % 500).to_bytes(2, "little")
        header = TransportHeader(0x7A, HeaderKind.SHORT, None, number & 0xFF)
        protection = Protection(SecurityMode.AES_CBC_IV, radio_key(meter), 1)
        link = LinkHeader(0x44, addresses[meter])
        telegrams.append(build_telegram(link, header, data, protection, form=FrameFormat.STRIPPED).hex())
    return telegrams, keys


def p1_telegrams(count):
    """Telegrams of one meter, one every ten seconds, each with other values."""
    now = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp())
    meter = ElectricityMeter(ElectricityMeterConfig("MSP1000000001", TITLE, ZoneInfo("Europe/Amsterdam")), now)
    telegrams = []
    for number in range(count):
        now += 10
        milliwatts = tuple(200_000 + 1_000 * (number * step % 700) for step in (3, 5, 7))
        volts = tuple(229_000 + 100 * (number * step % 23) for step in (1, 2, 3))
        meter.advance(ElectricityFlow(milliwatts, volts, (1_000 * (1 + number % 7),) * 3), now)
        telegrams.append(p1_telegram(meter, now).decode())
    return telegrams


def as_file(data):
    """Write an input for a peer's process and give its path."""
    path = Path(tempfile.mkdtemp(prefix="meterspan-bench-")) / "input.json"
    path.write_text(json.dumps(data))
    return path


def _bcd(number):
    return bytes.fromhex(f"{number:08d}")[::-1]
