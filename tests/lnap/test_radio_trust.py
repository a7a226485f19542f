"""Of a radio meter nothing is believed or remembered but what its key has opened, fresh and plausible."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from meterspan.engine.mbus_security import Protection, build_telegram
from meterspan.lnap.access_point import AccessPoint, AccessPointConfig
from meterspan.lnap.channel import LocalMeter
from meterspan.lnap.radio_trust import CLOCK_AHEAD_S, DOUBT_S, NUMBERS_BEHIND, NUMBERS_FOR_S
from meterspan.model.quarantine import FrameFault
from meterspan.model.radio_protection import RadioProtection
from meterspan.model.storage.errors import DamagedError, StorageFullError
from meterspan.quantities import CATALOGUE, UNITS, Commodity, Scaled
from meterspan.wire.mbus.address import DeviceAddress
from meterspan.wire.mbus.records import build_header, build_record, write_records
from meterspan.wire.mbus.transport import HeaderKind, SecurityMode, TransportHeader
from meterspan.wire.wmbus import ExtendedLink, FrameFormat, LinkHeader, read_frame, write_frame
from tests.memory import MemoryOutbox, MemoryState

START = 20_000 * 86_400
KEY = bytes(range(16))
ADDRESS = DeviceAddress.of("MSP", "12345678", 0x01, 0x07)
DEVICE = "MSP-12345678-07"
LINK = LinkHeader(0x44, ADDRESS)
NONE, MODE_5, MODE_7 = SecurityMode.NONE, SecurityMode.AES_CBC_IV, SecurityMode.AES_CBC_DYNAMIC
VOLUME = CATALOGUE[Commodity.WATER].register
AUTHENTICATED_FROM = 14
"""Octets of link layer and fragment control in front of what the MAC covers."""
SEALED_LINK = ExtendedLink(0x8D, 0x20, 7, None, bytes.fromhex("04030220"))


def local(protection=RadioProtection.ENCRYPTED, hourly_max=None, key=KEY):
    return LocalMeter(DEVICE, Commodity.WATER, "home", (VOLUME,), key, protection=protection, hourly_max=hourly_max)


def local_time(at):
    return (datetime.fromtimestamp(at, UTC) + timedelta(hours=1)).replace(tzinfo=None, second=0)


def records(litres, sent=None, due=None):
    found = [build_record(build_header(0x04, b"\x13"), Decimal(litres) / 1_000)]
    if sent is not None:
        found.append(build_record(build_header(0x04, b"\x6d"), local_time(sent)))
    if due is not None:
        found.append(build_record(build_header(0x04, b"\x13", storage=1), Decimal(due[1]) / 1_000))
        found.append(build_record(build_header(0x04, b"\x6d", storage=1), local_time(due[0])))
    return write_records(found)


def telegram(
    litres, number, *, mode=MODE_5, counter=0, address=ADDRESS, key=KEY, ell=None, form=FrameFormat.A, **content
):
    header = TransportHeader(0x7A, HeaderKind.SHORT, None, number)
    payload = records(litres, **content)
    protection = Protection(mode, key, counter or number)
    return build_telegram(LinkHeader(0x44, address), header, payload, protection, ell=ell, form=form)


class Point:
    """An access point with one water meter, and what it remembers."""

    def __init__(self, meter=None, state=None):
        self.state = MemoryState() if state is None else state
        self.outbox = MemoryOutbox()
        self.meter = local() if meter is None else meter
        self.restart()

    def restart(self):
        config = AccessPointConfig("MSPLNAP000001", b"MSPL\0\0\0\1", meters=(self.meter,))
        self.point = AccessPoint(config, counters=self.state, state=self.state, outbox=self.outbox)

    def hear(self, octets, now=START):
        return self.point.hear_radio(octets, now) is not None

    @property
    def fault(self):
        (frame,) = self.point.quarantine.newest(1)
        return frame.fault

    @property
    def known(self):
        """All that is stored or learnt, in memory and durably."""
        receiver = self.point._receiver
        return (*self.believed, receiver.formats.to_bytes(), len(receiver._layouts))

    @property
    def believed(self):
        """What is known without the layouts of telegrams that the key opened."""
        channel = self.point.channel(DEVICE)
        return (
            dict(self.state.highest),
            dict(self.state.kept),
            tuple(self.outbox.items),
            channel.latest,
            channel.heard_at,
            len(channel.rows),
            channel.captured_periods,
            dict(self.point._trust._heard),
        )


def downgraded(litres):
    """Return what can be sent without the key, by what is left out."""
    plain = records(litres, sent=START + 60)
    header = TransportHeader(0x7A, HeaderKind.SHORT, None, 77)
    clear = (b"\x2f\x2f" + plain).ljust(32, b"\x2f")
    mode_7 = read_frame(telegram(litres, 9, mode=MODE_7, counter=9, key=bytes(16)))
    burnt = replace(mode_7.afl, mac=b"", counter=0xFFFF_FFFF)
    return {
        "mode 0": build_telegram(LINK, header, plain, Protection()),
        "mode 5 announced, in the clear": write_frame(LINK, replace(header, configuration=0x0520), clear),
        "mode 7 announced, in the clear": write_frame(
            LINK, replace(header, configuration=0x0720, extension=b"\x10"), clear, afl=burnt
        ),
        "mode 0 with the highest counter": write_frame(LINK, header, plain, afl=burnt),
        "mode 7 without a MAC": write_frame(LINK, mode_7.transport, mode_7.payload, afl=burnt),
        "mode 7 with a MAC of two octets": write_frame(
            LINK, mode_7.transport, mode_7.payload, afl=replace(burnt, message_control=0x23, mac=b"\1\2")
        ),
        "another key": telegram(litres, 9, key=bytes(16), sent=START + 60),
        "extended link layer in the clear": write_frame(LINK, TransportHeader(0x78), plain, ell=SEALED_LINK),
        "no header": write_frame(LINK, TransportHeader(0x78), plain),
        "a format frame": write_frame(LINK, TransportHeader(0x69), b"\x04\x12\x34\x04\x13"),
    }


FORGED = downgraded(999_999)


@pytest.mark.attack(1)
@pytest.mark.finding("security C1")
@pytest.mark.parametrize("mode", [MODE_5, MODE_7])
@pytest.mark.parametrize("octets", FORGED.values(), ids=FORGED)
def test_a_telegram_without_the_protection_of_its_meter_goes_to_quarantine_and_changes_nothing(mode, octets):
    here = Point()
    assert here.hear(telegram(1_000, 1, mode=mode))
    before = here.known
    assert not here.hear(octets, START + 60)
    assert here.fault in {FrameFault.NOT_PROTECTED, FrameFault.WRONG_KEY}
    assert here.known == before
    assert here.hear(telegram(1_001, 2, mode=mode), START + 120)


def test_a_meter_that_must_be_authenticated_is_not_believed_in_mode_5():
    here = Point(local(RadioProtection.AUTHENTICATED))
    assert not here.hear(telegram(1_000, 1))
    assert here.fault is FrameFault.NOT_PROTECTED
    assert here.hear(telegram(1_000, 1, mode=MODE_7))


def test_a_meter_whose_key_is_not_known_is_believed_only_where_it_is_configured_as_plain():
    assert not Point(local(key=b"")).hear(telegram(1_000, 1, mode=NONE))
    assert Point(local(RadioProtection.INSECURE_PLAIN, key=b"")).hear(telegram(1_000, 1, mode=NONE))
    with pytest.raises(ValueError, match="cannot be insecure-plain"):
        local(RadioProtection.INSECURE_PLAIN)
    with pytest.raises(ValueError, match="needs a key"):
        local(RadioProtection.AUTHENTICATED, key=b"")


@pytest.mark.finding("security H2")
def test_a_plain_meters_telegram_cannot_use_up_a_message_counter():
    here = Point(local(RadioProtection.INSECURE_PLAIN, key=b""))
    assert here.hear(FORGED["mode 7 announced, in the clear"], START)
    assert here.state.highest == {}


@pytest.mark.finding("security H9")
@pytest.mark.parametrize("ell", [None, SEALED_LINK])
def test_a_recorded_telegram_under_another_version_is_refused_until_the_meter_is_silent_for_hours(ell):
    here = Point()
    mode = NONE if ell else MODE_5
    other = replace(ADDRESS, octets=ADDRESS.octets[:6] + b"\x02" + ADDRESS.octets[7:])
    assert here.hear(telegram(1_000, 1, mode=mode, ell=ell))
    for minute in range(1, 4):
        assert not here.hear(telegram(1_000, 10 + minute, mode=mode, ell=ell, address=other), START + 60 * minute)
        assert here.fault is FrameFault.IMPLAUSIBLE
    here.restart()
    assert not here.hear(telegram(1_000, 20, mode=mode, ell=ell, address=other), START + 300), "the pin is durable"
    assert here.hear(telegram(1_001, 2, mode=mode, ell=ell), START + 360)
    assert not here.hear(telegram(1_001, 30, mode=mode, ell=ell, address=other), START + 400)
    assert not here.hear(telegram(1_001, 31, mode=mode, ell=ell, address=other), START + 300 + DOUBT_S), "doubted anew"
    assert here.hear(telegram(1_001, 32, mode=mode, ell=ell, address=other), START + 400 + DOUBT_S)


@pytest.mark.attack(1)
@pytest.mark.parametrize("sent", [None, START])
def test_a_replayed_telegram_is_refused_also_after_a_restart(sent):
    here = Point()
    at = {} if sent is None else {"sent": sent}
    old = telegram(1_000, 1, **at)
    assert here.hear(old)
    later = {} if sent is None else {"sent": sent + 600}
    assert here.hear(telegram(1_000, 2, **later), START + 600)
    here.restart()
    assert not here.hear(old, START + 660)
    assert here.fault is FrameFault.REPLAYED


def test_an_old_telegram_out_of_reach_of_the_access_number_is_refused_because_its_register_is_lower():
    here = Point()
    old = telegram(100_000, 200)
    assert here.hear(old)
    for step in range(2, 300):
        assert here.hear(telegram(100_000 + 100 * step, step & 0xFF), START + 900 * step)
    before = here.known
    assert not here.hear(old, START + 900 * 301)
    assert here.fault is FrameFault.IMPLAUSIBLE
    assert here.known == before
    assert here.hear(telegram(130_200, 301 & 0xFF), START + 900 * 302)


def test_a_register_that_falls_is_believed_once_nothing_else_was_sent_for_hours():
    here = Point()
    assert here.hear(telegram(5_000, 1))
    assert not here.hear(telegram(10, 2), START + 60)
    assert not here.hear(telegram(11, 3), START + 60 + DOUBT_S - 1)
    assert here.hear(telegram(12, 4), START + 60 + DOUBT_S)
    assert here.hear(telegram(13, 5), START + 120 + DOUBT_S), "the new level is the known one"
    assert not here.hear(telegram(9, 6), START + 180 + DOUBT_S)


def test_a_register_rises_by_no_more_than_the_connection_carries():
    free, bound = Point(), Point(local(hourly_max=Scaled(25, -1, UNITS["m3"])))
    for here in (free, bound):
        assert here.hear(telegram(1_000, 1))
        assert here.hear(telegram(3_500, 2), START + 60)
    assert free.hear(telegram(10_000, 3), START + 120)
    assert not free.hear(telegram(10_000 + 250_000, 4), START + 180), "no building takes 250 m3 of water in an hour"
    before = bound.known
    assert not bound.hear(telegram(10_000, 3), START + 120)
    assert bound.fault is FrameFault.IMPLAUSIBLE
    assert bound.known == before
    assert bound.hear(telegram(10_000, 4), START + 3 * 3_600), "the connection carries that in three hours"


@pytest.mark.finding("security H9")
def test_a_telegram_altered_by_its_access_number_is_refused_without_any_configuration():
    """The access number is a part of mode 5's initial vector, in the clear: it changes octets of the first block."""

    def with_register_there(litres, number):
        """Error flags first, so that the register's octets are 8 to 11 of the block behind 2F2F."""
        octets = bytes.fromhex("01FD1700 0413") + litres.to_bytes(4, "little") + bytes.fromhex("025A9600")
        header = TransportHeader(0x7A, HeaderKind.SHORT, None, number)
        return build_telegram(LinkHeader(0x44, ADDRESS), header, octets, Protection(MODE_5, KEY), form=FrameFormat.A)

    here = Point()
    assert here.hear(with_register_there(100_000, 16))
    genuine = with_register_there(100_020, 17)
    assert here.hear(genuine, START + 900)
    before = here.believed
    for number in (16, 19, 21, 25, 49, 81, 145):
        frame = read_frame(genuine)
        altered = write_frame(
            frame.link, replace(frame.transport, access_number=number), frame.payload, form=FrameFormat.A
        )
        assert not here.hear(altered, START + 1_000)
        assert here.believed == before
    assert here.hear(with_register_there(100_040, 18), START + 1_800)


