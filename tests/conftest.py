"""What all tests share: Hypothesis without deadlines, because a busy machine is no failure.

A run of ``scripts/test`` tries the same examples each time, so that it fails for what was changed alone; with
``--deep`` Hypothesis looks for new ones (``--hypothesis-profile explore``).


Marks of invocation counters are of the run of the tests; a test that looks at them has a ``marks`` of its own.

What the tests send is recorded, here and in the programs that they start: a test fails where a (key, system title,
counter) has two contents, unless it is marked ``nonces_repeat`` because it plays two machines with one set of keys.
"""

import os
from collections.abc import Callable, Iterator
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import is_hypothesis_test, settings
from hypothesis.stateful import RuleBasedStateMachine

from meterspan.runtime.machine import MARKS_VARIABLE
from tests.nonce_record import FOLDER_VARIABLE, SENDERS, NonceRecord, repeated_in, wrap

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


NONCES = NonceRecord()
IN_PROCESSES = Path(__file__).parent / "in_processes"


def pytest_configure() -> None:
    """Record the nonces of this process; each example of a state machine is a world of its own."""
    for name in SENDERS:
        wrap(import_module(name), NONCES.note)
    begin = RuleBasedStateMachine.__init__

    @wraps(begin)
    def begin_anew(self: RuleBasedStateMachine) -> None:
        NONCES.begin()
        begin(self)

    RuleBasedStateMachine.__init__ = begin_anew


def _each_example_anew(test: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(test)
    def anew(*given: Any, **named: Any) -> Any:
        NONCES.begin()
        return test(*given, **named)

    return anew


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Make each example of a property a world of its own."""
    handles = {id(handle): handle for item in items if (handle := _handle_of(getattr(item, "obj", None))) is not None}
    for handle in handles.values():
        handle.inner_test = _each_example_anew(handle.inner_test)


def _handle_of(test: Any) -> Any:
    """Return the handle of a property's function, by which its examples are run; None of another test."""
    return getattr(test, "hypothesis", None) if is_hypothesis_test(test) else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Fail a test that sends two contents under one nonce."""
    NONCES.begin()
    yield
    if NONCES.repeated and item.get_closest_marker("nonces_repeat") is None:
        pytest.fail(f"a nonce was used twice: {NONCES.repeated[0]}; {len(NONCES.repeated)} times", pytrace=False)


@pytest.fixture(scope="session", autouse=True)
def _nonces_of_programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Record the nonces of the programs that tests start, and compare them at the end."""
    folder = tmp_path_factory.mktemp("nonces")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(FOLDER_VARIABLE, str(folder))
        paths = [str(IN_PROCESSES), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
        yield
    repeated = repeated_in(folder)
    assert not repeated, f"programs used a nonce twice: process {repeated[0]}; {len(repeated)} times"
