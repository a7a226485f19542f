import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.api.octets import octets_of, plain_octets


@given(st.binary(max_size=40))
def test_octets_and_their_digits_are_the_same_key(key):
    assert octets_of(key) == octets_of(bytearray(key)) == octets_of(key.hex()) == octets_of(key.hex(" ").upper()) == key


@pytest.mark.parametrize("given_", [5, None, 1.5, ["00"]])
def test_a_number_is_no_octets(given_):
    for read in (octets_of, plain_octets):
        with pytest.raises(TypeError, match="octets or text are expected"):
            read(given_)


def test_what_is_not_hexadecimal_is_refused():
    with pytest.raises(ValueError, match="hexadecimal"):
        octets_of("not a key")
