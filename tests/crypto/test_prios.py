"""The PRIOS keystream: a shift register, and its own inverse."""

from hypothesis import given
from hypothesis import strategies as st

from meterspan.crypto.prios import prios_crypt, prios_keystream


@given(st.integers(1, 2**32 - 1))
def test_the_keystream_is_the_shift_register_of_taps_2_3_12_and_32(state: int) -> None:
    bits = "".join(f"{octet:08b}" for octet in prios_keystream(state, 40))
    assert all(
        int(bits[n]) == int(bits[n - 2]) ^ int(bits[n - 3]) ^ int(bits[n - 12]) ^ int(bits[n - 32])
        for n in range(32, 320)
    )


@given(st.integers(0, 2**32 - 1), st.binary(max_size=20), st.binary(max_size=30))
def test_encrypting_twice_gives_the_octets_back(key: int, frame: bytes, octets: bytes) -> None:
    assert prios_crypt(key, frame, prios_crypt(key, frame, octets)) == octets


def test_every_word_of_the_frame_changes_the_stream() -> None:
    frame = bytes(range(15))
    plain = prios_crypt(0x1234_5678, frame, bytes(8))
    for place in (2, 6, 10):
        changed = bytearray(frame)
        changed[place] ^= 1
        assert prios_crypt(0x1234_5678, bytes(changed), bytes(8)) != plain
