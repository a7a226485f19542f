"""M-Bus frames for a person to look at: wired and wireless, compact, profiles, damaged."""

from decimal import Decimal

import pytest

from meterspan.engine.mbus_security import Protection, build_telegram
from meterspan.engine.wmbus_receiver import WmbusReceiver
from meterspan.readings import Decoder
from meterspan.wire import ChecksumError, Trace
from meterspan.wire.mbus import read_records
from meterspan.wire.mbus.link import LinkFrame, write_link_frame
from meterspan.wire.mbus.transport import HeaderKind, SecurityMode, TransportHeader
from meterspan.wire.wmbus import write_compact
from meterspan.wire.wmbus.frame import FrameFormat, LinkHeader
from tests.readings.frames import ADDRESS, AUTH_KEY, KEY, RECORDS, wireless


@pytest.mark.parametrize("form", list(FrameFormat))
@pytest.mark.parametrize("mode", [SecurityMode.NONE, SecurityMode.AES_CBC_IV, SecurityMode.AES_CBC_DYNAMIC])
def test_wireless_telegrams_are_read_with_and_without_crcs_in_every_mode(form: FrameFormat, mode: SecurityMode) -> None:
    octets = wireless(Protection(mode, KEY, 3), form=form)
    decoder = Decoder()
    for _ in range(2):  # walked first, then by the learnt layout
        telegram = decoder.decode(octets, key=KEY)
        found = [(item.quantity, item.value, item.unit, item.storage) for item in telegram.readings]
        assert found == [
            ("volume", Decimal("57.8"), "m3", 0), ("volume", Decimal(100), "m3", 1), ("date", "2018-12-31", "", 1),
        ]  # fmt: skip
        assert (telegram.device.id, telegram.device.manufacturer, telegram.device.medium) == (
            "12345678",
            "TST",
            "water",
        )


def test_wireless_key_problems_and_cut_frames_say_what_is_wrong() -> None:
    octets = wireless(Protection(SecurityMode.AES_CBC_IV, KEY), form=FrameFormat.STRIPPED)
    assert "there is no key" in (Decoder().decode(octets).error or "")
    assert "does not fit" in (Decoder().decode(octets, key=AUTH_KEY).error or "")
    plain = wireless(Protection(), form=FrameFormat.STRIPPED)
    cut = Decoder().decode(plain[:-3])
    assert "L field counts" in (cut.error or "")
    assert [item.value for item in cut.readings] == [Decimal("57.8"), Decimal(100)]
    assert Decoder().decode(plain[:-1].hex() + "0").readings


def test_a_wired_frame_is_read_and_a_wrong_checksum_or_a_cut_is_named() -> None:
    long_header = TransportHeader(0x72, HeaderKind.LONG, ADDRESS, 1)
    payload = bytes((0x72,)) + ADDRESS.long_header + bytes((1, 0, 0, 0)) + RECORDS
    octets = write_link_frame(LinkFrame(0x08, 1, payload))
    telegram = Decoder().decode(octets)
    assert telegram.protocol == "mbus"
    assert [item.value for item in telegram.readings][:2] == [Decimal("57.8"), Decimal(100)]
    assert long_header.address == ADDRESS
    broken = bytearray(octets)
    broken[-2] ^= 1
    shown = Decoder().decode(bytes(broken))
    assert "checksum" in (shown.error or "")
    assert shown.readings == telegram.readings
    assert Decoder().decode(b"\xff\x00" + bytes(broken) + b"\x11" + octets).readings == telegram.readings * 2
    cut = Decoder().decode(octets[:-8])
    assert cut.error
    assert cut.readings == telegram.readings[:1]
    assert Decoder().decode(b"\xe5").error


def test_compact_frames_are_read_once_a_full_frame_has_taught_their_layout() -> None:
    compact = build_telegram(
        LinkHeader(0x44, ADDRESS), TransportHeader(0x79), write_compact(read_records(RECORDS)), Protection(),
        form=FrameFormat.STRIPPED,
    )  # fmt: skip
    decoder = Decoder()
    assert "no full frame has taught" in (decoder.decode(compact).error or "")
    decoder.decode(wireless(Protection()))
    assert [item.value for item in decoder.decode(compact).readings][:2] == [Decimal("57.8"), Decimal(100)]


def test_a_compact_frame_with_a_wrong_check_is_named_and_shown_but_opened_for_nobody_else() -> None:
    body = bytearray(write_compact(read_records(RECORDS)))
    body[4] ^= 1  # the first octet of the data
    compact = build_telegram(
        LinkHeader(0x44, ADDRESS), TransportHeader(0x79), bytes(body), Protection(), form=FrameFormat.STRIPPED
    )
    decoder, receiver = Decoder(), WmbusReceiver({})
    decoder.decode(wireless(Protection()))
    receiver.read(wireless(Protection()))
    shown = decoder.decode(compact)
    assert "CRC of the full frame differs" in (shown.error or "")
    assert [item.value for item in shown.readings][:2] == [Decimal("57.801"), Decimal(100)]
    with pytest.raises(ChecksumError):
        receiver.read(compact)


def test_a_compact_profile_gives_one_reading_per_value_with_its_date() -> None:
    profile = bytes.fromhex("8204 6C 5F2C840413 102700008D049313 0A 34FE E8030000 D0070000".replace(" ", ""))
    telegram = Decoder().decode(wireless(Protection(), profile))
    found = [(item.value, item.storage, item.time) for item in telegram.readings if item.unit == "m3"]
    assert found == [(Decimal(10), 8, "2018-12-31"), (Decimal(1), 9, "2018-11-30"), (Decimal(2), 10, "2018-10-31")]


def test_the_trace_explains_a_whole_wireless_frame() -> None:
    trace = Trace()
    Decoder().decode(
        wireless(Protection(SecurityMode.AES_CBC_IV, KEY), form=FrameFormat.STRIPPED), key=KEY, trace=trace
    )
    fields = [span.field for span in trace.spans]
    assert {"L field", "C field", "M and A field", "CI field", "access number", "configuration field", "data"} <= set(
        fields
    )


def test_manufacturer_data_that_nobody_knows_are_shown_as_they_stand() -> None:
    telegram = Decoder().decode(wireless(Protection(), RECORDS + bytes.fromhex("0FC0FFEE")))
    assert (telegram.readings[-1].quantity, telegram.readings[-1].value) == ("manufacturer data", "C0FFEE")
