"""The troubles of a program: what does not work now is named until it works; its lines in the log are few."""

import ast
import logging
from pathlib import Path

import pytest

import meterspan
from meterspan.model.storage.errors import StorageFullError
from meterspan.runtime.services import Services
from meterspan.runtime.troubles import Troubles

SOURCE = Path(meterspan.__file__).parent
LOGGED_ALONE = {"runtime/services.py", "runtime/shell.py"}
"""A service that fails is among the troubles itself; a connection that ends is not a part of the program."""


@pytest.mark.attack(3)
def test_a_trouble_is_named_until_it_ends_and_logged_when_it_begins_changes_and_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    troubles = Troubles(lambda: 0.0)
    for reason in ("full", "full", "locked", "locked"):
        troubles.note("orders", "not stored", StorageFullError(reason))
        assert troubles.now == {"orders": reason}
    troubles.end("orders")
    troubles.end("orders")
    assert troubles.now == {}
    assert caplog.messages == ["not stored: full", "not stored: locked", "orders: in order again"]


@pytest.mark.attack(3)
def test_a_trouble_that_comes_and_goes_is_a_bounded_number_of_lines(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    troubles = Troubles(lambda: 0.0)
    for _ in range(10_000):
        troubles.note("orders", "not stored", "full")
        troubles.end("orders")
    assert 2 <= len(caplog.messages) < 500


def test_a_failure_without_words_is_named_by_its_class() -> None:
    troubles = Troubles()
    assert troubles.keep("orders", ZeroDivisionError())
    assert troubles.now == {"orders": "ZeroDivisionError"}


def test_the_services_of_a_program_fail_at_the_same_place() -> None:
    troubles = Troubles()
    assert Services(troubles).failing is troubles.now


@pytest.mark.attack(3)
def test_no_running_part_only_logs_that_it_could_not_store() -> None:
    found, noted = set(), set()
    for folder in ("app", "runtime"):
        for path in sorted((SOURCE / folder).glob("*.py")):
            name = path.relative_to(SOURCE).as_posix()
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.ExceptHandler) and "StorageError" in ast.unparse(node.type or ast.Name("")):
                    text = ast.unparse(node)
                    found |= {name} if "_log." in text else set()
                    noted |= {name} if "troubles.note(" in text else set()
    assert found <= LOGGED_ALONE
    assert {"app/home_host.py", "app/serve.py", "app/serving.py", "runtime/head_end_host.py"} <= noted
