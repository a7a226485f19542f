"""Import of a table: exact, and no line lost without a reason."""

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meterspan.mdm import table_reader
from meterspan.mdm.table_import import import_csv
from meterspan.mdm.table_reader import REFUSED_KEPT
from tests.helpers_tables import ENERGY, NOW, home_with_a_meter, imported, stored, utc_of


@pytest.fixture
def mdm(tmp_path):
    with home_with_a_meter(tmp_path / "data") as management:
        yield management


def test_a_plain_file_comes_in_exactly(mdm):
    report = imported(mdm, "device,obis,time,value,unit\nLGZ1,1-0:1.8.0,2026-01-10T00:00:00Z,1234.567,kWh\n")
    assert (report.lines, report.accepted, report.refused) == (1, 1, [])
    assert stored(mdm) == [("LGZ1", "1-0:1.8.0", int(utc_of(2026, 1, 10).timestamp()), Decimal(1_234_567))]


def test_a_german_spreadsheet_comes_in_by_usage_point(mdm):
    text = "Zählpunkt;Zeitstempel;Zählerstand;Einheit\r\nMP1;10.01.2026 01:00;1.234,5;kWh\r\n;;;\r\n"
    report = imported(mdm, text, obis=ENERGY)
    assert (report.lines, report.accepted, report.blank) == (2, 1, 1)
    assert stored(mdm) == [("LGZ1", "1-0:1.8.0", int(utc_of(2026, 1, 10).timestamp()), Decimal(1_234_500))]


def test_the_repeated_hour_is_told_apart_and_the_skipped_hour_refused(mdm):
    times = ["01:45", "02:00", "02:15", "02:30", "02:45", "02:00", "02:15", "02:30", "02:45", "03:00"]
    lines = "".join(f"LGZ1,2026-10-25 {time},{index},Wh,import\n" for index, time in enumerate(times))
    report = imported(mdm, "meter,timestamp,value,unit,quantity\n" + lines)
    assert report.accepted == 10
    start = utc_of(2026, 10, 24, 23, 45)
    assert [time for _device, _obis, time, _value in stored(mdm)] == [
        int((start + timedelta(minutes=15 * index)).timestamp()) for index in range(10)
    ]
    report = imported(mdm, "meter,timestamp,value,unit,quantity\nLGZ1,2026-03-29 02:30,1,Wh,import\n")
    assert report.accepted == 0
    assert "the clock skips it" in report.refused[0].reason


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("LGZ1,1-0:1.8.0,2026-01-10T00:00Z,,kWh", "no value"),
        ("LGZ1,1-0:1.8.0,2026-01-10T00:00Z,12x,kWh", "not a number"),
        ("LGZ1,1-0:1.8.0,2026-01-10T00:00Z,NaN,kWh", "register can show"),
        ("LGZ1,1-0:1.8.0,2026-01-10T00:00Z,1e40,kWh", "register can show"),
        ('LGZ1,1-0:1.8.0,2026-01-10T00:00Z,"1,234",kWh', "thousands or decimals"),
        ("LGZ1,1-0:1.8.0,yesterday,1,kWh", "not a time"),
        ("LGZ1,1-0:1.8.0,0001-01-01,1,kWh", "not a time of a meter"),
        ("LGZ1,1-0:1.8.0,,1,kWh", "no time"),
        ("LGZ1,1-0:1.8.0,2026-01-10T00:00Z,1\x0023,kWh", "NUL"),
        ("LGZ1,1-0:1.8.0,2026-01-10T00:00Z,1_000,kWh", "not a number"),
        ("LGZ1,1-0:1.8.0,2026-01-10T00:00Z,١٢,kWh", "not a number"),
        ('"LGZ1,1-0:1.8.0,2026-01-10T00:00Z,1,kWh', "not a line of CSV"),
        ("LGZ1,1-0:1.8.0,2026-01-10T00:00Z,1,parsec", "parsec"),
        ("LGZ1,1-0:1.8.0,2026-01-10T00:00Z,1,", "no unit"),
        ("LGZ1,1.8,2026-01-10T00:00Z,1,kWh", "OBIS"),
        ("LGZ1,,2026-01-10T00:00Z,1,kWh", "no OBIS"),
        (",1-0:1.8.0,2026-01-10T00:00Z,1,kWh", "neither device"),
        ("LGZ1,1-0:1.8.0", "no unit"),
        ("x" * 40_000, "longer than"),
    ],
)
def test_a_line_that_is_not_certain_is_refused_with_its_number(mdm, line, reason):
    good = "LGZ1,1-0:1.8.0,2026-01-10T00:15Z,1,kWh"
    report = imported(mdm, f"device,obis,time,value,unit\n{good}\n{line}\n")
    assert report.accepted == 1
    (refused,) = report.refused
    assert refused.line == 3
    assert reason in refused.reason


def test_a_reading_before_the_installation_names_no_meter(mdm):
    report = imported(mdm, "usage point,obis,time,value,unit\nMP1,1-0:1.8.0,2025-01-01T00:00Z,1,kWh\n")
    assert report.refused[0].reason == "no meter was installed at MP1 then"
    report = imported(mdm, "usage point,obis,time,value,unit\nMP7,1-0:1.8.0,2025-01-01T00:00Z,1,kWh\n")
    assert "not registered" in report.refused[0].reason


