"""What all tests share: Hypothesis without deadlines, because a busy machine is no failure.

A run of ``scripts/test`` tries the same examples each time, so that it fails for what was changed alone; with
``--deep`` Hypothesis looks for new ones (``--hypothesis-profile explore``).


Marks of invocation counters are of the run of the tests; a test that looks at them has a ``marks`` of its own.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from meterspan.runtime.machine import MARKS_VARIABLE

settings.register_profile("meterspan", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, derandomize=False, print_blob=True)
settings.load_profile("meterspan")


@pytest.fixture(scope="session", autouse=True)
def _machine_of_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the marks of this machine out of the tests, and theirs out of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(MARKS_VARIABLE, str(tmp_path_factory.mktemp("marks")))
        yield


@pytest.fixture
def marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a test a machine of its own, as far as counters go; the first program that sends makes the folder."""
    monkeypatch.setenv(MARKS_VARIABLE, str(tmp_path / "marks"))
    return tmp_path / "marks"
