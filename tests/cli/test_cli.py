import itertools
import subprocess
import sys

import pytest

from meterspan import __version__
from meterspan.cli import COMMANDS, main
from tests.helpers_bench import run

HEAVY = {"numpy", "pyarrow", "duckdb", "fastapi", "sqlalchemy", "textual", "cryptography", "asyncio"}


def loaded_by(*arguments):
    script = (
        f"import sys\nfrom meterspan.cli import main\nsys.argv = ['meterspan', *{list(arguments)!r}]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\nprint('\\n' + ' '.join(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, input="")
    return set(done.stderr.splitlines()[-1].split())


def test_help_lists_every_command_and_loads_none(tmp_path):
    done = run(tmp_path, "--help")
    assert all(name in done.stdout for name in COMMANDS)
    loaded = loaded_by("--help")
    assert not HEAVY & loaded
    assert not {name for name in loaded if name.startswith("meterspan.cli.")}


def test_decode_loads_nothing_of_the_head_end_and_the_store():
    loaded = loaded_by("decode", "--jsonl", "-")
    assert not (HEAVY - {"numpy", "cryptography"}) & loaded
    assert not any(name.startswith(("meterspan.runtime", "meterspan.sim", "meterspan.store")) for name in loaded)


@pytest.mark.parametrize("command", ["meter", "read", "scan"])
def test_a_program_of_the_field_loads_nothing_of_the_head_end_and_its_data(command):
    loaded = loaded_by(command, "--help")
    assert not (HEAVY - {"numpy", "cryptography", "asyncio"}) & loaded
    assert not any(name.startswith(("meterspan.mdm", "meterspan.portal", "meterspan.head_end")) for name in loaded)


def test_the_version_is_printed_after_the_name(tmp_path):
    done = run(tmp_path, "--version")
    assert (done.returncode, done.stdout) == (0, f"meterspan {__version__}\n")
    assert not HEAVY & loaded_by("--version")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help_page(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["meterspan", name, "--help"])
    with pytest.raises(SystemExit) as ended:
        main()
    shown = capsys.readouterr()
    assert (ended.value.code, shown.err) == (0, "")
    assert f"meterspan {name}" in shown.out


@pytest.mark.parametrize("name", COMMANDS)
def test_a_paragraph_of_a_help_page_flows(name, monkeypatch, capsys):
    """A line ends where the next word does not fit, or where its paragraph ends."""
    monkeypatch.setattr(sys, "argv", ["meterspan", name, "--help"])
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main()
    text = [line.strip() for line in capsys.readouterr().out.split("\u256d")[0].splitlines()]
    told = text[text.index("", 1) + 1 :]
    for line, after in itertools.pairwise(told):
        assert not line or not after or len(f"{line} {after.split()[0]}") > 76


def test_an_unknown_command_is_said(tmp_path):
    done = run(tmp_path, "frobnicate")
    assert done.returncode == 2
    assert "No such command" in done.stderr


def test_a_state_file_that_cannot_be_used_is_one_sentence_and_no_traceback(tmp_path):
    folder = tmp_path / "state" / "meterspan"
    folder.mkdir(parents=True)
    (folder / "reader.sqlite").write_bytes(b"not a database" * 999)
    result = run(tmp_path, "read", "tcp://127.0.0.1:1", "--state", str(folder))
    assert result.returncode == 1
    assert result.stderr.startswith("error: ")
    assert "reader.sqlite" in result.stderr
    assert "Traceback" not in result.stderr


BREAKS = """
import resource
from meterspan import cli
from meterspan.cli import decode
def show():
    secret = bytes.fromhex("5ec4e7" * 5)
    raise RuntimeError("a defect")
decode.decode = show
sys = __import__("sys")
sys.argv = ["meterspan", "decode"]
try:
    cli.main()
finally:
    print("core", resource.getrlimit(resource.RLIMIT_CORE)[0])
"""


@pytest.mark.finding("security low-6", "security low-8")
def test_a_defect_shows_no_values_and_leaves_no_core(tmp_path):
    (tmp_path / "breaks.py").write_text(BREAKS)
    done = subprocess.run([sys.executable, tmp_path / "breaks.py"], capture_output=True, text=True, check=False)
    assert "RuntimeError: a defect" in done.stderr
    assert "secret = " in done.stderr, "the line is shown"
    assert "xc4" not in done.stderr + done.stdout, "its value is not"
    assert done.stdout.splitlines()[-1] == "core 0"
