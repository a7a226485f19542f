import dataclasses
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meterspan.meter import metrology
from meterspan.meter.metrology import (
    CorruptStateError,
    ElectricityFlow,
    HeatFlow,
    Metrology,
    Part,
    VolumeFlow,
    electricity_block,
    gas_block,
    heat_block,
    identify_software,
    water_block,
)
from meterspan.quantities import Obis

START = 1_750_000_000.0
TOTAL, T1, T2, EXPORT = (
    Obis(1, 0, 1, 8, 0),
    Obis(1, 0, 1, 8, 1),
    Obis(1, 0, 1, 8, 2),
    Obis(1, 0, 2, 8, 0),
)


class Memory:
    def __init__(self):
        self.kept = {}

    def load(self, name):
        return self.kept.get(name)

    def save(self, name, octets):
        self.kept[name] = octets


def test_one_kilowatt_for_an_hour_is_one_kilowatt_hour_in_the_selected_tariff():
    meter = Metrology(electricity_block(2), START)
    meter.advance(ElectricityFlow((1_000_000,)), START + 3600, tariff=2)
    seen = meter.indicate()
    assert (seen[TOTAL].value, seen[T1].value, seen[T2].value, seen[EXPORT].value) == (1000, 0, 1000, 0)
    assert seen[Obis(1, 0, 1, 7, 0)].value == 1000


def test_phases_are_summed_before_import_and_export_part():
    meter = Metrology(electricity_block(1), START)
    meter.advance(ElectricityFlow((2_000_000, -3_500_000, 0), (230_100, 229_000, 231_000)), START + 3600)
    seen = meter.indicate()
    assert (seen[TOTAL].value, seen[EXPORT].value) == (0, 1500)
    assert str(seen[Obis(1, 0, 52, 7, 0)]) == "229.0 V"


def test_reactive_energy_is_counted_where_the_block_has_it():
    meter = Metrology(electricity_block(1, reactive=True), START)
    meter.advance(ElectricityFlow((0,), reactive_mvar=(-400_000,)), START + 3600)
    assert meter.indicate()[Obis(1, 0, 4, 8, 0)].value == 400


def test_heat_counts_energy_and_water_and_shows_temperatures():
    meter = Metrology(heat_block(), START)
    meter.advance(HeatFlow(12_000_000, 400_000, 7012, 4388), START + 1800)
    seen = meter.indicate()
    assert (seen[Obis(6, 0, 1, 0, 0)].value, seen[Obis(6, 0, 2, 0, 0)].value) == (6000, 200)
    assert str(seen[Obis(6, 0, 10, 0, 0)]) == "70.12 °C"


def test_gas_steps_are_ten_litres_and_lose_nothing():
    meter = Metrology(gas_block(), START)
    for minute in range(60):
        meter.advance(VolumeFlow(1_999_000), START + 60 * (minute + 1))
    value = meter.indicate()[Obis(7, 0, 3, 0, 0)]
    assert (value.value, value.exponent, value.unit.symbol) == (199, 1, "L")


def test_a_register_rolls_over_at_its_width_and_says_it():
    meter = Metrology(water_block(), START, opening={Obis(8, 0, 1, 0, 0): 99_999_999})
    meter.advance(VolumeFlow(2_000), START + 3600)
    (register,) = meter.indicate().registers
    assert (register.value.value, register.width) == (1, 10**8)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(-20_000_000, 20_000_000), st.integers(1, 3_000_000)), max_size=30))
def test_nothing_below_a_watt_hour_is_lost_whatever_the_spans(spans):
    meter = Metrology(electricity_block(1), START)
    now_ms, imported, exported = int(START * 1000), 0, 0
    for power_mw, span_ms in spans:
        now_ms += span_ms
        meter.advance(ElectricityFlow((power_mw,)), now_ms / 1000)
        imported += max(0, power_mw) * span_ms
        exported += max(0, -power_mw) * span_ms
    seen = meter.indicate()
    assert seen[TOTAL].value == Fraction(imported, 3_600_000_000).__floor__()
    assert seen[EXPORT].value == Fraction(exported, 3_600_000_000).__floor__()


@settings(max_examples=30)
@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=20))
def test_registers_never_fall(powers):
    meter, last = Metrology(electricity_block(2), START), None
    for index, power in enumerate(powers):
        meter.advance(ElectricityFlow((power,)), START + 60 * (index + 1), tariff=1 + index % 2)
        values = [register.value.value for register in meter.indicate().registers]
        assert last is None or all(now >= before for now, before in zip(values, last, strict=True))
        last = values


def test_time_that_runs_backwards_an_unknown_tariff_and_backward_volume_are_refused_and_count_nothing():
    meter = Metrology(electricity_block(2), START)
    with pytest.raises(ValueError, match="backwards"):
        meter.advance(ElectricityFlow((10**9,)), START - 1)
    with pytest.raises(ValueError, match="no tariff 3"):
        meter.advance(ElectricityFlow((10**9,)), START + 3600, tariff=3)
    assert meter.time == START
    assert not any(register.value.value for register in meter.indicate().registers)
    with pytest.raises(ValueError, match="backwards"):
        VolumeFlow(-1)
    with pytest.raises(ValueError, match="backwards"):
        HeatFlow(-1, 0, 0, 0)


