"""The listener: every telegram has one outcome, and none ends the listening."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.app.listening import KEYS_TRIED_MAX, METERS_MAX, KeyFile, KeyWatch, Listening, Outcome, TelegramListener
from meterspan.app.meter_keys import MeterKeys
from meterspan.engine.push_body import PushValue, write_listed
from meterspan.engine.security import SecurityContext, SecurityKeys
from meterspan.model.radio_protection import RadioProtection
from meterspan.quantities import Obis
from meterspan.wire.axdr import double_long_unsigned, octet_string, unsigned
from meterspan.wire.mbus.transport import SecurityMode
from meterspan.wire.p1 import P1Damage, P1Reader
from meterspan.wire.wmbus.frame import strip_blocks
from meterspan.wire.xdlms import (
    CaptureObjectDefinition,
    CosemAttributeDescriptor,
    DataNotification,
    EventNotificationRequest,
    LongInvokeIdAndPriority,
    write_apdu,
)
from tests.helpers_radio import KEY, START
from tests.helpers_radio import radio_telegram as telegram
from tests.memory import MemoryState


def test_each_telegram_has_one_fate():
    listener = TelegramListener({"MSP-10000001-07": MeterKeys(KEY), "10000003": MeterKeys(bytes(16))})
    assert listener.hear(telegram(), "air", START).outcome is Outcome.READ
    assert listener.hear(telegram("10000002"), "air", START).outcome is Outcome.NO_KEY
    assert listener.hear(telegram("10000003"), "air", START).outcome is Outcome.WRONG_KEY
    assert (
        listener.hear(telegram("10000003", mode=SecurityMode.AES_CBC_DYNAMIC), "air", START).outcome
        is Outcome.WRONG_KEY
    )
    assert listener.hear(telegram("10000004", mode=SecurityMode.NONE), "air", START).outcome is Outcome.READ
    assert listener.hear(telegram()[:20], "air", START).outcome is Outcome.DAMAGED
    assert listener.hear(b"", "air", START).outcome is Outcome.DAMAGED
    assert listener.outcomes == {Outcome.READ: 2, Outcome.NO_KEY: 1, Outcome.WRONG_KEY: 2, Outcome.DAMAGED: 2}
    assert set(listener.meters) == {f"MSP-1000000{number}-07" for number in (1, 2, 3, 4)}
    volume = listener.meters["MSP-10000001-07"].read.telegram.readings[0]
    assert (str(volume.value), volume.unit) == ("123.456", "m3")


def test_every_damage_of_a_telegram_is_heard_and_none_raises():
    listener = TelegramListener({"10000001": MeterKeys(KEY)})
    whole = telegram()
    for bit in range(0, len(whole) * 8, 3):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        listener.hear(bytes(damaged), "air", START)
    for size in range(len(whole)):
        listener.hear(whole[:size], "air", START)
    assert listener.outcomes[Outcome.DAMAGED] > len(whole)
    assert sum(listener.outcomes.values()) == len(range(0, len(whole) * 8, 3)) + len(whole)


def test_meters_are_bounded_and_the_longest_silent_goes_first():
    listener = TelegramListener()
    for number in range(METERS_MAX + 5):
        listener.hear(telegram(f"{number:08d}", mode=SecurityMode.NONE), "air", START)
    assert len(listener.meters) == METERS_MAX
    assert "MSP-00000004-07" not in listener.meters
    assert "MSP-00000005-07" in listener.meters


@pytest.mark.parametrize("line", ["{}", "2026-10-25 12:00:01 -67dBm {} ok", "T1;1;1;{};", "b{}"])
def test_lines_of_receivers_are_read_whatever_stands_around_the_digits(line):
    hearing = TelegramListener({"10000001": MeterKeys(KEY)}).hear_text(line.format(telegram().hex()), "stick", START)
    assert (hearing.outcome is Outcome.READ) == (not line.startswith("b")), (
        "an odd digit before them makes it ambiguous"
    )


def test_lines_without_a_telegram_are_damage():
    listener = TelegramListener()
    for line in ("hello", "zz", "\x00\xff", "a" * 5):
        assert listener.hear_text(line, "stick", START).outcome is Outcome.DAMAGED


def test_a_damaged_p1_telegram_is_counted():
    reader = P1Reader()
    reader.receive(b"/MSP5x\r\n\r\n1-0:1.8.1(000001.000*kWh)\r\n!0000\r\n")
    damage = reader.next_telegram()
    assert isinstance(damage, P1Damage)
    assert TelegramListener().hear_p1(damage, "p1", START).outcome is Outcome.DAMAGED


def test_a_whole_telegram_in_a_mode_that_is_not_handled_is_not_read():
    octets = bytearray(strip_blocks(telegram(mode=SecurityMode.NONE))[1])
    octets[13:15] = b"\x10\x02"  # the configuration field: one block in security mode 2
    assert TelegramListener().hear(bytes(octets), "air", START).outcome is Outcome.NOT_READ


def test_a_p1_telegram_is_kept_as_it_was_received():
    octets = b"/MSP5x\r\n\r\n1-0:1.8.1(000001.000*kWh)\r\n 0-0:96.1.1(4530303031)\r\n!\r\n"
    reader = P1Reader()
    reader.receive(octets)
    hearing = TelegramListener().hear_p1(reader.next_telegram(), "p1", START)
    assert (hearing.outcome, hearing.name, hearing.octets) == (Outcome.READ, "E0001", octets)


KEYS = MeterKeys(bytes(range(16)), bytes(range(16, 32)))
METER = b"MSP\0\0\0\0\1"


def push(keys=KEYS, apdu=None):
    """Return a ciphered push of a register."""
    context = SecurityContext(METER, SecurityKeys(keys.key, keys.auth_key), counters=MemoryState())
    values = [PushValue(CaptureObjectDefinition(3, Obis(1, 0, 1, 8, 0), 2), double_long_unsigned(5))]
    plain = write_apdu(apdu or DataNotification(LongInvokeIdAndPriority(1), write_listed(values)))
    return context.protect(plain, general=True)


def test_a_ciphered_push_is_opened_with_the_keys_whose_tag_is_right_and_with_no_others():
    other = MeterKeys(bytes(16), bytes(16))
    listener = TelegramListener({"OTHER": other, "ELECTRIC": KEYS, "RADIO": MeterKeys(bytes(16))})
    hearing = listener.hear_push(push(), "push+tcp://127.0.0.1:9", START)
    assert (hearing.name, hearing.outcome) == ("ELECTRIC", Outcome.READ)
    assert [str(reading.obis) for reading in hearing.telegram.readings] == ["1-0:1.8.0"]
    wrapped = b"\0\1\0\1\0\1" + len(push()).to_bytes(2, "big") + push()
    assert listener.hear(wrapped, "udp://127.0.0.1:9", START).name == "ELECTRIC"
    for keys in ({}, {"OTHER": other}):
        hearing = TelegramListener(keys).hear_push(push(), "push+tcp://127.0.0.1:9", START)
        assert (hearing.name, hearing.outcome) == ("", Outcome.NO_KEY)


def test_an_event_notification_is_shown_under_its_code():
    event = EventNotificationRequest(CosemAttributeDescriptor(1, Obis(0, 0, 96, 11, 0), 2), unsigned(65))
    hearing = TelegramListener({"M": KEYS}).hear_push(push(apdu=event), "x:9", START)
    assert hearing.outcome is Outcome.READ
    assert [(str(item.obis), item.value) for item in hearing.telegram.readings] == [("0-0:96.11.0", 65)]


@pytest.mark.attack(2)
def test_a_push_tries_a_bounded_number_of_keys():
    many = {f"M{number}": MeterKeys(number.to_bytes(16, "big"), bytes(16)) for number in range(500)}
    listener = TelegramListener(many)
    before = time.process_time()
    for _ in range(20):
        assert listener.hear_push(push(), "x:9", START).outcome is Outcome.NO_KEY
    assert time.process_time() - before < 2.0


@given(st.binary(max_size=60) | st.binary(max_size=40).map(lambda octets: push()[:12] + octets))
def test_any_pushed_octets_have_an_outcome_and_raise_nothing(octets):
    listener = TelegramListener({"M": KEYS})
    listener.hear_push(octets, "x:9", START)
    assert sum(listener.outcomes.values()) == 1


def key_reader(path):
    """Read a file with a key on each line, as ``cli.key_files`` reads its own."""
    try:
        lines = path.read_text().split("\n")
    except OSError as error:
        raise ValueError("no such file") from error
    return {line.partition(" ")[0]: MeterKeys(bytes.fromhex(line.partition(" ")[2])) for line in lines if line}


@pytest.mark.finding("users B11")
def test_a_key_that_is_added_to_the_file_opens_the_next_telegram_and_a_broken_file_closes_none(tmp_path):
    path, told = tmp_path / "keys", []
    path.write_text("")
    listening = Listening([], KeyFile(path, key_reader, {}), on_key_trouble=told.append)
    listening.read_changed_keys()
    assert listening.listener.hear(telegram(), "air", START).outcome is Outcome.NO_KEY
    path.write_text(f"MSP-10000001-07 {KEY.hex()}\n")
    listening.read_changed_keys()
    assert listening.listener.hear(telegram(), "air", START).outcome is Outcome.READ
    for damage in (lambda: path.write_text("MSP-10000001-07 nonsense"), path.unlink):
        damage()
        listening.read_changed_keys()
        assert "the keys that were read before stay in use" in listening.trouble["key file"]
        assert listening.listener.hear(telegram(), "air", START).outcome is Outcome.READ
    assert len(told) == 2
    path.write_text("other 00\n")
    listening.read_changed_keys()
    assert listening.trouble == {}
    assert listening.listener.hear(telegram(), "air", START).outcome is Outcome.NO_KEY


def test_a_key_file_that_did_not_change_is_not_read_again(tmp_path):
    path, reads = tmp_path / "keys", []
    path.write_text("a 00\n")
    watch = KeyWatch(KeyFile(path, lambda found: reads.append(found) or key_reader(found), {}))
    assert watch.changed() == {"a": MeterKeys(b"\0")}
    assert watch.changed() is None
    assert len(reads) == 1


def test_the_last_failure_of_a_meter_is_kept_beside_its_last_values():
    listener = TelegramListener()
    listener.hear(telegram(mode=SecurityMode.NONE), "air", START)
    failed = listener.hear(telegram(), "air", START)
    listener.hear(telegram(mode=SecurityMode.NONE), "air", START)
    assert listener.meters["MSP-10000001-07"].failed is failed


@pytest.mark.attack(2)
@pytest.mark.parametrize(
    ("mode", "protection", "outcome"),
    [
        (SecurityMode.NONE, RadioProtection.ENCRYPTED, Outcome.NOT_PROTECTED),
        (SecurityMode.AES_CBC_IV, RadioProtection.ENCRYPTED, Outcome.READ),
        (SecurityMode.NONE, RadioProtection.AUTHENTICATED, Outcome.NOT_PROTECTED),
        (SecurityMode.AES_CBC_IV, RadioProtection.AUTHENTICATED, Outcome.NOT_PROTECTED),
        (SecurityMode.AES_CBC_DYNAMIC, RadioProtection.AUTHENTICATED, Outcome.READ),
    ],
)
def test_a_radio_meter_whose_key_is_known_is_read_only_with_the_protection_that_it_requires(mode, protection, outcome):
    listener = TelegramListener({"10000001": MeterKeys(KEY, protection=protection)})
    hearing = listener.hear(telegram(mode=mode), "air", START)
    assert hearing.outcome is outcome
    assert bool(hearing.telegram.readings) is (outcome is Outcome.READ)
    assert hearing.name == "MSP-10000001-07"
    assert (listener.meters[hearing.name].read is None) is (outcome is not Outcome.READ)


@pytest.mark.attack(2)
def test_values_in_the_clear_behind_the_encrypted_ones_of_a_known_meter_are_not_shown():
    frame = strip_blocks(telegram())[1]
    forged = bytes((frame[0] + 6,)) + frame[1:] + bytes.fromhex("0C1399999999")
    keyed = TelegramListener({"10000001": MeterKeys(KEY)}).hear(forged, "air", START)
    assert [str(reading.value) for reading in keyed.telegram.readings if reading.unit == "m3"] == ["123.456"]


def test_a_wired_meter_whose_key_is_known_is_read_only_where_it_is_encrypted():
    user_data = bytes.fromhex("0801720100001070360104000000000C1356341200")
    frame = bytes((0x68, len(user_data), len(user_data), 0x68)) + user_data + bytes((sum(user_data) % 256, 0x16))
    keyed = TelegramListener({"10000001": MeterKeys(KEY)}).hear(frame, "bus", START)
    assert (keyed.outcome, keyed.telegram.readings, keyed.name) == (Outcome.NOT_PROTECTED, (), "10000001")
    assert TelegramListener().hear(frame, "bus", START).outcome is Outcome.READ


@pytest.mark.attack(2)
def test_a_push_in_the_name_of_a_meter_whose_keys_are_known_is_not_read_without_its_tag():
    listener = TelegramListener({"ELECTRIC": KEYS, "E1": KEYS})
    assert listener.hear_push(push(), "x:9", START).outcome is Outcome.READ
    named = PushValue(CaptureObjectDefinition(1, Obis(0, 0, 96, 1, 0), 2), octet_string(b"E1"))
    value = PushValue(CaptureObjectDefinition(3, Obis(1, 0, 1, 8, 0), 2), double_long_unsigned(9))
    bare, nameless = (
        write_apdu(DataNotification(LongInvokeIdAndPriority(1), write_listed(values)))
        for values in ([named, value], [value])
    )
    untagged = b"\xdb\x08" + METER + bytes((len(nameless) + 5, 0x00)) + bytes(4) + nameless
    for octets, name in ((bare, "E1"), (untagged, "ELECTRIC")):
        hearing = listener.hear_push(octets, "x:9", START)
        assert (hearing.outcome, hearing.telegram.readings, hearing.name) == (Outcome.NOT_PROTECTED, (), name)
    assert TelegramListener().hear_push(bare, "x:9", START).outcome is Outcome.READ


@pytest.mark.nonces_repeat("the same push is heard more than once")
@pytest.mark.parametrize("others", [0, 63, 64, 65, 200])
def test_the_number_of_other_keys_keeps_no_meter_from_being_read(others):
    keys = {f"X{number}": MeterKeys(number.to_bytes(16, "big"), bytes(15) + b"1") for number in range(others)}
    listener = TelegramListener(keys | {"ME": KEYS})
    heard = [listener.hear_push(push(), f"10.0.0.{number}:9", START) for number in range(2 + others // KEYS_TRIED_MAX)]
    assert (heard[-1].name, heard[-1].outcome) == ("ME", Outcome.READ)
    for hearing in heard:
        if hearing.outcome is Outcome.NO_KEY:
            assert f"none of {KEYS_TRIED_MAX} keys fits" in hearing.telegram.error
            assert f"{others + 1 - KEYS_TRIED_MAX} others were not tried" in hearing.telegram.error
    named = TelegramListener(keys | {METER.hex().upper(): KEYS})
    assert named.hear_push(push(), "x:9", START).outcome is Outcome.READ, "a meter called by its system title is first"


def test_without_keys_a_push_says_that_none_was_given_and_with_others_that_none_fits():
    assert "no key was given" in TelegramListener().hear_push(push(), "x:9", START).telegram.error
    hearing = TelegramListener({"OTHER": MeterKeys(bytes(16), bytes(16))}).hear_push(push(), "x:9", START)
    assert "none of 1 keys fits" in hearing.telegram.error
