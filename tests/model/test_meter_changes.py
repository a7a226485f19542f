"""A change of a meter is kept as JSON, and its refusal has all reasons."""

from hypothesis import given
from hypothesis import strategies as st

from meterspan.model.meter_changes import ChangeKind, ChangeRefusedError, MeterChange

texts = st.text(max_size=8)
registers = st.lists(texts, max_size=2).map(tuple)


@given(
    st.sampled_from(ChangeKind), st.integers(0, 2**40), st.lists(texts, min_size=9, max_size=9), registers, registers
)
def test_a_change_comes_back_from_json_as_it_was(kind, at, words, closing, opening):
    device, point, home, new, target, commodity, protocol, interface, network = words
    change = MeterChange(
        kind, device, at, point, home, new, target, commodity, 900, protocol, interface, network, closing, opening
    )
    assert MeterChange.of_json(change.as_json()) == change
    assert MeterChange.of_json(change.as_json() | {"of a later release": 1}) == change


def test_a_refusal_has_every_reason():
    assert str(ChangeRefusedError(["too early", "no key"])) == "too early; no key"
