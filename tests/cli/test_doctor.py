"""``meterspan doctor`` prints what was found, and its exit code says whether the folder is healthy."""

import json

import pytest
from typer.testing import CliRunner

from meterspan.app.transfer import opened
from meterspan.cli import app

RUN = CliRunner()


@pytest.fixture
def folder(tmp_path):
    with opened(tmp_path / "d"):
        pass
    return tmp_path / "d"


def test_a_healthy_folder_ends_with_0(folder):
    ended = RUN.invoke(app, ["doctor", str(folder)])
    assert ended.exit_code == 0, ended.output
    assert "healthy" in ended.output
    told = json.loads(RUN.invoke(app, ["doctor", str(folder), "--json"]).stdout)
    assert told["healthy"] is True
    assert {"health", "what", "detail"} == set(told["findings"][0])


def test_a_fault_ends_with_1_and_is_named(folder):
    (folder / "data" / "readings" / "journal.sqlite").write_bytes(b"no database")
    ended = RUN.invoke(app, ["doctor", str(folder)])
    assert ended.exit_code == 1
    assert "journal.sqlite" in ended.output
    assert "faults: 1" in ended.output
    assert json.loads(RUN.invoke(app, ["doctor", str(folder), "--json"]).stdout)["healthy"] is False
