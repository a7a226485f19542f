"""Unlisted codes of a standard's table survive as members of their own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.wire.open_enum import OpenIntEnum


class Table(OpenIntEnum):
    SUCCESS = 0
    READ_WRITE_DENIED = 3


@given(st.integers(0, 255))
def test_every_code_has_a_member_that_is_its_number(code):
    member = Table(code)
    assert (int(member), member) == (code, code)
    assert member.is_known == (code in {0, 3})
    assert Table(code).name == (member.name if member.is_known else f"UNKNOWN_{code}")


def test_the_text_is_the_standards_spelling():
    assert Table.READ_WRITE_DENIED.text == "read-write-denied"
    assert Table(200).text == "unknown-200"


@pytest.mark.parametrize("code", [-1, "three", None])
def test_what_is_no_code_is_refused(code):
    with pytest.raises(ValueError, match="not a valid"):
        Table(code)
