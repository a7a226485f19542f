"""Rows wait exactly as they were heard, and those of an earlier version are not lost."""

import contextlib
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.engine.push_body import read_body
from meterspan.lnap.access_point import AccessPoint, AccessPointConfig
from meterspan.lnap.channel import LocalMeter, Observation
from meterspan.lnap.delivery import TwoOutboxes
from meterspan.lnap.outbox import OldChannel, OutboxRow, RowOutbox, read_row, write_row
from meterspan.quantities import CATALOGUE, UNITS, Commodity, Obis, Scaled
from meterspan.runtime.state import StateFile
from meterspan.wire.errors import WireError
from tests.memory import MemoryOutbox

START = 20_000 * 86_400
WATER, ELECTRICITY = "MSP-12345678-07", "MSP1000000001"
VOLUME, IMPORT, EXPORT = Obis(8, 0, 1, 0, 0), Obis(1, 0, 1, 8, 0), Obis(1, 0, 2, 8, 0)
OLD_STATE = Path(__file__).parent / "data" / "state_0_1.sql"

values = st.builds(
    Scaled, st.integers(-(2**63), 2**63 - 1), st.integers(-127, 127), st.sampled_from(list(UNITS.values()))
)
registers = st.builds(Obis, *[st.integers(0, 255)] * 5)
rows = st.builds(
    OutboxRow,
    st.text(max_size=20),
    st.integers(0, 2**40),
    st.integers(0, 255),
    st.lists(st.tuples(registers, values), max_size=3).map(tuple),
)


def row(number):
    return OutboxRow(WATER, START + 900 * number, 0, ((VOLUME, Scaled(number, -3, UNITS["m3"])),))


@given(rows)
def test_a_row_is_read_as_it_was_written(written):
    assert read_row(write_row(written)) == written


@given(st.binary(max_size=60) | st.builds(lambda row, size: write_row(row)[:size], rows, st.integers(0, 200)))
def test_any_octets_are_a_row_or_a_wire_error(octets):
    with contextlib.suppress(WireError):
        assert read_row(write_row(read_row(octets))) == read_row(octets)


def test_a_row_takes_few_octets():
    assert len(write_row(row(100_000))) <= 50


def test_a_damaged_item_costs_no_other_row_and_is_counted():
    store = MemoryOutbox()
    outbox = RowOutbox(store)
    outbox.append(row(1))
    store.append(b"\x01\xff")
    last = outbox.append(row(2))
    batch = outbox.peek(10)
    assert batch.rows == (row(1), row(2))
    assert (batch.damaged, batch.through, batch.numbers) == (1, last, (1, 3))
    outbox.discard(batch.through)
    assert outbox.peek(10) is None


@pytest.fixture
def old_state(tmp_path):
    path = tmp_path / "home.sqlite"
    with sqlite3.connect(path) as db:
        db.executescript(OLD_STATE.read_text(encoding="utf-8"))
    db.close()
    with StateFile(path) as state:
        yield state


def access_point(state, outbox, *devices):
    known = {
        WATER: LocalMeter(WATER, Commodity.WATER, "home", (VOLUME,), bytes(16)),
        ELECTRICITY: LocalMeter(
            ELECTRICITY, Commodity.ELECTRICITY, "home", tuple(CATALOGUE[Commodity.ELECTRICITY].registers.values())
        ),
    }
    config = AccessPointConfig("MSPLNAP000001", b"MSPL\0\0\0\1", meters=tuple(known[device] for device in devices))
    return AccessPoint(config, counters=state, state=state, outbox=outbox)


def shown(outbox):
    batch = outbox.peek(100)
    return (
        []
        if batch is None
        else [
            (found.device, (found.time - START) % 86_400, *(value.value for _, value in found.values))
            for found in batch.rows
        ]
    )


OLD_ROWS = [
    (WATER, 1, 2),
    (WATER, 900, 15),
    (WATER, 1_800, 30),
    (WATER, 2_700, 45),
    (ELECTRICITY, 60, 16, 0),
    (ELECTRICITY, 900, 250, 0),
    (ELECTRICITY, 1_800, 500, 0),
    (ELECTRICITY, 2_700, 750, 0),
    (ELECTRICITY, 3_600, 1_000, 0),
]


def test_the_outbox_of_an_earlier_version_is_converted_row_by_row_in_order(old_state):
    outbox = RowOutbox(old_state.outbox("uplink"))
    point = access_point(old_state, old_state.outbox("uplink"), WATER, ELECTRICITY)
    assert point.convert_outbox().rows == len(OLD_ROWS)
    assert shown(outbox) == OLD_ROWS
    assert outbox.peek(1).rows[0].values == ((VOLUME, Scaled(2, -3, UNITS["m3"])),)
    again = access_point(old_state, old_state.outbox("uplink"), WATER, ELECTRICITY)
    assert again.convert_outbox().rows == 0
    assert shown(outbox) == OLD_ROWS


def test_rows_of_an_earlier_version_are_pushed_and_captured_only_once(old_state):
    point = access_point(old_state, old_state.outbox("uplink"), WATER, ELECTRICITY)
    push = point.next_push()
    assert push is not None
    values = read_body(push.body).values
    assert sum(len(value.value.items) for value in values if value.definition.class_id == 7) == len(OLD_ROWS)
    channel = point.channel(WATER)
    assert len(channel.rows) == 4
    assert not channel.observe(Observation(START + 2_700, (Scaled(45, -3, UNITS["m3"]),)))


def test_rows_of_a_channel_that_is_gone_are_counted_and_cost_no_other(old_state):
    point = access_point(old_state, old_state.outbox("uplink"), WATER)
    done = point.convert_outbox()
    assert (done.rows, done.unknown) == (4, 5)
    assert point.counts["rows of unknown channels"] == 5


def test_two_outboxes_are_converted_each_by_itself(old_state):
    point = access_point(old_state, old_state.outbox("uplink"), WATER, ELECTRICITY)
    uplink, home = old_state.outbox("uplink"), old_state.outbox("home")
    for item in uplink.peek(2):
        home.append(item[1])
    for store in (uplink, home):
        RowOutbox(store).convert(point.old_channels())
    assert shown(RowOutbox(uplink)) == OLD_ROWS
    assert shown(RowOutbox(home)) == OLD_ROWS[:2]
    assert RowOutbox(TwoOutboxes(uplink, home)).convert(point.old_channels()).rows == 0


class PowerLostError(Exception):
    """Nothing runs after this."""


def power_lost(_through):
    raise PowerLostError


def test_a_conversion_that_was_interrupted_loses_no_row():
    store, channels = MemoryOutbox(), {Obis(0, 1, 24, 3, 0): OldChannel(WATER, (VOLUME,), ((UNITS["m3"], -3),))}
    item = bytes.fromhex("020412000709060001180300ff0f0201010203090c07e80a0405000f00000000001100060000000f")
    store.append(item)
    store.append(item)
    store.discard = power_lost
    with pytest.raises(PowerLostError):
        RowOutbox(store).convert(channels)
    del store.discard
    RowOutbox(store).convert(channels)
    assert {found[1] for found in shown(RowOutbox(store))} == {900}
    assert all(octets[:1] == b"\x01" for _, octets in store.items)
