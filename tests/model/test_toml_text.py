"""Text that is no TOML, or only just, is an error of one kind."""

import ast
import contextlib
import tomllib
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.model.toml_text import tables_of

SOURCE = Path(__file__).parents[2] / "src" / "meterspan"
DEEP = 100_000
BAD = {
    "no TOML": "a = ",
    "lists in lists": f"a = {'[' * DEEP}",
    "tables in tables": f"a = {'{a=' * DEEP}",
    "a long number": f"a = {'9' * DEEP}",
    "a long hexadecimal number and a list": f"a = 0x{'f' * DEEP}\nb = {'[' * DEEP}",
}


@pytest.mark.attack(3)
@pytest.mark.parametrize("parse_float", [float, Decimal])
@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_whatever_is_wrong_is_one_kind_of_error(text, parse_float):
    with pytest.raises(tomllib.TOMLDecodeError, match=r"nested too deep|too many digits|Invalid value"):
        tables_of(text, parse_float=parse_float)


@given(st.text(alphabet="a=[]{}.'\"\n1e9-+_: xT", max_size=60))
def test_any_text_has_tables_or_that_error(text):
    with contextlib.suppress(tomllib.TOMLDecodeError):
        assert isinstance(tables_of(text, parse_float=Decimal), dict)


def test_tables_are_read():
    assert tables_of("[a]\nb = 1.5\n", parse_float=Decimal) == {"a": {"b": Decimal("1.5")}}


def test_toml_is_read_in_this_one_place():
    callers = {
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in {"load", "loads"} and ast.unparse(node.value) == "tomllib"
    }
    assert callers == {"model/toml_text.py"}
