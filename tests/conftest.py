"""What all tests share: Hypothesis without deadlines, because a busy machine is no failure.

A run of ``scripts/test`` tries the same examples each time, so that it fails for what was changed alone; with
``--deep`` Hypothesis looks for new ones (``--hypothesis-profile explore``).


Marks of invocation counters are of one test alone: a test knows no counter of another one, nor of this machine.
"""

from itertools import count
from pathlib import Path

import pytest
from hypothesis import settings

from meterspan.runtime.machine import MARKS_VARIABLE

settings.register_profile("meterspan", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, derandomize=False, print_blob=True)
settings.load_profile("meterspan")

_NUMBERS = count()


@pytest.fixture(scope="session")
def marks_of_tests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("marks")


@pytest.fixture(autouse=True)
def marks(marks_of_tests: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a machine of its own, as far as counters go; the first program that sends makes the folder."""
    folder = marks_of_tests / str(next(_NUMBERS))
    monkeypatch.setenv(MARKS_VARIABLE, str(folder))
    return folder
