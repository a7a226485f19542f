"""A hundred thousand damaged M-Bus frames, wired and wireless: a record or a WireError, and flat memory."""

import random
from dataclasses import replace
from decimal import Decimal

import pytest

from meterspan.engine.mbus_security import Protection, build_telegram
from meterspan.engine.wmbus_receiver import WmbusReceiver
from meterspan.wire import Cursor, Trace, WireError
from meterspan.wire.mbus import build_record, read_records, write_records
from meterspan.wire.mbus.address import DeviceAddress
from meterspan.wire.mbus.application import read_application
from meterspan.wire.mbus.link import LinkFrame, read_link_frame, write_link_frame
from meterspan.wire.mbus.transport import HeaderKind, SecurityMode, TransportHeader, write_transport
from meterspan.wire.wmbus import ExtendedLink, FrameFormat, LinkHeader, write_compact
from tests.helpers_damage import growth

METER = DeviceAddress.of("MSP", "12345678", 0x01, 0x07)
LINK = LinkHeader(0x44, METER)
KEY = bytes(range(16))
SHORT = TransportHeader(0x7A, HeaderKind.SHORT, None, 0x2A)
RECORDS = write_records(
    [
        build_record(b"\x0c\x13", Decimal("12345.678")),
        build_record(b"\x84\x10\x93\x3b", Decimal("0.001")),
        build_record(b"\x0d\xfd\x11", "customer 7"),
        build_record(b"\x05\x2b", Decimal("230.5")),
    ]
) + bytes.fromhex("8D04931E063252 0100 0200 02FC0348522574440D 426C9F2C".replace(" ", ""))
COUNT = 100_000


def wireless():
    ells = (None, ExtendedLink(0x8C, 0x20, 7), ExtendedLink(0x8D, 0x20, 7, None, bytes.fromhex("04030220")))
    modes = (SecurityMode.NONE, SecurityMode.AES_CBC_IV, SecurityMode.AES_CBC_DYNAMIC)
    compact = replace(SHORT, ci=0x7B)
    for form in FrameFormat:
        yield build_telegram(LINK, compact, write_compact(read_records(RECORDS)), Protection(), form=form)
        for ell in ells:
            for mode in modes:
                yield build_telegram(LINK, SHORT, RECORDS, Protection(mode, KEY, 5), ell=ell, form=form)


def wired():
    long = write_transport(TransportHeader(0x72, HeaderKind.LONG, METER, 0x2A))
    for payload in (long + RECORDS, bytes.fromhex("73785634120A00E97E0100000035010000"), b"\x70\x05"):
        yield write_link_frame(LinkFrame(0x08, 1, payload))


def damage(octets, source):
    damaged = bytearray(octets)
    for _ in range(source.randrange(1, 5)):
        damaged[source.randrange(len(damaged))] = source.randrange(256)
    if source.random() < 0.3:
        del damaged[source.randrange(1, len(damaged)) :]
    return bytes(damaged)


def check_wireless(receiver, octets, *, traced):
    try:
        telegram = receiver.read(octets, trace=Trace() if traced else None)
    except WireError as error:
        assert error.reason  # noqa: PT017 - either way out is right
        return
    for record in telegram.records.records:
        str(record)


def check_wired(octets, *, traced):
    try:
        frame = read_link_frame(Cursor(octets, trace=Trace() if traced else None))
        payload = frame.payload or octets
    except WireError:
        payload = octets[4:]
    try:
        message = read_application(payload)
    except WireError as error:
        assert error.reason  # noqa: PT017 - either way out is right
        return
    for record in message.records.records:
        str(record)


def run(count):
    source = random.Random(7)  # noqa: S311 - damage, not a secret
    receiver = WmbusReceiver({METER.id_octets: KEY})
    seeds = list(wireless())
    wires = list(wired())
    for number in range(count):
        check_wireless(receiver, damage(source.choice(seeds), source), traced=number % 4 == 0)
        check_wired(damage(source.choice(wires), source), traced=number % 4 == 0)
        yield number


def test_two_thousand_damaged_frames_are_read_or_refused():
    assert sum(1 for _ in run(2_000)) == 2_000


@pytest.mark.deep
def test_a_hundred_thousand_damaged_frames_leave_memory_flat():
    added, peak = growth(run(COUNT), COUNT)
    assert added < 5_000_000
    assert peak < 60_000_000