def test_a_file_without_a_needed_column_is_refused_whole(mdm):
    with pytest.raises(ValueError, match="column for the unit"):
        imported(mdm, "device,obis,time,value\n")
    with pytest.raises(ValueError, match="no header"):
        imported(mdm, "\n\n")


def test_importing_twice_adds_nothing(mdm):
    text = "device,obis,time,value,unit\n" + "".join(
        f"LGZ1,1-0:1.8.0,2026-01-10T{hour:02d}:00Z,{hour}.5,kWh\n" for hour in range(24)
    )
    imported(mdm, text)
    imported(mdm, text)
    totals = mdm.totals()
    assert (totals.readings, totals.duplicates) == (24, 24)


@given(st.text(max_size=200))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_accepted_refused_or_blank_and_never_lost(mdm, text):
    lines = ["device,obis,time,value,unit\n", *text.splitlines(keepends=True)]
    report = import_csv(mdm, lines, zone="Europe/Berlin", received_at=NOW, takes_rest=True)
    assert report.lines == len(lines) - 1 == report.accepted + report.blank + report.refused_count


@pytest.mark.attack(2)
@pytest.mark.finding("security low-3")
def test_a_file_of_refused_lines_costs_no_more_memory_than_its_first_ones(mdm):
    text = ["device,obis,time,value,unit\n", *("nonsense\n" for _ in range(3 * REFUSED_KEPT))]
    report = import_csv(mdm, text, zone="Europe/Berlin", received_at=NOW, takes_rest=True)
    assert (report.refused_count, len(report.refused)) == (3 * REFUSED_KEPT, REFUSED_KEPT)
    assert [item.line for item in report.refused[:2]] == [2, 3]


def test_a_carriage_return_inside_a_line_refuses_that_line_only(mdm):
    lines = ["device;obis;time;value;unit\n", "LGZ1;1-0:1.8.0;2026-03-01T00:00Z;1\r23;Wh\n"]
    lines.append("LGZ1;1-0:1.8.0;2026-03-01T01:00Z;5;Wh\n")
    report = import_csv(mdm, lines, zone="Europe/Berlin", received_at=NOW, takes_rest=True)
    assert (report.accepted, [item.line for item in report.refused]) == (1, [2])


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("device;obis;time;value;value;unit", "two columns for the value"),
        ("device;obis;time;timestamp;value;unit", "two columns for the time"),
        ("x" * 200_000 + ";device;obis;time;value;unit", "longer than"),
        ('"device;obis;time;value;unit', "not CSV"),
        ("device;obis;time;value;unit\0", "not CSV"),
    ],
    ids=["values", "times", "long", "quote", "nul"],
)
def test_a_header_of_which_two_things_could_be_meant_is_refused(mdm, header, reason):
    with pytest.raises(ValueError, match=reason):
        import_csv(mdm, [header + "\n"], zone="Europe/Berlin", received_at=NOW, takes_rest=True)


def test_a_date_and_a_time_of_day_stand_beside_each_other(mdm):
    text = "Datum;Uhrzeit;Zählerstand;Einheit;device\n01.03.2026;04:15;1;kWh;LGZ1\n01.03.2026;;2;kWh;LGZ1\n"
    report = imported(mdm, text, obis=ENERGY)
    assert (report.accepted, report.refused[0].reason) == (1, "no time")
    assert stored(mdm) == [("LGZ1", "1-0:1.8.0", int(utc_of(2026, 3, 1, 3, 15).timestamp()), Decimal(1_000))]


def of_values(mdm, values, separator=";"):
    rows = [
        ("LGZ1", "1-0:1.8.0", f"2026-02-{at:02d}T00:00Z", f'"{value}"', "kWh") for at, value in enumerate(values, 1)
    ]
    lines = [separator.join(row) for row in rows]
    report = imported(mdm, "\n".join([separator.join(("device", "obis", "time", "value", "unit")), *lines]) + "\n")
    return [value for _device, _obis, _time, value in stored(mdm)], [item.reason for item in report.refused]


@pytest.mark.parametrize("values", [("999,5", "1.000", "1.000,5"), ("1.000", "7", "1.000,5", "1.001")])
def test_a_number_elsewhere_in_the_file_decides_what_a_group_of_three_is(mdm, values):
    found, refused = of_values(mdm, values)
    assert refused == []
    assert sorted(found) == sorted(Decimal(value.replace(".", "").replace(",", ".")) * 1_000 for value in values)


@pytest.mark.parametrize(
    ("separator", "value", "is_taken"),
    [(";", "1.000", False), (";", "1,000", True), (",", "1,000", False), (",", "1.000", True), ("\t", "1.000", False)],
)
def test_a_group_of_three_that_nothing_decides_is_refused_for_either_mark(mdm, separator, value, is_taken):
    found, refused = of_values(mdm, ["7", value], separator)
    assert len(found) == 1 + is_taken
    assert [reason.partition(" ")[2] for reason in refused] == ["may mean thousands or decimals"] * (not is_taken)


def test_lines_that_wait_for_a_decimal_mark_keep_their_order_and_number(mdm, monkeypatch):
    monkeypatch.setattr(table_reader, "HELD_PART_LINES", 2)
    found, refused = of_values(mdm, ["1.000", "1.001", "x", "1.002", "1.003,5", "1.004"])
    assert found == [Decimal(value) for value in (1_000_000, 1_001_000, 1_002_000, 1_003_500, 1_004_000)]
    assert refused == ["'x' is not a number"]
