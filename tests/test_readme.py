"""The README claims nothing that is not there: every command, option, path and picture in it exists."""

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from meterspan.cli import COMMANDS, _load, app

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```\n(.*?)```", TEXT, flags=re.DOTALL)
LINES = [line.split("  #")[0].strip() for block in BLOCKS for line in block.splitlines() if line.strip()]


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("meterspan ")])
def test_a_command_line_of_the_readme_has_its_command_and_options(line: str) -> None:
    _, *words = shlex.split(line)
    command = get_command(app)
    if not words[0].startswith("--"):
        assert words[0] in COMMANDS
        command = _load(words[0])
    options = {option for parameter in command.params for option in parameter.opts}
    asked = {word for word in words if word.startswith("--")}
    assert asked <= options


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("./")])
def test_a_script_of_the_readme_is_there_to_run(line: str) -> None:
    script = ROOT / shlex.split(line)[0]
    assert script.is_file()
    assert script.stat().st_mode & 0o111


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\((?!https:)([^)]+)\)", TEXT))))
def test_a_link_or_picture_of_the_readme_leads_somewhere(path: str) -> None:
    assert (ROOT / path).is_file()


def test_every_command_is_told_of_or_found_from_the_readme() -> None:
    documents = TEXT + "".join(page.read_text() for page in (ROOT / "docs").glob("*.md"))
    assert [name for name in COMMANDS if f"meterspan {name}" not in documents] == []


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`(tests/[^`]*)`", (ROOT / "docs/standards.md").read_text()))))
def test_a_proof_named_in_the_standards_table_is_there(path: str) -> None:
    assert (ROOT / path).exists()
