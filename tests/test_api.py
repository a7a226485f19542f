"""The public API: the names that ``import meterspan`` offers, their examples, and what importing costs."""

import doctest
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import meterspan

PLACES = sorted({meterspan.__name__, *meterspan._PLACES.values()})


def test_every_public_name_exists_and_is_documented():
    assert meterspan.__all__ == sorted(meterspan.__all__)
    assert set(meterspan.__all__) == {*meterspan._PLACES, "__version__"}
    assert dir(meterspan) == sorted(meterspan.__all__)
    for name in meterspan._PLACES:
        assert getattr(meterspan, name).__doc__, name


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'decrypt'"):
        _ = meterspan.decrypt


@pytest.mark.parametrize("place", PLACES)
def test_the_examples_of_the_public_api_are_true(place):
    outcome = doctest.testmod(import_module(place), optionflags=doctest.ELLIPSIS)
    assert outcome.failed == 0


def test_there_are_examples_to_run():
    finder = doctest.DocTestFinder(exclude_empty=True)
    examples = [test for place in PLACES for test in finder.find(import_module(place)) if test.examples]
    assert len(examples) >= 3


def test_importing_the_package_loads_nothing_of_it():
    code = "import sys, meterspan; print([name for name in sys.modules if name.startswith('meterspan.')])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert answer.stdout.strip() == "[]"


PAGE = Path(__file__).parents[1] / "docs" / "api.md"


def test_the_reference_lists_every_public_name():
    listed = re.findall(r"^::: meterspan\.(\w+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(set(meterspan.__all__) - {"__version__"})


def test_the_example_of_the_reference_runs(tmp_path):
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    script = tmp_path / "example.py"
    script.write_text(example, encoding="utf-8")
    answer = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, timeout=60)
    assert re.fullmatch(r"MSP1000000001 \d+ Wh\n[78]000 Wh in [78] intervals, 0 unexplained\n", answer.stdout)
