"""What we emit is accepted by something we did not write: P1, wired and wireless M-Bus, each by another's reader."""

from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from meterspan.engine.mbus_security import Protection, build_telegram
from meterspan.meter.electricity import ElectricityMeter, ElectricityMeterConfig
from meterspan.meter.metrology import ElectricityFlow, VolumeFlow
from meterspan.meter.p1_port import p1_telegram
from meterspan.meter.radio import RadioMedium, RadioMeter, RadioMeterConfig
from meterspan.quantities import Obis
from meterspan.wire.mbus import build_record, write_records
from meterspan.wire.mbus.address import DeviceAddress
from meterspan.wire.mbus.link import LinkFrame, write_link_frame
from meterspan.wire.mbus.transport import HeaderKind, SecurityMode, TransportHeader, write_transport
from meterspan.wire.wmbus import FrameFormat, LinkHeader
from tests.interop.matrix import Row
from tests.memory import MemoryState

pytestmark = pytest.mark.interop

NOW = int(datetime(2026, 3, 1, 18, tzinfo=UTC).timestamp())
KEY = bytes(range(16))
METER = DeviceAddress.of("MSP", "12345678", 0x01, 0x07)
RECORDS = write_records(
    [
        build_record(b"\x0c\x13", Decimal("12345.678")),
        build_record(b"\x04\x06", Decimal(5_000)),
        build_record(b"\x02\x5b", Decimal(70)),
        build_record(b"\x02\x5f", Decimal(40)),
        build_record(b"\x44\x13", Decimal("12.345")),
        build_record(b"\x0b\x3b", Decimal("0.123")),
    ]
)
VALUES = [12345.678, 5_000, 70, 40, 12.345, 0.123]
MODES = [SecurityMode.NONE, SecurityMode.AES_CBC_IV]
"""Mode 7 has no second reader: pymbusparser 0.5 does not take the authentication layer (CI 90) apart."""


def wired():
    header = TransportHeader(0x72, HeaderKind.LONG, METER, 0x2A)
    return write_link_frame(LinkFrame(0x08, 1, write_transport(header) + RECORDS)).hex()


@pytest.mark.peer("dsmr_parser")
@pytest.mark.matrix(Row.P1)
def test_dsmr_parser_reads_what_our_meter_writes_to_its_p1_port(ask):
    meter = ElectricityMeter(ElectricityMeterConfig("MSP1000000001", KEY[:8], ZoneInfo("Europe/Amsterdam")), NOW)
    told, shown = [], []
    for quarter in range(1, 5):
        now = NOW + 900 * quarter
        meter.advance(ElectricityFlow((700_000 + 1_000 * quarter, 100_000, -50_000), (230_100, 229_900, 231_000)), now)
        told.append(p1_telegram(meter, now).decode())
        shown.append([meter.register(Obis(1, 0, 1, 8, tariff)) / 1_000 for tariff in (1, 2)])
    read = ask("p1_reader.py", told)
    assert [[item[f"ELECTRICITY_USED_TARIFF_{tariff}"]["value"] for tariff in (1, 2)] for item in read] == shown
    newest = read[-1]
    assert datetime.fromisoformat(newest["P1_MESSAGE_TIMESTAMP"]["value"]).timestamp() == NOW + 3_600
    assert newest["CURRENT_ELECTRICITY_USAGE"] == {"value": 0.754, "unit": "kW"}
    assert bytes.fromhex(newest["EQUIPMENT_IDENTIFIER"]["value"]) == b"MSP1000000001"


@pytest.mark.peer("dsmr_parser")
@pytest.mark.matrix(Row.P1)
def test_a_p1_telegram_with_one_wrong_digit_is_refused_by_dsmr_parser_too(ask):
    meter = ElectricityMeter(ElectricityMeterConfig("MSP1000000001", KEY[:8], ZoneInfo("Europe/Amsterdam")), NOW)
    text = p1_telegram(meter, NOW).decode()
    (read,) = ask("p1_reader.py", [text.replace("0-0:96.14.0(0001)", "0-0:96.14.0(0003)").replace("(0002)", "(0004)")])
    assert "InvalidChecksum" in read["failed"]


@pytest.mark.peer("pyMeterBus")
@pytest.mark.matrix(Row.WIRED)
def test_pymeterbus_reads_our_wired_frame(ask):
    (read,) = ask("mbus_reader.py", [wired()])
    assert read["body"]["header"]["manufacturer"] == "MSP"
    records = read["body"]["records"]
    assert [record["value"] for record in records] == VALUES
    assert [record["storage_number"] for record in records] == [0, 0, 0, 0, 1, 0]
    assert [record["unit"] for record in records] == [
        f"MeasureUnit.{unit}" for unit in ("M3", "WH", "C", "C", "M3", "M3_H")
    ]


@pytest.mark.peer("pymbusparser")
@pytest.mark.matrix(Row.WIRED)
def test_pymbusparser_reads_our_wired_frame(ask):
    (read,) = ask("wireless_reader.py", {"frames": [wired()]})
    assert [float(record["value"]["value"]) for record in read["records"]] == VALUES
    assert [record["storage_number"] for record in read["records"]] == [0, 0, 0, 0, 1, 0]


@pytest.mark.peer("pymbusparser")
@pytest.mark.matrix(Row.WIRELESS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("form", list(FrameFormat))
def test_pymbusparser_reads_our_wireless_frame(ask, form, mode):
    header = TransportHeader(0x7A, HeaderKind.SHORT, None, 5)
    octets = build_telegram(LinkHeader(0x44, METER), header, RECORDS, Protection(mode, KEY, 5), form=form)
    (read,) = ask("wireless_reader.py", {"frames": [octets.hex()], "key": KEY.hex()})
    identity = read["meter"]["identity"]
    assert (identity["id"], identity["manufacturer_code"], identity["device_type_code"]) == ("12345678", "MSP", 7)
    assert [float(record["value"]["value"]) for record in read["records"]] == VALUES


@pytest.mark.peer("pymbusparser")
@pytest.mark.matrix(Row.WIRELESS)
@pytest.mark.parametrize("medium", [RadioMedium.WATER, RadioMedium.GAS])
def test_pymbusparser_reads_the_register_of_our_radio_meter(ask, medium):
    meter = RadioMeter(RadioMeterConfig(medium, "MSP", "12345678", KEY, opening=1_234_567), NOW, MemoryState())
    meter.advance(VolumeFlow(1_000_000), NOW + 3_600)
    telegram = meter.advance(None, NOW + 5_400)[-1]
    (read,) = ask("wireless_reader.py", {"frames": [telegram.hex()], "key": KEY.hex()})
    volumes = [record for record in read["records"] if record.get("unit") == "m3"]
    shown = meter.indication.registers[0].value.decimal / 1_000  # litres
    assert [Decimal(record["value"]["value"]) for record in volumes] == [shown, shown]
    assert [record["storage_number"] for record in volumes] == [0, 1]
