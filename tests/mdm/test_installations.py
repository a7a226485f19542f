"""What is asked for is checked before it is registered: registers, widths and ratios that a meter can have."""

from datetime import UTC, datetime

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from meterspan.mdm.installations import (
    MeterInstallation,
    fault_of_given,
    given,
    given_ratio,
    given_widths,
    independent,
    possible_registers,
)
from meterspan.model.lookup_errors import RatioError, RegisterError
from meterspan.quantities import UNITS, Commodity, Obis, Scaled

AT = datetime(2026, 1, 1, tzinfo=UTC)
ENERGY = Obis(1, 0, 1, 8, 0)


def installation(home="h1", point="MP1", device="M1", **more):
    return MeterInstallation.of(home, point, device=device, commodity=Commodity.ELECTRICITY, at=AT, **more)


def test_registers_are_given_in_one_unit_per_quantity():
    assert given("M1", {ENERGY: Scaled(5, 3, UNITS["Wh"])}) == {"1-0:1.8.0": [5, 3, "Wh"]}
    assert given("G1", {Obis(7, 0, 3, 0, 0): Scaled(5, 0, UNITS["L"])}) == {"7-0:3.0.0": [5, -3, "m3"]}
    assert given("M1", None) == {}


@pytest.mark.parametrize(
    "scaled",
    [
        Scaled(1, -127, UNITS["Wh"]),
        Scaled(1, 127, UNITS["Wh"]),
        Scaled(1, 10**9, UNITS["Wh"]),
        Scaled(1, 7, UNITS["m3"]),
        Scaled(2**63, 0, UNITS["Wh"]),
        Scaled(-(2**63), 0, UNITS["varh"]),
    ],
)
def test_a_register_that_no_meter_shows_is_refused_when_it_is_given_and_the_possible_ones_are_not(scaled):
    with pytest.raises(RegisterError) as caught:
        given("M1", {ENERGY: scaled})
    assert (caught.value.device, caught.value.register) == ("M1", "1-0:1.8.0")
    fine = {Obis(1, 0, 1, 8, 1): Scaled(5, -3, UNITS["Wh"])}
    assert possible_registers({ENERGY: scaled} | fine) == fine


def test_widths_and_ratios_are_positive_and_of_a_meter():
    assert given_widths("M1", {ENERGY: 10**6}) == {"1-0:1.8.0": 10**6}
    assert given_ratio("M1", 40) == 40
    for steps in (0, -1, 2**60):
        with pytest.raises(RegisterError, match="begin anew"):
            given_widths("M1", {ENERGY: steps})
    for multiplier in (0, -1, 10**9):
        with pytest.raises(RatioError):
            given_ratio("M1", multiplier)


def test_an_installation_has_the_registers_that_were_given_for_its_start():
    opening = {ENERGY: Scaled(5, 3, UNITS["Wh"])}
    assert installation().opening == {}
    assert installation(opening=opening) == installation().with_opening(opening)
    assert installation(opening=opening).opening == opening


@pytest.mark.parametrize(
    "kept", [[5, 3], ["five", 3, "Wh"], [5, 3, "parsecs"], None, [5, -127, "Wh"], [2**63, 0, "Wh"]]
)
def test_what_was_kept_and_is_no_register_is_named(kept):
    assert fault_of_given(kept)
    assert fault_of_given([5, 3, "Wh"]) == ""


names = st.sampled_from(["A", "B", "C"])


@for_all(st.lists(st.tuples(names, names, names), max_size=12))
def test_no_group_names_a_home_a_usage_point_or_a_device_twice_and_the_order_of_each_stays(wanted):
    items = [installation(*named) for named in wanted]
    groups = independent(items)
    assert sorted(id(item) for group in groups for item in group) == sorted(map(id, items))
    place = {id(item): number for number, group in enumerate(groups) for item in group}
    for later, item in enumerate(items):
        for earlier in items[:later]:
            if any(
                one == other
                for one, other in (
                    (item.point.home_id, earlier.point.home_id),
                    (item.point.usage_point, earlier.point.usage_point),
                    (item.device.device, earlier.device.device),
                )
            ):
                assert place[id(earlier)] < place[id(item)]
