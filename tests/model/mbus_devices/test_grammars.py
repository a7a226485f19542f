"""Proprietary payloads: made-up numbers laid out as each family does, and damage at every length."""

from datetime import date
from decimal import Decimal

import pytest
from fastcrc import crc16

from meterspan.crypto.mbus_modes import cbc_encrypt, mode5_iv
from meterspan.crypto.prios import DEFAULT_KEYS, prios_keystream
from meterspan.model.mbus_devices import GRAMMARS, SHIPPED_FORMATS, Decoded, Payload, commodity_of_device, record_rule
from meterspan.quantities import CATALOGUE, Commodity, Obis, commodity_of_obis
from meterspan.readings.proprietary import read_proprietary
from meterspan.wire import KeyWrongError
from meterspan.wire.mbus import read_records
from meterspan.wire.mbus.address import DeviceAddress
from meterspan.wire.mbus.records import describe_header


def payload(maker: str, medium: int, version: int, octets: str | bytes, ci: int = 0xA0) -> Payload:
    data = bytes.fromhex(octets) if isinstance(octets, str) else octets
    address = DeviceAddress.of(maker, "11223344", version, medium).octets
    return Payload(maker, version, medium, address, ci, data, read_records(data))


def found(question: Payload, key: bytes | None = None) -> list[tuple[str, object, str, int]]:
    decoded = read_proprietary(question, key)
    assert decoded is not None
    assert decoded.error is None
    return [(item.quantity, item.value, item.unit, item.storage) for item in decoded.readings]


def test_techem_heat_meters_give_both_periods_and_their_sum_with_the_due_date() -> None:
    question = payload("TCH", 0x43, 0x45, "00 9F27 D20400 0000 0A0000 000000".replace("0000 0A0000", "60 0A0000 0000"))
    expected = [
        ("energy total", Decimal(1_244_000), "Wh", 0),
        ("energy of the past period", Decimal(1_234_000), "Wh", 1),
    ]
    assert found(question)[:2] == expected
    decoded = read_proprietary(question)
    assert decoded is not None
    assert decoded.readings[1].time == str(date(2019, 12, 31))


def test_techem_vario_counts_megajoules_and_water_meters_tenths_of_a_cubic_metre() -> None:
    heat = payload("TCH", 0xC3, 0x27, "00 9F27 640000 50 320000 0000", 0xA2)
    assert found(heat)[0] == ("energy total", Decimal(150_000_000), "J", 0)
    water = payload("TCH", 0x62, 0x74, "00 9F27 2100 5024 1300 0000", 0xA2)
    assert found(water) == [
        ("volume total", Decimal("5.2"), "m3", 0),
        ("volume of the past period", Decimal("3.3"), "m3", 1),
        ("volume of this period", Decimal("1.9"), "m3", 0),
    ]


@pytest.mark.parametrize(("version", "gap"), [(0x69, ""), (0x94, "11")])
def test_techem_allocators_add_two_temperatures(version: int, gap: str) -> None:
    question = payload("TCH", 0x80, version, f"01 9F27 0203 8004 4D00 {gap} D007 B80B 00")
    assert found(question) == [
        ("heat cost allocation of this period", 77, "hca", 0),
        ("heat cost allocation of the past period", 770, "hca", 1),
        ("room temperature", Decimal(20), "°C", 0),
        ("radiator temperature", Decimal(30), "°C", 0),
    ]


def test_techem_half_months_become_months_with_their_names() -> None:
    halves = "".join(f"{2 * index:02X}{index:02X}00" for index in range(1, 13))
    decoded = read_proprietary(payload("TCH", 0x72, 0x50, "0C00 4132 10270000" + halves, 0xA2))
    assert decoded is not None
    assert decoded.readings[0].value == Decimal(1_000)
    months = decoded.readings[2:]
    assert [item.value for item in months[:2]] == [Decimal("0.3"), Decimal("0.6")]
    assert [item.time for item in months[:3]] == ["2025-02", "2025-01", "2024-12"]


