"""Which registers bill is chosen among those that can; the others are named, and hide nothing."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from meterspan.mdm.chains import MAX_STEPS, chain_of
from meterspan.model.storage.registry import InstallationRow, SeriesRow
from meterspan.quantities import Commodity, Direction

TOTAL, DAY_RATE = "1-0:1.8.0", "1-0:1.8.1"
EXTENT = 1_000, 2_000


def chain(rows, *, opening=None, closing=None, multiplier=1):
    installation = InstallationRow("MP1", "M1", 1_000, 2_000, multiplier, opening or {}, closing or {}, {})
    return chain_of(
        [installation],
        lambda _device: rows,
        lambda _number: EXTENT,
        commodity=Commodity.ELECTRICITY,
        direction=Direction.IMPORT,
        period_s=900,
    )


def test_a_total_in_impossible_steps_is_named_and_the_tariff_registers_bill():
    made = chain([SeriesRow(1, "M1", TOTAL, "Wh", -127), SeriesRow(2, "M1", DAY_RATE, "Wh", 0)])
    assert (made.series, made.step) == ([2], Fraction(1, 1_000))
    assert [(item.device, item.what) for item in made.refused] == [("M1", TOTAL)]
    assert "10^-127 Wh" in made.refused[0].reason


def test_a_second_scale_in_impossible_steps_leaves_the_first_as_it_was():
    made = chain([SeriesRow(1, "M1", TOTAL, "Wh", 0), SeriesRow(2, "M1", TOTAL, "Wh", 127)])
    assert (made.series, made.step, len(made.refused)) == ([1], Fraction(1, 1_000), 1)


@given(
    st.lists(st.one_of(st.integers(-(2**70), 2**70), st.text(max_size=2), st.none()), max_size=4).flatmap(
        lambda parts: st.sampled_from([[*parts, "Wh"], [*parts, "m3"], parts])
    ),
    st.integers(1, 1_000_000),
)
def test_any_stored_opening_is_used_or_named_and_changes_the_step_only_where_it_is_used(kept, multiplier):
    made = chain([SeriesRow(1, "M1", TOTAL, "Wh", 0)], opening={TOTAL: kept}, multiplier=multiplier)
    (register,) = made.registers
    if register.opening is None:
        assert [item.what for item in made.refused] == [f"opening value of {TOTAL}"]
    else:
        assert made.refused == ()
        assert abs(register.opening.in_steps(made.step)) * multiplier <= MAX_STEPS
        assert register.opening.in_steps(made.step) * made.step == kept[0] * register.opening.step


def test_a_closing_value_in_a_finer_step_is_counted_exactly():
    made = chain([SeriesRow(1, "M1", TOTAL, "Wh", 3)], closing={TOTAL: [1_234, -1, "Wh"]})
    (register,) = made.registers
    assert made.step == Fraction(1, 10_000)
    assert register.closing.in_steps(made.step) == 1_234
