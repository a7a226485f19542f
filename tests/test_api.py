"""The public API: the names that ``import meterspan`` offers, their examples, and what importing costs."""

import doctest
import subprocess
import sys
from importlib import import_module

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
