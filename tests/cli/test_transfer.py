"""``meterspan import`` and ``export``: a table in, the same readings out, and refused lines named."""

import csv
import json

import pyarrow.parquet as pq
import pytest

from tests.helpers_bench import run

TABLE = """\
time;meter;obis;value;unit
2026-03-29 00:00;E1;1-0:1.8.0;10,0;kWh
2026-03-29 01:45;E1;1-0:1.8.0;10,5;kWh
2026-03-29 02:15;E1;1-0:1.8.0;10,7;kWh
2026-03-29 03:15;E1;1-0:1.8.0;abc;kWh

2026-03-29 04:15;E1;1-0:1.8.0;11,7;kWh
2026-03-30 00:00;E1;1-0:1.8.0;14,0;kWh
"""


@pytest.fixture
def imported(tmp_path):
    (tmp_path / "in.csv").write_text(TABLE)
    arguments = ("--data", "d", "--home", "h1", "--zone", "Europe/Berlin", "--rejects", "rejects.csv", "--json")
    result = run(tmp_path, "import", "in.csv", *arguments)
    assert result.returncode == 1, "two lines were refused"
    return json.loads(result.stdout)


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_what_is_exported_can_be_imported_again_and_is_the_same(imported, tmp_path, form):
    assert run(tmp_path, "export", f"out.{form}", "--data", "d").returncode == 0
    again = json.loads(run(tmp_path, "import", f"out.{form}", "--data", "e", "--json").stdout)
    assert (again["accepted"], again["refused"]) == (4, [])
    first, second = (run(tmp_path, "export", "-", "--data", folder).stdout for folder in "de")
    keep = ("device", "obis", "time", "value", "unit", "scale", "status", "quality", "source", "received_at")
    rows = [
        [{name: row[name] for name in keep} for row in csv.DictReader(text.splitlines())] for text in (first, second)
    ]
    assert rows[0] == rows[1]
    assert [row["value"] for row in rows[0]] == ["10000", "10500", "11700", "14000"]


def test_totals_and_intervals_of_a_home_and_a_span(imported, tmp_path):
    result = run(
        tmp_path,
        "export",
        "-",
        "--data",
        "d",
        "--what",
        "totals",
        "--home",
        "h1",
        "--from",
        "2026-03-29",
        "--to",
        "2026-03-29",
    )
    (day,) = csv.DictReader(result.stdout.splitlines())
    assert (day["start"], day["total"], day["unit"], day["expected"]) == ("2026-03-29", "4", "kWh", "92")
    assert float(day["opening"]) + float(day["total"]) + float(day["unexplained"]) == float(day["closing"])
    assert (day["cost_net"], day["cost_gross"]) == ("", "")
    cut = run(
        tmp_path,
        "export",
        "-",
        "--data",
        "d",
        "--what",
        "totals",
        "--resolution",
        "month",
        "--from",
        "2026-03-30",
        "--to",
        "2026-03-30",
    )
    assert list(csv.DictReader(cut.stdout.splitlines())) == []
    (month,) = json.loads(
        run(
            tmp_path, "export", "-", "--format", "json", "--data", "d", "--what", "totals", "--resolution", "month"
        ).stdout
    )
    assert (month["start"], month["total"]) == ("2026-03-01", "4")
    priced = ("export", "-", "--data", "d", "--what", "totals", "--resolution", "month", "--price", "0.5")
    (month,) = csv.DictReader(run(tmp_path, *priced).stdout.splitlines())
    assert (month["cost_net"], month["cost_gross"], month["currency"]) == ("2", "2", "EUR")
    told = json.loads(run(tmp_path, "export", "i.parquet", "--data", "d", "--what", "intervals", "--json").stdout)
    table = pq.read_table("i.parquet")
    assert told["rows"] == table.num_rows
    assert sum(float(value or 0) for value in table["value"].to_pylist()) == pytest.approx(4)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("export", "x.xlsx"), "not one of .csv, .parquet, .json"),
        (("export", "x.csv", "--from", "yesterday"), "is no day like 2026-10-25"),
    ],
)
def test_what_cannot_be_done_is_said(tmp_path, arguments, said):
    result = run(tmp_path, *arguments, "--data", "d")
    assert result.returncode == 2
    assert said in " ".join(result.stderr.replace("│", " ").split())
    assert "Traceback" not in result.stderr


def test_a_home_that_is_not_there_is_said(imported, tmp_path):
    result = run(tmp_path, "export", "x.csv", "--home", "nobody", "--data", "d")
    assert result.returncode == 2
    assert "no home is called 'nobody'" in " ".join(result.stderr.replace("│", " ").split())


def test_an_export_from_a_folder_without_readings_is_refused_and_makes_nothing(tmp_path):
    (tmp_path / "bare").mkdir()
    for folder in ("typo_dir", "bare"):
        result = run(tmp_path, "export", "x.csv", "--data", folder)
        assert result.returncode == 2
        assert f"{folder} holds no readings of meterspan" in " ".join(result.stderr.split())
    assert [path.name for path in tmp_path.rglob("*") if path.name != "state"] == ["bare"]