junk = st.one_of(
    st.none(),
    st.integers(-(10**12), 10**12),
    st.floats(allow_nan=False),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.dictionaries(st.just(TOTAL), st.integers(), max_size=1),
    st.lists(st.integers(), max_size=3),
)


@settings(max_examples=60)
@given(st.data())
def test_nothing_public_sets_or_lowers_a_register(data):
    """MET-1, MET-2, MET-5: every public name is set, deleted and called with junk; only measuring changes anything."""
    meter = Metrology(electricity_block(2), START, opening={TOTAL: 5000, T1: 3000}, state=Memory())
    before = meter.indicate().registers
    for name in [name for name in dir(meter) if not name.startswith("_")]:
        with pytest.raises(AttributeError):
            setattr(meter, name, data.draw(junk))
        with pytest.raises(AttributeError):
            delattr(meter, name)
        member = getattr(meter, name)
        if callable(member) and name != "advance":  # advance is measuring
            arguments = data.draw(st.lists(junk, max_size=2))
            try:
                member(*arguments)
            except TypeError:
                assert arguments
    assert meter.indicate().registers == before
    with pytest.raises(AttributeError):
        meter.total = 0


def test_what_was_indicated_is_frozen_and_shares_nothing_with_the_block():
    meter = Metrology(electricity_block(1), START, opening={TOTAL: 7})
    seen = meter.indicate()
    with pytest.raises(dataclasses.FrozenInstanceError):
        seen.registers[0].value.value = 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        meter.block.registers[0].digits = 1
    assert isinstance(seen.registers, tuple)
    assert meter.indicate()[TOTAL].value == 7


def test_registers_survive_power_loss_to_the_last_remainder():
    memory = Memory()
    meter = Metrology(electricity_block(1), START, state=memory, seal_key=b"k" * 16)
    meter.advance(ElectricityFlow((999,)), START + 1800)
    meter.preserve()
    again = Metrology(electricity_block(1), START + 9999, state=memory, seal_key=b"k" * 16, opening={TOTAL: 5})
    assert again.time == START + 1800
    again.advance(ElectricityFlow((1_999_001,)), START + 3600)
    assert again.indicate()[TOTAL].value == 1000


@pytest.mark.finding("security low-11")
def test_state_that_an_earlier_release_sealed_by_a_public_name_is_sealed_by_the_secret_once_and_for_all():
    memory, secret, title = Memory(), b"s" * 32, b"MSP\0\0\0\0\1"
    Metrology(electricity_block(1), START, state=memory, opening={TOTAL: 5}, seal_key=title).preserve()
    forged = memory.kept["metrology"]
    meter = Metrology(electricity_block(1), START, state=memory, seal_key=secret, former_seal_key=title)
    assert meter.indicate()[TOTAL].value == 5
    again = Metrology(electricity_block(1), START, state=memory, seal_key=secret, former_seal_key=title)
    assert again.indicate()[TOTAL].value == 5
    memory.kept["metrology"] = forged
    with pytest.raises(CorruptStateError, match="seal"):
        Metrology(electricity_block(1), START, state=memory, seal_key=secret, former_seal_key=title)


@pytest.mark.parametrize("position", [0, 15, 16, 40, -1])
def test_a_damaged_saved_state_is_refused(position):
    memory = Memory()
    Metrology(electricity_block(1), START, state=memory, opening={TOTAL: 5}).preserve()
    octets = bytearray(memory.kept["metrology"])
    octets[position] ^= 1
    memory.kept["metrology"] = bytes(octets)
    with pytest.raises(CorruptStateError, match="seal"):
        Metrology(electricity_block(1), START, state=memory)


def test_a_saved_state_under_another_key_or_of_another_block_is_refused():
    memory = Memory()
    Metrology(electricity_block(1), START, state=memory, seal_key=b"right").preserve()
    with pytest.raises(CorruptStateError, match="seal"):
        Metrology(electricity_block(1), START, state=memory, seal_key=b"wrong")
    with pytest.raises(CorruptStateError, match="another block"):
        Metrology(electricity_block(2), START, state=memory, seal_key=b"right")
    memory.kept["metrology"] = b""
    with pytest.raises(CorruptStateError, match="seal"):
        Metrology(electricity_block(1), START, state=memory, seal_key=b"right")


def test_opening_values_of_another_block_or_below_zero_are_refused():
    with pytest.raises(ValueError, match="cannot open"):
        Metrology(water_block(), START, opening={TOTAL: 1})
    with pytest.raises(ValueError, match="cannot open"):
        Metrology(electricity_block(1), START, opening={TOTAL: -1})


def test_the_software_is_identified_by_its_shipped_octets():
    shipped = Path(metrology.__file__).read_bytes()
    identity = identify_software(shipped)
    assert (identity.name, identity.version, len(identity.checksum)) == ("meterspan-metrology", "1.0", 64)
    assert identify_software(shipped + b" ").checksum != identity.checksum
    assert identify_software(b"a", b"bc").checksum != identify_software(b"ab", b"c").checksum


def test_an_unknown_code_is_no_indication():
    with pytest.raises(KeyError, match=r"8-0:1\.0\.0"):
        Metrology(electricity_block(1), START).indicate()[Obis(8, 0, 1, 0, 0)]


def test_flows_without_some_part_count_nothing_for_it():
    assert Part.HEAT not in VolumeFlow(5).parts()
    meter = Metrology(heat_block(), START)
    meter.advance(None, START + 60)
    assert meter.indicate().instants == ()
