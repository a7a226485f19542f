"""SML captures: with and without frames, between damage, with the odd powers of some makers."""

from decimal import Decimal

import pytest

from meterspan.model.sml_devices import UNSIGNED_POWER, UnsignedPower
from meterspan.model.telegram import DecodedReading
from meterspan.quantities import Obis
from meterspan.readings import Decoder
from meterspan.wire.sml import (
    Integer,
    SmlEntry,
    SmlGetListResponse,
    SmlMessage,
    SmlTag,
    write_file,
)
from meterspan.wire.sml import write_frame as write_sml_frame
from tests.readings.frames import sml_capture, values

MAKER = bytes.fromhex("0100603201FF")


def test_sml_is_read_with_and_without_its_transport_frame_and_between_damage() -> None:
    file = sml_capture(Integer(-700, 2, signed=True))
    frame = write_sml_frame(file)
    expected = [("1-0:96.50.1", "TST", ""), ("1-0:1.8.0", Decimal("9876.5"), "Wh"), ("1-0:16.7.0", Decimal(-7), "W")]
    assert values(Decoder().decode(file)) == expected
    assert values(Decoder().decode(frame)) == expected
    bad = frame.replace(b"\x00\x01\x81\xcd", b"\x00\x01\x81\xce")
    telegram = Decoder().decode(frame + bad + frame)
    assert values(telegram) == expected * 2
    assert "CRC differs" in (telegram.error or "")
    assert (telegram.device.id, telegram.device.manufacturer) == ("1TST0000000042", "TST")


def test_the_unsigned_power_work_round_is_off_told_by_model_and_flagged() -> None:
    octets = write_sml_frame(sml_capture(Integer(-700, 2, signed=True), b"DZG"))
    assert Decoder().decode(octets).readings[2].value == -7
    fixed = Decoder(fix_unsigned_power=True).decode(octets).readings[2]
    assert fixed.value == Decimal(65_536 - 700) / 100
    assert "unsigned" in fixed.quantity
    other = write_sml_frame(sml_capture(Integer(-700, 2, signed=True), b"EMH"))
    assert Decoder(fix_unsigned_power=True).decode(other).readings[2].value == -7


@pytest.mark.parametrize("rule", UNSIGNED_POWER)
def test_every_listed_meter_is_worked_round_at_its_own_object_and_scaler_only(rule: UnsignedPower) -> None:
    def decoded(obis: Obis, scaler: int) -> DecodedReading:
        value = Integer(-700, 2, signed=True)
        name = bytes((obis.a, obis.b, obis.c, obis.d, obis.e, 255))
        entries = (SmlEntry(MAKER, rule.manufacturer.encode()), SmlEntry(name, value, 27, scaler))
        message = SmlMessage(b"1", SmlTag.GET_LIST_RESPONSE, SmlGetListResponse(b"\x01", entries))
        return Decoder(fix_unsigned_power=True).decode(write_sml_frame(write_file((message,)))).readings[1]

    assert decoded(rule.obis, rule.scaler).value == Decimal(65_536 - 700).scaleb(rule.scaler)
    assert decoded(rule.obis, rule.scaler + 1).value == Decimal(-700).scaleb(rule.scaler + 1)
    assert decoded(Obis(1, 0, 36, 7, 0), rule.scaler).value == Decimal(-700).scaleb(rule.scaler)
