import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.wire.checksum import crc_16_arc, crc_16_en_13757, crc_16_kermit, crc_16_x25, sum_8

CHECK_INPUT = b"123456789"


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (crc_16_x25, 0x906E),
        (crc_16_arc, 0xBB3D),
        (crc_16_en_13757, 0xC2B7),
        (crc_16_kermit, 0x2189),
        (sum_8, 0xDD),
    ],
)
def test_check_value_of_the_crc_catalogue(function, expected):
    assert function(CHECK_INPUT) == expected


def bitwise(octets, *, polynomial_reflected, initial, final):
    register = initial
    for octet in octets:
        register ^= octet
        for _ in range(8):
            register = (register >> 1) ^ (polynomial_reflected if register & 1 else 0)
    return register ^ final


@given(st.binary(max_size=64))
def test_reflected_crcs_agree_with_the_bitwise_definition(octets):
    assert crc_16_x25(octets) == bitwise(octets, polynomial_reflected=0x8408, initial=0xFFFF, final=0xFFFF)
    assert crc_16_kermit(octets) == bitwise(octets, polynomial_reflected=0x8408, initial=0, final=0)
    assert crc_16_arc(octets) == bitwise(octets, polynomial_reflected=0xA001, initial=0, final=0)


@given(st.binary(max_size=64))
def test_en_13757_crc_agrees_with_the_bitwise_definition(octets):
    register = 0
    for octet in octets:
        register ^= octet << 8
        for _ in range(8):
            register = ((register << 1) ^ (0x3D65 if register & 0x8000 else 0)) & 0xFFFF
    assert crc_16_en_13757(octets) == register ^ 0xFFFF


@given(st.binary(max_size=300))
def test_sum_8_is_the_sum_modulo_256(octets):
    assert sum_8(octets) == sum(octets) % 256