@pytest.mark.parametrize(
    ("due", "wrong"), [((START, 900), (START + 900, 899)), ((START, 900), (START + 900, 1_002)), (None, (START, 1_002))]
)
def test_a_due_value_neither_falls_nor_exceeds_the_register(due, wrong):
    here = Point()
    assert here.hear(telegram(1_000, 1, due=due), START + 60)
    assert not here.hear(telegram(1_001, 2, due=wrong), START + 1_000)
    assert here.fault is FrameFault.IMPLAUSIBLE
    assert here.hear(telegram(1_001, 3, due=(START + 900, 1_001)), START + 1_060)


def test_an_authenticated_register_may_fall():
    here = Point()
    assert here.hear(telegram(5_000, 1, mode=MODE_7))
    assert here.hear(telegram(10, 2, mode=MODE_7), START + 60)
    assert not here.hear(telegram(10, 2, mode=MODE_7, counter=1), START + 120)
    assert here.fault is FrameFault.REPLAYED


@pytest.mark.finding("security H2")
def test_a_time_of_2099_refuses_nothing_afterwards():
    here = Point()
    far = int(datetime(2099, 1, 1, tzinfo=UTC).timestamp())
    assert here.hear(telegram(1_000, 1, sent=START))
    assert here.hear(telegram(1_000, 2, sent=far), START + 60)
    assert here.hear(telegram(1_000, 3, sent=START + 120), START + 120)
    assert not here.hear(telegram(1_000, 4, sent=START - 600), START + 180)
    assert far - START > CLOCK_AHEAD_S


