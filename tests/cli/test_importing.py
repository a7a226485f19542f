"""``meterspan import``: what was taken is said, and the exit status tells a script."""

import json

import pytest
from typer.testing import CliRunner

from meterspan.cli import app

HEAD = "time;meter;obis;value;unit\n"
ROWS = [f"2026-03-29T{hour:02d}:00Z;E1;1-0:1.8.0;{10 + hour},5;kWh\n" for hour in range(9)]
WRONG = "2026-03-29T09:00Z;E1;1-0:1.8.0;abc;kWh\n"


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")


def run(_tmp_path, *arguments):
    return CliRunner().invoke(app, arguments)


def imported(tmp_path, *options, rows=ROWS, name="in.csv", head=HEAD):
    (tmp_path / name).write_text(head + "".join(rows))
    return run(tmp_path, "import", name, "--data", "d", "--zone", "Europe/Berlin", *options)


def words(result):
    return " ".join(result.stderr.replace("│", " ").split())


@pytest.mark.attack(8)
@pytest.mark.finding("users D-8")
def test_a_refused_line_is_shown_with_column_and_remedy_and_stores_nothing(tmp_path):
    result = imported(tmp_path, rows=[*ROWS, WRONG, "2026-03-29 02:15;E1;1-0:1.8.0;5;kWh\n"])
    assert result.exit_code == 1
    assert "line 11, column value: 'abc' is not a number" in words(result)
    assert "line 12, column time: 2026-03-29 02:15 does not exist in Europe/Berlin" in words(result)
    assert "give --zone UTC" in words(result)
    assert "nothing is stored" in words(result)
    assert not (tmp_path / "d").exists()
    assert max(map(len, result.stderr.splitlines())) <= 80


def test_the_answer_counts_new_known_contradicting_and_refused_and_the_status_tells(tmp_path):
    first = imported(tmp_path, "--home", "h1")
    assert first.exit_code == 0, first.stderr
    assert "stored as import 1: 9 new, 0 known, 0 in conflict with stored values" in words(first)
    assert "installed: E1 at home h1" in words(first)
    again = imported(tmp_path)
    assert (again.exit_code, "the same file is import 1" in words(again)) == (0, True)
    other = imported(tmp_path, rows=[ROWS[0], ROWS[1].replace("11,5", "12,0")], name="other.csv")
    assert other.exit_code == 3
    assert "1 values contradict others" in words(other)
    assert "E1 1-0:1.8.0 at 2026-03-29T01:00:00Z: 12000 beside 11500 Wh" in words(other)
    told = imported(tmp_path, "--rejects", "no.csv", "--json", rows=[ROWS[3], WRONG], name="more.csv")
    answer = json.loads(told.stdout)
    assert told.exit_code == 1
    assert {
        name: answer[name] for name in ("stored", "import", "taken", "duplicates", "conflicts", "refused_count")
    } == {
        "stored": True,
        "import": 3,
        "taken": 0,
        "duplicates": 1,
        "conflicts": 0,
        "refused_count": 1,
    }
    assert (tmp_path / "no.csv").read_text().splitlines()[1].startswith("3,value,'abc' is not a number")


def test_a_trial_stores_nothing_not_even_a_folder(tmp_path):
    result = imported(tmp_path, "--dry-run", "--home", "h1")
    assert result.exit_code == 0
    assert "9 readings in 9 of 9 lines, 1 meter" in words(result)
    assert "from 2026-03-29 01:00 to 2026-03-29 10:00, Europe/Berlin" in words(result)
    assert "would be installed: E1 at home h1" in words(result)
    assert not (tmp_path / "d").exists()


@pytest.mark.attack(8)
@pytest.mark.finding("users D-3")
def test_imports_are_listed_by_page_and_taken_back_by_number(tmp_path):
    imported(tmp_path)
    listed = run(tmp_path, "import", "--list", "--data", "d")
    assert (listed.exit_code, "in.csv" in listed.stdout) == (0, True)
    undone = run(tmp_path, "import", "--undo", "1", "--data", "d", "--json")
    assert (undone.exit_code, json.loads(undone.stdout)["taken"]) == (0, 9)
    answer = json.loads(run(tmp_path, "import", "--list", "--page", "1", "--data", "d", "--json").stdout)
    assert (answer["count"], answer["imports"][0]["undone_at"] is not None) == (1, True)
    rows = json.loads(run(tmp_path, "export", "-", "--format", "json", "--data", "d").stdout)
    assert rows == []
    for wrong in (["--undo", "1"], ["--undo", "7"], ["--list", "in.csv"], []):
        assert run(tmp_path, "import", *wrong, "--data", "d").exit_code == 2


def test_a_doubtful_zone_has_a_status_of_its_own(tmp_path):
    times = ["02:30", "02:45", "02:00", "02:15", "02:30", "02:45", "03:00"]
    rows = [f"2026-10-25 {time};E1;1-0:1.8.0;{at};kWh\n" for at, time in enumerate(times)]
    result = imported(tmp_path, "--zone", "UTC", rows=rows)
    assert (result.exit_code, "as a clock does in autumn" in words(result)) == (4, True)
    assert imported(tmp_path, rows=rows).exit_code == 0


