"""One rule for the names of devices, homes, usage points and networks."""

from hypothesis import given
from hypothesis import strategies as st

from meterspan.model.names import name_fault


@given(st.text(max_size=140))
def test_what_is_a_name_is_one_part_of_an_address_and_one_line(text: str) -> None:
    if name_fault(text):
        return
    assert text
    assert len(text) <= 128
    assert not set(text) & set("/?#%\\")
    assert len(text.splitlines()) == 1
    assert text.isprintable()
    assert text not in {".", ".."}
