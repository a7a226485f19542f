"""The P1 stream reader: any cut, telegrams that run together, noise and floods."""

import random

from meterspan.wire import ChecksumError, TruncatedError
from meterspan.wire.p1 import MAX_TELEGRAM_SIZE, P1Damage, P1Reader, P1Telegram, crc_of


def telegram(number: int) -> bytes:
    body = f"/TST5\\2X\r\n\r\n1-3:0.2.8(50)\r\n1-0:1.8.1({number:06d}.000*kWh)\r\n!".encode()
    return body + b"%04X\r\n" % crc_of(body)


def drain(reader: P1Reader) -> list[P1Telegram | P1Damage]:
    items = []
    while (item := reader.next_telegram()) is not None:
        items.append(item)
    return items


def numbers(items: list[P1Telegram | P1Damage]) -> list[str]:
    return [item.objects[1].text if isinstance(item, P1Telegram) else type(item.error).__name__ for item in items]


def test_any_cut_of_the_stream_gives_the_same_telegrams() -> None:
    stream = b"".join(telegram(number) for number in range(5))
    whole = P1Reader()
    whole.receive(stream)
    expected = drain(whole)
    assert len(expected) == 5
    for size in (1, 2, 7, 64):
        reader = P1Reader()
        for start in range(0, len(stream), size):
            reader.receive(stream[start : start + size])
        assert drain(reader) == expected


def test_beginnings_and_ends_without_a_telegram_between_them_are_skipped_and_counted() -> None:
    reader = P1Reader()
    noise = b"/\n" * 1_000 + b"/\n!\n" * 1_000
    reader.receive(noise + telegram(1))
    assert numbers(drain(reader)) == ["(000001.000*kWh)"]
    assert reader.skipped == len(noise)


def test_a_telegram_that_began_before_we_listened_is_skipped_and_counted() -> None:
    reader = P1Reader()
    reader.receive(telegram(1)[20:] + telegram(2))
    assert numbers(drain(reader)) == ["(000002.000*kWh)"]
    assert reader.skipped == len(telegram(1)) - 20


def test_a_cut_telegram_is_reported_and_the_next_one_is_read() -> None:
    reader = P1Reader()
    reader.receive(telegram(1)[:40] + b"\r\n" + telegram(2))
    items = drain(reader)
    assert numbers(items) == ["TruncatedError", "(000002.000*kWh)"]
    assert isinstance(items[0], P1Damage)
    assert isinstance(items[0].error, TruncatedError)


def test_a_wrong_crc_is_reported_with_its_octets() -> None:
    reader = P1Reader()
    bad = telegram(1).replace(b"000001", b"000009")
    reader.receive(bad + telegram(2))
    items = drain(reader)
    assert isinstance(items[0], P1Damage)
    assert isinstance(items[0].error, ChecksumError)
    assert items[0].octets == bad
    assert numbers(items)[1] == "(000002.000*kWh)"


def test_a_flood_without_an_end_is_given_up_in_bounded_pieces() -> None:
    reader = P1Reader()
    for _ in range(20):
        reader.receive(b"/" + b"x" * 5_000)
    items = drain(reader)
    assert items
    assert all(isinstance(item, P1Damage) and len(item.octets) <= 2 * MAX_TELEGRAM_SIZE for item in items)
    reader.receive(b"\r\n" + telegram(3))
    assert numbers(drain(reader))[-1] == "(000003.000*kWh)"


def test_results_that_nobody_takes_are_dropped_oldest_first_and_counted() -> None:
    reader = P1Reader()
    for number in range(70):
        reader.receive(telegram(number))
    items = drain(reader)
    assert len(items) == 64
    assert reader.dropped == 6
    assert numbers(items)[0] == "(000006.000*kWh)"


def test_random_noise_never_raises() -> None:
    rng, reader = random.Random(3), P1Reader()  # noqa: S311 - seeded noise
    for _ in range(200):
        reader.receive(rng.randbytes(rng.randrange(60)) + b"/\r\n!")
        drain(reader)