def test_a_clock_that_was_set_back_is_believed_after_hours_of_nothing_else():
    here = Point()
    assert here.hear(telegram(1_000, 1, sent=START))
    assert not here.hear(telegram(1_000, 2, sent=START - 86_400), START + 60)
    assert here.fault is FrameFault.REPLAYED
    assert here.hear(telegram(1_000, 3, sent=START - 86_400 + DOUBT_S), START + 60 + DOUBT_S)


def test_access_numbers_wrap_and_lost_telegrams_do_not_silence_a_meter():
    here = Point()
    for number in (250, 255, 3, 3 + 255 - NUMBERS_BEHIND):
        assert here.hear(telegram(1_000, number & 0xFF)), number
    last = 3 + 255 - NUMBERS_BEHIND
    assert not here.hear(telegram(1_000, last - 1), START + NUMBERS_FOR_S - 1)
    assert here.hear(telegram(1_000, last - 2), START + NUMBERS_FOR_S)


@pytest.mark.attack(1)
@pytest.mark.parametrize("mode", [MODE_5, MODE_7])
def test_a_telegram_that_cannot_be_remembered_is_not_believed(mode):
    here = Point()
    assert here.hear(telegram(1_000, 1, mode=mode))
    before = here.known

    def full(*_args):
        raise StorageFullError("no room")

    here.state.save = here.state.accept = full
    with pytest.raises(StorageFullError):
        here.hear(telegram(1_001, 2, mode=mode), START + 900)
    del here.state.save, here.state.accept
    assert here.known == before
    assert here.hear(telegram(1_001, 2, mode=mode), START + 960)