def prios(total_l: int, month_l: int, key: int, maker: str = "SAP") -> Payload:
    clear = bytes.fromhex("01180013")
    plain = b"\x4b" + total_l.to_bytes(4, "little") + month_l.to_bytes(4, "little") + bytes.fromhex("7E2B")
    address = DeviceAddress.of(maker, "11223344", 0x24, 0x07).octets
    frame = bytes(2) + address + b"\xa2" + clear
    mixed = key
    for start in (2, 6, 10):
        mixed ^= int.from_bytes(frame[start : start + 4], "big")
    sealed = bytes(a ^ b for a, b in zip(plain, prios_keystream(mixed, len(plain)), strict=True))
    return Payload(maker, 0x24, 0x07, address, 0xA2, clear + sealed, read_records(b""))


@pytest.mark.parametrize("key", DEFAULT_KEYS)
def test_prios_payloads_open_with_either_default_key(key: int) -> None:
    decoded = read_proprietary(prios(1_234_567, 1_200_000, key))
    assert decoded is not None
    assert [(item.value, item.unit, item.time) for item in decoded.readings] == [
        (Decimal("1234.567"), "m3", None),
        (Decimal(1200), "m3", "2019-11-30"),
        (8, "s", None),
        (Decimal(12), "a", None),
    ]


def test_prios_with_another_key_says_so_and_diehl_ids_stand_at_the_end_of_the_address() -> None:
    decoded = read_proprietary(prios(1, 1, 0x1234_5678))
    assert decoded is not None
    assert isinstance(decoded.error, KeyWrongError)
    diehl = read_proprietary(prios(1, 1, DEFAULT_KEYS[0], "DME"))
    assert diehl is not None
    assert diehl.meter_id == "07241122"


def test_the_keystream_is_the_shift_register_of_taps_2_3_12_and_32() -> None:
    bits = "".join(f"{octet:08b}" for octet in prios_keystream(0x1234_5678, 40))
    assert all(
        int(bits[n]) == int(bits[n - 2]) ^ int(bits[n - 3]) ^ int(bits[n - 12]) ^ int(bits[n - 32])
        for n in range(32, 320)
    )


def test_apator_volumes_are_thirds_of_a_litre_or_of_a_cubic_metre() -> None:
    assert found(payload("APT", 0x0F, 0x0F, "B80B0000 00")) == [("volume", Decimal(1), "m3", 0)]
    assert found(payload("APT", 0x11, 0x04, "09000000 00")) == [("volume", Decimal(3), "m3", 0)]


def test_apator_registers_are_found_behind_known_and_unknown_tags() -> None:
    head = "2F2F0F 01020304 001122"
    tail = "10 E8030000 71 01 84030000 20030000 FFFF"
    for middle in ("", "43 0102", "40 010203040506 41 01020304050607", "80 00112233445566778899", "5A 010203 43 0000"):
        octets = head + middle + tail
        readings = found(payload("APA", 0x07, 0x05, octets, 0x7A))
        assert readings[0] == ("volume", Decimal(1), "m3", 0)
        assert readings[1] == ("volume at month end", Decimal("0.9"), "m3", 1)


def test_apator_ciphered_blocks_need_their_key_and_give_total_and_stored_volume() -> None:
    key = bytes(range(16))
    since_2000 = 24 * 365 * 86_400
    plain = bytes((0x2F, 0x05)) + (0x1234).to_bytes(3, "little") + since_2000.to_bytes(4, "little")
    plain += bytes((0x10, 0x05)) + (0x100).to_bytes(3, "little") + bytes(2)
    address = DeviceAddress.of("APA", "11223344", 0x14, 0x07).octets
    octets = b"\x05\x01" + cbc_encrypt(key, mode5_iv(address, 5), plain)
    readings = found(payload("APA", 0x07, 0x14, octets), key)
    assert [item[1] for item in readings] == [Decimal(0x12345).scaleb(-3), Decimal(0x12345 - 0x401).scaleb(-3), 0x110]
    for wrong, text in ((None, "no key"), (bytes(16), "does not fit"), (b"x", "16 octets")):
        decoded = read_proprietary(payload("APA", 0x07, 0x14, octets), wrong)
        assert decoded is not None
        assert text in str(decoded.error)


