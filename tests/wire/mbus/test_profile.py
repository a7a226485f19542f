"""Compact profiles taken apart: absolute values, increments, backwards, invalid values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.wire import TruncatedError, UnsupportedError, WireError
from meterspan.wire.mbus import expand_profile, is_profile, read_records

BASE = "840413 64000000"


def profile(octets, base=BASE):
    records = read_records(bytes.fromhex(base + octets)).records
    assert is_profile(records[1])
    assert not is_profile(records[0])
    return expand_profile(records[1], records[0])


def values(profile):
    return [(record.storage, record.value, record.quantity, str(record.unit)) for record in profile.records]


def test_absolute_values_stand_at_the_storage_numbers_after_the_base():
    found = profile("8D04931E 06 32FE 0100 0200")
    assert values(found) == [(9, 1, "volume", "m3"), (10, 2, "volume", "m3")]
    assert (found.unit, found.spacing, found.is_inverse) == ("month", 254, False)
    assert found.records[0].modifiers == ()
    again = read_records(found.records[0].octets + found.records[0].data).records[0]
    assert (again.value, again.storage) == (1, 9)


def test_increments_add_up_from_the_base():
    assert [record.value for record in profile("8D04931E 06 5201 0100 0500").records] == [101, 106]
    assert [record.value for record in profile("8D04931E 06 9201 0100 0500").records] == [99, 94]
    assert [record.value for record in profile("8D04931E 06 D201 FFFF 0500").records] == [99, 104]
    assert [record.value for record in profile("8D049313 06 6201 0100 0500").records] == [99, 94]


def test_behind_an_invalid_increment_nothing_is_known():
    assert [record.value for record in profile("8D04931E 08 5201 0100 FFFF 0100").records] == [101]
    assert [record.value for record in profile("8D04931E 08 D201 0100 0080 0100").records] == [101]


def test_invalid_absolute_values_are_records_without_a_value():
    assert [record.value for record in profile("8D04931E 06 3AFE 2301 FFFF").records] == [123, None]


def test_spacing_is_said_in_its_unit():
    assert profile("8D04931F 04 120F 0100").unit == "min"
    assert profile("8D04931F 04 32FD 0100").unit == "half month"
    assert profile("8D04931F 04 3201 0100").unit == "d"


def test_what_cannot_be_taken_apart_says_why():
    with pytest.raises(TruncatedError):
        profile("8D04931E 01 52")
    with pytest.raises(UnsupportedError, match="data field"):
        profile("8D04931E 02 5D01")
    records = read_records(bytes.fromhex("8D04931E 04 5201 0100")).records
    with pytest.raises(UnsupportedError, match="base"):
        expand_profile(records[0])


@given(st.binary(max_size=30), st.sampled_from(["93", "EE", "FD8F"]), st.sampled_from(["1E", "1F", "13"]))
def test_any_profile_gives_records_or_a_wire_error(body, vif, vife):
    octets = bytes.fromhex(BASE + "8D04" + vif + vife) + bytes((len(body),)) + body
    records = read_records(octets).records
    try:
        found = expand_profile(records[1], records[0])
    except WireError:
        return
    assert len(found.records) <= len(body)