@pytest.mark.parametrize("octets", [b"{", b"[]", b'{"address": "AA==", "at": 1, "levels": {"x": [1, 2, 3, "m3"]}}'])
def test_damaged_memory_of_a_meter_is_named(octets):
    here = Point()
    assert here.hear(telegram(1_000, 1))
    here.state.kept[f"heard/{DEVICE}"] = octets
    with pytest.raises(DamagedError, match=DEVICE):
        here.restart()


class Forgery(RuleBasedStateMachine):
    """Forged and damaged telegrams between a meter's own: two access points, of which one hears them all."""

    def __init__(self):
        super().__init__()
        self.alone, self.attacked = Point(), Point()
        self.number, self.litres, self.now = 0, 1_000, START

    def send(self, octets):
        taken = [here.hear(octets, self.now) for here in (self.alone, self.attacked)]
        assert taken == [True, True]

    @rule(litres=st.integers(0, 500), mode=st.sampled_from([MODE_5, MODE_7]), stamped=st.booleans())
    def genuine(self, litres, mode, stamped):
        self.number, self.litres, self.now = self.number + 1, self.litres + litres, self.now + 180
        content = {"sent": self.now} if stamped else {}
        self.send(telegram(self.litres, self.number & 0xFF, mode=mode, counter=self.number, **content))

    @rule(octets=st.sampled_from(sorted(FORGED.values())))
    def downgrade(self, octets):
        self.attacked.hear(octets, self.now + 1)

    @rule(litres=st.integers(0, 10**9), number=st.integers(0, 255), counter=st.integers(1, 2**32 - 1))
    def invent(self, litres, number, counter):
        for mode in (NONE, MODE_5, MODE_7):
            forged = telegram(litres % 10**8, number, mode=mode, counter=counter, key=bytes(16))
            self.attacked.hear(forged, self.now + 2)

    @rule(flips=st.sets(st.integers(0, 8 * 200), min_size=1, max_size=5))
    def alter_one_with_a_mac(self, flips):
        genuine = telegram(self.litres + 5, 1, mode=MODE_7, counter=self.number + 1, form=FrameFormat.STRIPPED)
        octets = bytearray(genuine)
        for flip in flips:
            octets[AUTHENTICATED_FROM + flip // 8 % (len(octets) - AUTHENTICATED_FROM)] ^= 1 << flip % 8
        if octets != genuine:
            self.attacked.hear(bytes(octets), self.now + 3)

    @rule(octets=st.binary(max_size=60))
    def noise(self, octets):
        self.attacked.hear(LINK_OCTETS + octets, self.now + 4)

    @rule()
    def restart(self):
        for here in (self.alone, self.attacked):
            here.point.preserve()
            here.restart()

    @invariant()
    def the_attacked_one_knows_what_the_other_knows(self):
        assert self.attacked.known == self.alone.known


LINK_OCTETS = write_frame(LINK, None, b"", form=FrameFormat.STRIPPED)
TestForgery = Forgery.TestCase
TestForgery.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)