def test_apator_allocators_are_read_with_and_without_a_block_in_front() -> None:
    body = "A10000 0A00 1C27 0500 412E 8014 4015".replace(" ", "")
    expected = [
        ("heat cost allocation", 5, "hca", 0),
        ("heat cost allocation", 10, "hca", 1),
        ("mean room temperature", Decimal("21.25"), "°C", 0),
        ("mean room temperature", Decimal("20.5"), "°C", 1),
    ]
    assert found(payload("APA", 0x08, 0x04, body)) == expected
    assert found(payload("APT", 0x08, 0x04, "02AABB A0" + body, 0xB6)) == expected


@pytest.mark.parametrize(
    ("vif", "unit", "exponent"), [("13", "m3", -3), ("06", "Wh", 3), ("0D", "J", 5), ("6E", "hca", 0)]
)
def test_qundis_walk_by_records_unpack_into_registers_dates_and_months(vif: str, unit: str, exponent: int) -> None:
    months = "0080" * 10 + "0500" + "FBFF"
    block = f"0DFF5F35 0082000000000007C1 {vif} FFFF 45230000 BF2C 12000000 DF21 34120000 {months} 2F"
    readings = found(payload("QDS", 0x06, 0x16, block, 0x78))
    assert readings[0][1:] == (Decimal(2345).scaleb(exponent), unit, 0)
    assert [item[3] for item in readings] == [0, 1, 17, 28, 29]
    assert readings[1][1] == Decimal(12).scaleb(exponent)
    assert readings[-1][1] == Decimal(-5).scaleb(exponent)


def test_hydroclima_skips_temperatures_that_are_not_there() -> None:
    body = (
        "2F2F 0F 11" + "00" * 8 + "B80BD0070809 A00F F007 D607 0100 0200 0300 0400 D107 D207 0080" + "00" * 9 + "2C0100"
    )
    readings = found(payload("BMP", 0x08, 0x85, body, 0x7A))
    assert ("heat cost allocation total", Decimal(300), "hca", 0) in readings
    assert len([item for item in readings if item[0] == "room temperature"]) == 3


def test_hydrodigit_reads_what_its_contents_octet_announces() -> None:
    months = "".join(f"{100 * n:04X}"[2:] + f"{100 * n:04X}"[:2] + "00" for n in range(1, 12)) + "FFFFFF"
    readings = found(payload("BMT", 0x07, 0x13, "0C1345230100 0F 950A230115 09000000" + months, 0x7A))
    assert readings[:2] == [
        ("back-flow volume", Decimal("0.009"), "m3", 0),
        ("battery voltage", Decimal("3.05"), "V", 0),
    ]
    assert [item[1] for item in readings[2:]] == [Decimal(n) for n in range(1, 12)]


def test_zenner_counts_in_256ths_of_a_litre() -> None:
    octets = bytes.fromhex("0F00000000") + (256_000).to_bytes(4, "little") + (512_000).to_bytes(4, "little")
    assert found(payload("ZRI", 0x16, 0x0B, octets, 0x7A)) == [
        ("volume", Decimal(1), "m3", 1),
        ("volume", Decimal(2), "m3", 0),
    ]


def test_bfw_unpacks_eighteen_months_of_twelve_bits_from_the_end() -> None:
    pairs = bytes.fromhex("00" * 24 + "122334")
    octets = b"\x2f\x2f\x00\x1f" + bytes.fromhex("01230456152A") + pairs + bytes.fromhex("010224")
    readings = found(payload("BFW", 0x08, 0x02, octets, 0x7A))
    assert [item[1] for item in readings[:4]] == [0x456, 0x123, 0x334, 0x212]
    assert len(readings) == 20


def test_makers_rules_name_and_scale_what_the_standard_leaves_open() -> None:
    ime = record_rule("IME", describe_header(b"\x84\x90\x10", bytes.fromhex("FF81843C")))
    assert ime is not None
    assert (ime.quantity, ime.unit, ime.exponent) == ("reactive energy, backward", "varh", 1)
    voltage = record_rule("IME", describe_header(b"\x84\x80\x20", bytes.fromhex("FF8748")))
    assert voltage is not None
    assert (voltage.unit, voltage.exponent) == ("V", -1)
    reactive = record_rule("SEC", describe_header(b"\x87\x40", b"\x03"))
    assert reactive is not None
    assert reactive.unit == "varh"
    assert record_rule("TST", describe_header(b"\x04", b"\x13")) is None