@pytest.mark.finding("users D-8")
@pytest.mark.finding("data D30")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("gone.csv",), "not imported: there is no file gone.csv"),
        (("empty.csv",), "no header line"),
        (("table.xlsx",), "save the table as CSV"),
        ((".",), "cannot be read"),
    ],
)
def test_what_cannot_be_imported_is_said_in_words_and_makes_no_folder(tmp_path, arguments, said):
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "table.xlsx").write_bytes(b"PK\x03\x04")
    result = run(tmp_path, "import", *arguments, "--data", "d")
    assert (result.exit_code, said in words(result)) == (2, True)
    assert "Errno" not in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "d").exists()


@pytest.mark.finding("security low-2")
def test_no_control_character_of_a_file_reaches_the_terminal(tmp_path):
    row = "2026-03-29T09:00Z;[/bold]\x1b]0;title\x07;1-0:1.8.0;x\x1b[2J;kWh\n"
    good = "2026-03-29T09:00Z;[/bold]\x1b[2J;1-0:1.8.0;7;kWh\n"
    for rows in ([row], [good]):
        result = imported(tmp_path, rows=rows)
        assert "\x1b" not in result.stderr
        assert "Traceback" not in result.stderr


@pytest.mark.finding("users D-1")
def test_an_interval_file_is_taken_and_said_to_be_unchecked(tmp_path):
    rows = [f"24.10.2026 {hour:02d}:00;24.10.2026 {hour + 1:02d}:00;0,25\n" for hour in range(9)]
    result = imported(tmp_path, "--device", "E1", "--home", "h1", rows=rows, head="von;bis;Verbrauch (kWh)\n")
    assert result.exit_code == 0, result.stderr
    assert "sum up to 2.25 kWh; no register is known that checks them" in words(result)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--undo", "1", "--dry-run"), "is for FILE; --undo does not use it"),
        (("--undo", "1", "--page", "2"), "is for --list; --undo does not use it"),
        (("--list", "--home", "h1"), "is for FILE; --list does not use it"),
        (("in.csv", "--page", "2"), "is for --list; FILE does not use it"),
    ],
)
def test_an_option_that_a_use_of_the_command_would_leave_unused_is_refused(tmp_path, arguments, said):
    assert imported(tmp_path).exit_code == 0
    result = run(tmp_path, "import", *arguments, "--data", "d")
    assert (result.exit_code, said in words(result)) == (2, True), words(result)
    (kept,) = json.loads(run(tmp_path, "import", "--list", "--data", "d", "--json").stdout)["imports"]
    assert kept["undone_at"] is None


def test_a_place_for_rejects_that_cannot_be_is_named_as_it_was_given(tmp_path):
    result = imported(tmp_path, "--rejects", "gone/r.csv")
    assert (result.exit_code, words(result)) == (2, "not imported: gone/r.csv: no such file or directory")


def test_of_a_long_refused_line_the_beginning_is_shown(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "9999")
    result = imported(tmp_path, rows=[f"2026-03-29T09:00Z;E1;1-0:1.8.0;{'x' * 300};{'y' * 2_000}\n"])
    assert result.exit_code == 1
    assert max(map(len, result.stderr.splitlines())) < 500


@pytest.mark.attack(8)
@pytest.mark.parametrize("name", ["a/b", "..", "a\tb", "a\u202eb", "n" * 129])
def test_a_name_that_no_address_holds_is_refused_in_a_line_and_in_an_option(tmp_path, name):
    line = ROWS[0].replace("E1", f'"{name}"')
    refused = imported(tmp_path, rows=[*ROWS[1:], line])
    assert refused.exit_code == 1
    assert "line 10, column meter: " in words(refused)
    for option in ("--home", "--device"):
        asked = imported(tmp_path, option, name)
        assert asked.exit_code == 2
        assert option in words(asked)
    assert not (tmp_path / "d").exists()


def test_a_table_without_a_reading_is_no_import(tmp_path):
    result = imported(tmp_path, rows=[])
    assert (result.exit_code, "the table has no reading" in words(result)) == (2, True)
    assert not (tmp_path / "d").exists()


@pytest.mark.attack(8)
def test_a_table_of_four_hundred_meters_side_by_side_is_taken(tmp_path):
    meters = [f"1EMH00{number:08d}" for number in range(400)]
    head, row = ";".join(["start", "end", *meters]), ";".join(["2026-03-29 01:00", "2026-03-29 01:15", *["0,25"] * 400])
    assert len(head) > 4_096
    result = imported(tmp_path, "--unit", "kWh", "--home-each", head=f"{head}\n", rows=[f"{row}\n"])
    assert result.exit_code == 0, result.stderr
    assert "400 new" in words(result)
