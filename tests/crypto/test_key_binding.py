import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.crypto.key_binding import KeyBinder, is_bound
from meterspan.crypto.key_wrap import wrap_key
from meterspan.wire.errors import KeyWrongError

BINDER = KeyBinder(bytes(32))
octets = st.binary(max_size=255)


@given(octets, octets)
def test_a_key_opens_under_its_binding_and_is_not_seen_in_the_seal(key, binding):
    sealed = BINDER.seal(key, binding)
    assert BINDER.open(sealed, binding) == key
    assert len(key) < 8 or key not in sealed
    assert (is_bound(sealed), len(sealed) % 8) == (True, 5)


@given(octets, octets, octets)
def test_another_binding_or_master_key_opens_nothing(key, binding, other):
    sealed = BINDER.seal(key, binding)
    if other != binding:
        with pytest.raises(KeyWrongError, match="another master key, device or purpose"):
            BINDER.open(sealed, other)
    with pytest.raises(KeyWrongError):
        KeyBinder(b"\1" * 32).open(sealed, binding)


@given(octets, st.data())
def test_any_changed_octet_and_any_other_octets_are_refused(key, data):
    sealed = BINDER.seal(key, b"M1")
    place = data.draw(st.integers(0, len(sealed) - 1))
    changed = bytes([*sealed[:place], sealed[place] ^ data.draw(st.integers(1, 255)), *sealed[place + 1 :]])
    for wrong in (changed, sealed[:place], data.draw(octets)):
        with pytest.raises(KeyWrongError):
            BINDER.open(wrong, b"M1")


@given(st.tuples(octets, octets), st.tuples(octets, octets))
def test_no_nonce_serves_two_contents(first, second):
    sealed = [BINDER.seal(*item) for item in (first, second)]
    assert (sealed[0][1:13] == sealed[1][1:13]) == (first == second)


@given(st.integers(2, 33).map(lambda blocks: bytes(8 * blocks)))
def test_what_rfc_3394_wrapped_is_told_apart(key):
    assert not is_bound(wrap_key(key, kek=bytes(32)))


def test_a_key_of_more_octets_than_its_length_octet_counts_is_refused():
    with pytest.raises(ValueError, match="255"):
        BINDER.seal(bytes(256), b"")