def test_shipped_formats_have_the_signatures_that_their_meters_send() -> None:
    signatures = {crc16.en_13757(octets) for octets in SHIPPED_FORMATS}
    assert {0xA8ED, 0xC412, 0xB34D, 0x8C13, 0x73DE, 0x052D} <= signatures
    assert len(signatures) == len(SHIPPED_FORMATS)


def test_every_family_answers_damage_with_an_error_or_nothing() -> None:
    for grammar in GRAMMARS:
        maker = min(grammar.manufacturers)
        medium = min(grammar.media or {7})
        version = min(grammar.versions or {1})
        ci = min(grammar.cis or {0x78})
        for size in range(60):
            for filler in (0x00, 0x0F, 0x10, 0xFF, 0xB6):
                question = payload(maker, medium, version, bytes((filler,)) * size, ci)
                decoded = read_proprietary(question, bytes(16))
                assert decoded is None or isinstance(decoded, Decoded)


REGISTERS = {
    "compact V": (payload("TCH", 0x43, 0x45, "00 9F27 D20400 60 0A0000 0000"), Decimal(1_244_000), "Wh"),
    "MK radio": (payload("TCH", 0x72, 0x74, "00 9F27 2100 5024 1300 0000", 0xA2), Decimal("5.2"), "m3"),
    "PRIOS": (prios(1_234_567, 1_200_000, DEFAULT_KEYS[0]), Decimal("1234.567"), "m3"),
    "Apator 08": (payload("APT", 0x0F, 0x0F, "B80B0000 00"), Decimal(1), "m3"),
    "Zenner": (payload("ZRI", 0x16, 0x0B, "0F00000000 00E80300 00D00700", 0x7A), Decimal(2), "m3"),
}


@pytest.mark.parametrize(("question", "value", "unit"), REGISTERS.values(), ids=REGISTERS)
def test_the_register_that_bills_a_device_has_the_obis_code_of_its_commodity(
    question: Payload, value: Decimal, unit: str
) -> None:
    commodity = commodity_of_device(question.manufacturer, question.medium)
    assert commodity is not None
    decoded = read_proprietary(question)
    assert decoded is not None
    (register,) = [item for item in decoded.readings if item.obis == CATALOGUE[commodity].register and not item.storage]
    assert (register.value, register.unit) == (value, unit)


def test_no_grammar_names_a_code_of_another_commodity_than_its_devices_measure() -> None:
    for question, _, _ in REGISTERS.values():
        commodity = commodity_of_device(question.manufacturer, question.medium)
        decoded = read_proprietary(question)
        assert decoded is not None
        assert {commodity_of_obis(item.obis) for item in decoded.readings if item.obis} == {commodity}


def test_makers_device_types_come_before_those_of_the_standard() -> None:
    assert commodity_of_device("TCH", 0x62) is Commodity.WATER
    assert commodity_of_device("TCH", 0x07) is Commodity.WATER
    assert commodity_of_device("KAM", 0x62) is None
    assert commodity_of_device("TCH", 0xF0) is None


def test_thirds_of_a_litre_keep_one_scale_whatever_the_digits() -> None:
    values = [found(payload("APT", 0x0F, 0x0F, f"{raw:02X}000000"))[0][1] for raw in (1, 2, 3)]
    assert [value.as_tuple().exponent for value in values if isinstance(value, Decimal)] == [-12] * 3
    assert abs(sum(value for value in values if isinstance(value, Decimal)) - Decimal("0.002")) < Decimal("1e-11")


def test_allocators_are_named_and_bill_nothing_by_themselves() -> None:
    decoded = read_proprietary(payload("TCH", 0x80, 0x69, "01 9F27 0203 8004 4D00 D007 B80B 00"))
    assert decoded is not None
    assert decoded.readings[0].obis == Obis(4, 0, 1, 0, 0)
    assert commodity_of_obis(Obis(4, 0, 1, 0, 0)) is None
