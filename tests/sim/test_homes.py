"""The homes of a district: drawn from the seed alone, every key and name once, registers as measured."""

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meterspan.meter.electricity import PROFILE_COLUMNS
from meterspan.quantities import CATALOGUE, Commodity
from meterspan.sim import homes
from meterspan.sim.homes import (
    CHUNK_STEPS,
    FlowTape,
    Reach,
    draw_homes,
    draw_key,
    draw_neighbours,
    title_of,
)

START = 1_792_800_000.0
STEP_S = 60.0


def drawn(seed=1, count=4):
    return list(draw_homes(seed, count, zone="Europe/Berlin", start=START, homes_per_building=4))


@pytest.fixture(scope="module")
def four():
    return drawn()


@cache
def some_household():
    return drawn(count=1)[0].tape.household


def told(home):
    """What is drawn of a home, keys included."""
    electricity = home.electricity
    radios = [(radio.device, radio.meter.config.key, radio.shown()) for radio in home.radios]
    return home.home_id, home.name, electricity.device, electricity.reach, electricity.keys.unicast, *radios


def test_the_same_seed_draws_the_same_homes_and_another_seed_other_keys(four):
    assert [told(home) for home in drawn()] == [told(home) for home in four]
    assert not {told(home)[4] for home in drawn(2)} & {told(home)[4] for home in four}


def test_homes_do_not_depend_on_how_many_are_drawn(four):
    assert [told(home) for home in drawn(count=2)] == [told(home) for home in four[:2]]


def test_no_two_devices_share_a_name_a_key_or_a_usage_point(four):
    neighbours = draw_neighbours(1, 0, START, 3_600)
    radios = [*(radio for home in four for radio in home.radios), *neighbours]
    points = [home.electricity for home in four]
    device_names = [point.device for point in (*points, *radios)]
    keys = [radio.meter.config.key for radio in radios]
    keys += [key for point in points for key in (point.keys.unicast, point.keys.authentication)]
    usage_points = [home.usage_point(commodity) for home in four for commodity in Commodity]
    for each in (device_names, keys, usage_points):
        assert len(set(each)) == len(each)


def test_a_building_has_every_way_of_reading_and_each_home_one_source_of_heat_and_water(four):
    assert {home.electricity.reach for home in four} == set(Reach)
    for home in four:
        heat, water = (radio.commodity for radio in home.radios)
        assert heat in {Commodity.GAS, Commodity.HEAT}
        assert water is Commodity.WATER
        assert {home.usage_point(commodity)[-1] for commodity in (heat, water)} == {
            CATALOGUE[commodity].letter for commodity in (heat, water)
        }


@settings(max_examples=20)
@given(st.lists(st.integers(0, 3 * CHUNK_STEPS), min_size=1, max_size=6))
def test_a_tape_gives_the_same_flow_for_a_step_in_whatever_order_steps_are_asked_for(steps):
    household = some_household()
    tape = FlowTape(household)
    for step in steps:
        start = START + step * STEP_S
        flows, index = tape.step(start, start + STEP_S)
        assert (float(flows.edges[index]), float(flows.edges[index + 1])) == (start, start + STEP_S)
        alone = household.flows(start, start + STEP_S, STEP_S)
        assert flows.electricity(index) == alone.electricity(0)


def test_a_tape_computes_a_chunk_once_for_all_of_its_steps(four):
    tape = FlowTape(four[0].tape.household)
    first, _ = tape.step(START, START + STEP_S)
    again = [tape.step(START + STEP_S * step, START + STEP_S * (step + 1)) for step in range(1, CHUNK_STEPS)]
    assert all(flows is first for flows, _ in again)
    assert [index for _, index in again] == list(range(1, CHUNK_STEPS))


def test_an_electricity_meter_shows_at_every_mark_what_the_reference_beside_it_counted():
    (home,) = drawn(3, 1)
    point = home.electricity
    for step in range(31):
        begin = START + step * STEP_S
        flows, index = home.tape.step(begin, begin + STEP_S)
        point.measure(flows, index, begin + STEP_S)
    stored = {
        int(row[0].clock_time.to_utc().timestamp()): tuple(value.value for value in row[2 : 2 + len(PROFILE_COLUMNS)])
        for row in point.meter.profile.entries(1, len(point.meter.profile))
    }
    assert sorted(point.reference.rows) == [START + 900, START + 1_800]
    assert stored.keys() == point.reference.rows.keys()
    assert point.truth() == {int(START): point.rows[int(START)], **point.reference.rows}
    assert point.reference.totals() == point.shown()
    assert point.shown()[0] >= point.rows[int(START)][0]


def test_a_radio_meter_records_its_register_at_each_due_mark_and_sends_on_the_way(four):
    home = drawn(5, 1)[0]
    water = home.radios[1]
    sent = 0
    for step in range(30):
        begin = START + step * STEP_S
        flows, index = home.tape.step(begin, begin + STEP_S)
        sent += len(water.measure(flows, index, begin + STEP_S))
    assert sorted(water.truth()) == [START, START + 900, START + 1_800]
    assert sent >= 10
    assert water.registers()[water.obis].value == water.shown()[0] == water.truth()[START + 1_800][0]


def test_a_title_has_eight_octets_and_a_key_depends_on_seed_name_and_purpose():
    assert title_of(1, 42) == b"MSP\x01\0\0\0*"
    keys = {draw_key(seed, name, purpose) for seed in (1, 2) for name in "ab" for purpose in "xy"}
    assert {len(key) for key in keys} == {16}
    assert len(keys) == 8


def test_a_seed_without_a_heated_house_is_told(monkeypatch):
    monkeypatch.setattr(homes, "Heating", type("Heating", (), {"GAS": None, "DISTRICT": None}))
    with pytest.raises(ValueError, match="no household with gas or district heating"):
        drawn(count=1)
