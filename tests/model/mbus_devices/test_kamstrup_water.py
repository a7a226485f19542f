"""Kamstrup water meters: made-up telegrams, read whole."""

import pytest

from meterspan.engine.mbus_security import Protection, build_telegram
from meterspan.engine.wmbus_receiver import InsecureWmbusReceiver
from meterspan.quantities import CATALOGUE, Commodity
from meterspan.readings import Decoder
from meterspan.readings.mbus import rows_of_mbus
from meterspan.wire.mbus.address import DeviceAddress
from meterspan.wire.mbus.transport import HeaderKind, TransportHeader
from meterspan.wire.wmbus.frame import LinkHeader


def telegram(code: int, litres: int = 12_345) -> bytes:
    """Write a telegram: information code, volume in litres."""
    payload = b"\x02\xff\x20" + code.to_bytes(2, "little") + b"\x04\x13" + litres.to_bytes(4, "little")
    header = TransportHeader(0x78, HeaderKind.NONE, None, 0, 0, 0)
    link = LinkHeader(0x44, DeviceAddress.of("KAM", "11223344", 0x1B, 0x16))
    return build_telegram(link, header, payload, Protection())


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0x0000, {"state": "ok"}),
        (0x0001, {"state": "dry"}),
        (0x000C, {"state": "leak, burst"}),
        (0x0010, {"state": "ok", "dry within 30 days": "1 to 8 h"}),
        (0xE004, {"state": "leak", "burst within 30 days": "22 to 31 d"}),
    ],
)
def test_the_information_code_is_told_in_words(code: int, words: dict[str, str]) -> None:
    decoded = Decoder().decode(telegram(code))
    assert decoded.error is None
    assert {item.quantity: item.value for item in decoded.readings if isinstance(item.value, str)} == words


def test_the_register_is_the_standards_and_is_billed() -> None:
    octets = telegram(0)
    (device,) = rows_of_mbus(InsecureWmbusReceiver({}).read(octets), octets, 1_000.0).devices
    assert (device.device, device.commodity) == ("KAM-11223344-16", Commodity.WATER)
    (row,) = device.rows
    assert (row.obis, str(row.value)) == (CATALOGUE[Commodity.WATER].register, "12.345 m3")
