"""The formatter and the linters decide; each place where they do not has its reason."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(path for folder in ("src", "tests", "scripts") for path in (ROOT / folder).rglob("*.py"))
CODE_TABLES = {
    *("src/meterspan/display/big_number.py", "src/meterspan/model/mbus_devices/apator.py"),
    *("src/meterspan/quantities/commodities.py", "src/meterspan/quantities/units.py"),
    *("src/meterspan/wire/acse/apdu.py", "src/meterspan/wire/mbus/address.py"),
    *("src/meterspan/wire/mbus/application.py", "src/meterspan/wire/mbus/transport.py"),
    *("src/meterspan/wire/mbus/vif.py", "src/meterspan/wire/wmbus/frame.py", "src/meterspan/wire/xdlms/codes.py"),
    "tests/wire/acse/test_acse.py",
}
"""Tables of codes as a standard or a picture lays them out: a line for each code would hide which code is missing."""


def found(pattern: str) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{number}"
        for path in SOURCES
        if path != Path(__file__)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(pattern, line)
    ]


def test_only_tables_of_codes_are_laid_out_by_hand():
    assert {place.partition(":")[0] for place in found(r"#\s*fmt:")} == CODE_TABLES


@pytest.mark.parametrize(
    "unexplained",
    [
        r"#\s*noqa(:\s*[A-Z]+\d+(,\s*[A-Z]+\d+)*)?\s*$",
        r"#\s*type:\s*ignore(\[[^\]]*\])?\s*$",
        r"#\s*pragma: no cover\s*$",
    ],
)
def test_each_exception_from_a_linter_has_its_reason_beside_it(unexplained):
    assert found(unexplained) == []
