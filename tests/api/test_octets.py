import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.api.octets import octets_of


@given(st.binary(max_size=40))
def test_octets_and_their_digits_are_the_same_key(key):
    assert octets_of(key) == octets_of(bytearray(key)) == octets_of(key.hex()) == octets_of(key.hex(" ").upper()) == key


def test_what_is_not_hexadecimal_is_refused():
    with pytest.raises(ValueError, match="hexadecimal"):
        octets_of("not a key")
