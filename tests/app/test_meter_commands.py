"""A command about a meter in a folder at rest changes that folder, and makes none."""

from pathlib import Path

import pytest

from meterspan.app.meter_commands import CommandFailedError, change_at_rest
from meterspan.app.start_check import StartSource
from meterspan.model.meter_changes import ChangeKind, ChangeWish


@pytest.mark.parametrize("kind", ChangeKind)
def test_a_folder_on_which_no_program_has_run_is_refused_and_not_made(tmp_path: Path, kind: ChangeKind) -> None:
    source = StartSource(None, tmp_path / "none", lambda found: found, lambda _: {}, tmp_path / "keys" / "master.key")
    with pytest.raises(CommandFailedError, match="is no data folder of meterspan serve"):
        change_at_rest(source, ChangeWish(kind, "X", {"device": "X"}))
    assert list(tmp_path.iterdir()) == []
