"""An import is stored whole or not at all, says what it is, and can be taken back."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from meterspan.analytics.tariff import exact_decimal
from meterspan.app.importing import (
    ImportOutcome,
    ImportRequest,
    InstallationRefusedError,
    RejectsExistError,
    import_into,
    list_imports,
    undo_import_of,
)
from meterspan.app.transfer import NoReadingsError, opened
from meterspan.mdm import MeterDataManagement
from meterspan.mdm.table_layout import HeaderError
from meterspan.mdm.table_reader import TableDefaults
from meterspan.model.lookup_errors import ImportUndoneError, UnknownImportError
from meterspan.model.notes import ENGLISH
from meterspan.model.remedies import tell
from meterspan.model.storage.errors import StorageError
from meterspan.quantities import Commodity, Direction
from tests.helpers_tables import utc_of

BERLIN = "Europe/Berlin"
HEAD = "device,obis,time,value,unit\n"
START = datetime(2026, 10, 24, tzinfo=ZoneInfo(BERLIN))


def request(zone=BERLIN, name="in.csv", **given):
    fields = {key: given.pop(key) for key in ("device", "obis", "unit", "home_id", "home_each") if key in given}
    return ImportRequest(name, TableDefaults(zone, **fields), **given)


def registers(device="E1", count=9, first=0, step="0.25"):
    """Rows of a register with local times, over the change of the clock where there are many."""
    times = (START.astimezone(UTC) + timedelta(minutes=15 * index) for index in range(first, first + count))
    return [
        f"{device},1-0:1.8.0,{at.astimezone(ZoneInfo(BERLIN)):%d.%m.%Y %H:%M},{100 + index * Decimal(step)},kWh\n"
        for index, at in enumerate(times, first)
    ]


def intervals(count=192, value="0.25", hours=0):
    """Interval rows, local, from one midnight on."""
    edges = [START.astimezone(UTC) + timedelta(minutes=15 * index) for index in range(count + 1)]
    local = [edge.astimezone(ZoneInfo(BERLIN)) + timedelta(hours=hours) for edge in edges]
    return [f"{low:%d.%m.%Y %H:%M};{high:%d.%m.%Y %H:%M};{value}\n" for low, high in pairwise(local)]


def content(folder):
    with opened(folder, must_exist=True) as data:
        numbers = [series.series_id for series in data.series()]
        found = data.readings(numbers, datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC))
        return len(found), [home.home_id for home in data.homes()]


# --- all or nothing ---------------------------------------------------------------------------------------------------


@pytest.mark.attack(8)
@pytest.mark.finding("users D-8")
def test_one_refused_line_stores_nothing_and_makes_no_folder(tmp_path):
    lines = [HEAD, *registers(), "E1,1-0:1.8.0,24.10.2026 09:00,twelve,kWh\n"]
    answer = import_into(tmp_path / "d", lines, request(home_id="h1"))
    assert (answer.outcome, answer.is_stored) == (ImportOutcome.REFUSED_LINES, False)
    (refused,) = answer.report.refused
    assert (refused.line, refused.column, refused.reason) == (11, "value", "'twelve' is not a number")
    assert list(tmp_path.iterdir()) == []


def test_with_a_file_of_rejects_the_other_lines_are_stored_and_the_refused_ones_written(tmp_path):
    lines = [HEAD, *registers(), "=E1,1-0:1.8.0,24.10.2026 09:00,twelve,kWh\n"]
    answer = import_into(tmp_path / "d", lines, request(rejects=tmp_path / "rejects.csv"))
    assert (answer.outcome, answer.report.taken) == (ImportOutcome.TAKEN, 9)
    head, row = (tmp_path / "rejects.csv").read_text().splitlines()
    assert head == "line,column,reason,remedy,text"
    assert row.startswith("11,value,'twelve' is not a number,,")
    assert "'=E1" in row, "a spreadsheet must not run it"


@pytest.mark.attack(8)
def test_a_trial_says_what_would_be_stored_and_stores_nothing_not_even_a_folder(tmp_path):
    tried = import_into(tmp_path / "d", [HEAD, *registers()], request(home_id="h1", is_trial=True))
    assert (tried.outcome, tried.is_stored, list(tmp_path.iterdir())) == (ImportOutcome.TRIED, False, [])
    taken = import_into(tmp_path / "d", [HEAD, *registers()], request(home_id="h1"))
    assert taken.report.record is not None
    assert tried.report.taken == taken.report.taken == 9
    assert [meter.device for meter in tried.installed] == [meter.device for meter in taken.installed] == ["E1"]
    before = content(tmp_path / "d")
    changed = [HEAD, *registers(step="0.5")]
    tried = import_into(tmp_path / "d", changed, request(is_trial=True))
    assert (tried.report.duplicates, tried.report.conflicts) == (1, 8)
    assert tried.report.named_conflicts[0].stored == (10025,)
    assert content(tmp_path / "d") == before
    assert len(list_imports(tmp_path / "d")) == 1


@pytest.mark.attack(8)
@pytest.mark.finding("users D-4")
@pytest.mark.finding("data D24")
def test_two_meters_for_one_home_are_refused_before_anything_is_stored(tmp_path):
    lines = [HEAD, *registers("F1"), *registers("F2")]
    with pytest.raises(InstallationRefusedError, match="F1, F2 are 2 electricity meters"):
        import_into(tmp_path / "d", lines, request(home_id="house"))
    assert list(tmp_path.iterdir()) == []
    import_into(tmp_path / "d", [HEAD, *registers("F0")], request(home_id="house"))
    before = content(tmp_path / "d")
    with pytest.raises(InstallationRefusedError, match=r"F1 cannot be installed at home house: .* meter is F0"):
        import_into(tmp_path / "d", [HEAD, *registers("F1")], request(home_id="house"))
    assert content(tmp_path / "d") == before


@pytest.mark.finding("users D-5")
def test_the_column_home_says_where_each_meter_is_installed(tmp_path):
    lines = ["home," + HEAD, *(f"flat-{n},{row}" for n in (1, 2) for row in registers(f"F{n}"))]
    answer = import_into(tmp_path / "d", lines, request())
    assert [(meter.device, meter.home_id) for meter in answer.installed] == [("F1", "flat-1"), ("F2", "flat-2")]
    assert content(tmp_path / "d") == (18, ["flat-1", "flat-2"])
    lines = ["home," + HEAD, f"flat-1,{registers('F3')[0]}", f"flat-2,{registers('F3')[1]}"]
    refused = import_into(tmp_path / "d", lines, request())
    assert (refused.is_stored, refused.report.refused[0].column) == (False, "home")
    lines = ["home," + HEAD, f"flat-2,{registers('F1', first=20)[0]}"]
    with pytest.raises(InstallationRefusedError, match="F1 is installed at home flat-1, the file says flat-2"):
        import_into(tmp_path / "d", lines, request())


@pytest.mark.finding("users D-5")
def test_a_meter_that_is_installed_nowhere_is_named(tmp_path):
    answer = import_into(tmp_path / "d", [HEAD, *registers()], request())
    assert any(note.startswith("E1 is installed nowhere") for note in answer.report.notes)
    again = import_into(tmp_path / "d", [HEAD, *registers(first=9)], request(home_id="h1"))
    assert not any("nowhere" in note for note in again.report.notes)


@pytest.mark.finding("data D30")
def test_a_header_without_a_time_makes_no_folder(tmp_path):
    with pytest.raises(HeaderError, match="no column for the time"):
        import_into(tmp_path / "d", ["device;value\n", "E1;5\n"], request())
    assert list(tmp_path.iterdir()) == []


# --- once, and back ---------------------------------------------------------------------------------------------------


def test_the_same_file_again_is_recognised_and_stores_nothing(tmp_path):
    lines = [HEAD, *registers()]
    first = import_into(tmp_path / "d", lines, request())
    again = import_into(tmp_path / "d", lines, request(name="copy.csv"))
    assert again.outcome is ImportOutcome.TAKEN_BEFORE
    assert first.report.record is not None
    assert again.before is not None
    assert again.before.number == first.report.record.number == 1
    undo_import_of(tmp_path / "d", 1)
    assert import_into(tmp_path / "d", lines, request()).outcome is ImportOutcome.TAKEN


@pytest.mark.attack(8)
@pytest.mark.finding("users D-3")
def test_an_undone_import_leaves_the_totals_as_they_were(tmp_path):
    import_into(tmp_path / "d", [HEAD, *registers(count=97)], request(home_id="h1"))

    def day():
        with opened(tmp_path / "d") as data:
            return data.day("h1", Commodity.ELECTRICITY, date(2026, 10, 24)), data.totals().unexplained_wh

    before = day()
    wrong = import_into(tmp_path / "d", [HEAD, *registers(count=97, step="0.75")], request())
    assert wrong.report.conflicts == 96
    assert day() != before
    undone = undo_import_of(tmp_path / "d", 2)
    assert (undone.number, undone.readings, undone.undone_at is not None) == (2, 96, True)
    assert day() == before
    assert [(record.number, record.undone_at is None) for record in list_imports(tmp_path / "d")] == [
        (2, False),
        (1, True),
    ]
    with pytest.raises(ImportUndoneError):
        undo_import_of(tmp_path / "d", 2)
    with pytest.raises(UnknownImportError):
        undo_import_of(tmp_path / "d", 9)
    with pytest.raises(NoReadingsError):
        list_imports(tmp_path / "typo")


# --- the time zone ----------------------------------------------------------------------------------------------------


@pytest.mark.attack(8)
@pytest.mark.finding("users D-3")
def test_values_that_are_those_of_another_hour_tell_a_wrong_zone(tmp_path):
    import_into(tmp_path / "d", [HEAD, *registers(count=90)], request())
    before = content(tmp_path / "d")
    lines = [HEAD, *registers(count=95)]
    answer = import_into(tmp_path / "d", lines, request(zone="UTC"))
    assert answer.outcome is ImportOutcome.DOUBTFUL_ZONE
    assert "UTC is the wrong zone" in answer.doubts[0]
    assert "2 h earlier" in answer.doubts[0]
    assert content(tmp_path / "d") == before
    taken = import_into(tmp_path / "d", lines, request(zone="UTC", trusts_zone=True))
    assert (taken.is_stored, taken.report.conflicts > 50) == (True, True)


@pytest.mark.parametrize(
    ("zone", "file_zone", "said"),
    [
        ("UTC", BERLIN, "step back at 25.10.2026 02:00"),
        ("America/New_York", BERLIN, "step back at 25.10.2026 02:00"),
        (BERLIN, "Etc/GMT-1", "comes once only"),
        (BERLIN, "UTC", "comes once only"),
    ],
)
def test_a_change_of_the_clock_that_is_not_that_of_the_zone_is_told(tmp_path, zone, file_zone, said):
    start = datetime(2026, 10, 24, 12, tzinfo=UTC)
    times = [(start + timedelta(minutes=15 * index)).astimezone(ZoneInfo(file_zone)) for index in range(96)]
    lines = [HEAD, *(f"E1,1-0:1.8.0,{at:%d.%m.%Y %H:%M},{index},kWh\n" for index, at in enumerate(times))]
    answer = import_into(tmp_path / "d", lines, request(zone=zone))
    assert answer.outcome is ImportOutcome.DOUBTFUL_ZONE
    assert said in answer.doubts[0]
    assert import_into(tmp_path / "d", lines, request(zone=file_zone)).is_stored


@pytest.mark.parametrize("is_reversed", [False, True])
def test_the_right_zone_is_not_doubted_in_either_order_of_lines(tmp_path, is_reversed):
    rows = registers(count=192)
    answer = import_into(tmp_path / "d", [HEAD, *(rows[::-1] if is_reversed else rows)], request())
    assert (answer.is_stored, answer.report.taken, answer.report.conflicts) == (True, 192, 0)
    with opened(tmp_path / "d") as data:
        found = data.readings([1], START, START + timedelta(days=3))
        assert found.value.tolist() == sorted(found.value.tolist()), "each value at its own instant"


# --- intervals --------------------------------------------------------------------------------------------------------


@pytest.mark.attack(8)
@pytest.mark.finding("users D-1")
@pytest.mark.finding("data D30")
@pytest.mark.parametrize(
    "head",
    ["von;bis;Verbrauch (kWh)\n", "Von;Bis;kWh\n", "start;end;consumption [kWh]\n", "from;to;1-0:1.29.0 (kWh)\n"],
)
def test_an_interval_file_is_imported_and_its_totals_show(tmp_path, head):
    lines = [head, *(row.replace(".25\n", ",25\n") for row in intervals())]
    answer = import_into(tmp_path / "d", lines, request(device="E1", home_id="h1"))
    assert (answer.outcome, answer.report.taken) == (ImportOutcome.TAKEN, 192)
    assert any("sum up to 48 kWh; no register is known" in note for note in answer.report.notes)
    with opened(tmp_path / "d") as data:
        first, second = (data.day("h1", Commodity.ELECTRICITY, date(2026, 10, day)) for day in (24, 25))
        assert (first.total, len(first.intervals), first.intervals[0].value) == (24, 96, Decimal("0.25"))
        assert (second.total, len(second.intervals)) == (24, 100), "a day of 25 hours, of which 24 are known"
        assert [point.value for point in second.intervals[-4:]] == [None] * 4, "unknown is not 0"
        assert (first.opening, first.closing, first.unexplained) == (None, None, None), "no register is known"
        assert any("no register is known" in tell(note, ENGLISH) for note in first.notes)
        assert data.month("h1", Commodity.ELECTRICITY, date(2026, 10, 1)).total == 48


@pytest.mark.finding("users D-1")
def test_intervals_are_held_against_the_registers_of_the_meter(tmp_path):
    import_into(tmp_path / "d", [HEAD, *registers(count=97)], request(home_id="h1"))
    good = import_into(tmp_path / "d", ["von;bis;kWh\n", *intervals(96)], request(device="E1"))
    assert any("sum up to 24 kWh, as its registers do" in note for note in good.report.notes)
    undo_import_of(tmp_path / "d", 2)
    bad = import_into(tmp_path / "d", ["von;bis;kWh\n", *intervals(96, "0.24")], request(device="E1"))
    assert any("its registers to 24 kWh: 0.96 kWh are unexplained" in note for note in bad.report.notes)
    with opened(tmp_path / "d") as data:
        assert data.day("h1", Commodity.ELECTRICITY, date(2026, 10, 24)).total == 24, "the registers count"


@pytest.mark.finding("data D30")
def test_a_wide_interval_file_has_a_column_for_each_meter(tmp_path):
    rows = [row.rstrip() + ";0.5\n" for row in intervals(96)]
    lines = ["von;bis;Flat 1;Flat 2\n", *rows]
    answer = import_into(tmp_path / "d", lines, request(unit="kWh", home_each=True))
    assert [meter.home_id for meter in answer.installed] == ["Flat 1", "Flat 2"]
    with opened(tmp_path / "d") as data:
        totals = [data.day(f"Flat {n}", Commodity.ELECTRICITY, date(2026, 10, 24)).total for n in (1, 2)]
    assert totals == [24, 48]


def test_intervals_of_days_have_the_length_of_their_day(tmp_path):
    days = [START + timedelta(days=index) for index in range(4)]
    rows = [f"{low:%d.%m.%Y};{high:%d.%m.%Y};12\n" for low, high in pairwise(days)]
    answer = import_into(tmp_path / "d", ["von;bis;kWh\n", *rows], request(device="E1", home_id="h1"))
    assert answer.report.readings == 3
    with opened(tmp_path / "d") as data:
        views = [data.day("h1", Commodity.ELECTRICITY, day.date()) for day in days[:3]]
    assert [view.total for view in views] == [12, 12, 12], "the day of 25 hours too"


@pytest.mark.parametrize(
    ("head", "row", "given", "reason"),
    [
        ("von;bis;kWh", "24.10.2026 01:00;24.10.2026 00:45;1", {}, "ends before it begins"),
        ("von;bis;kWh", "24.10.2026 01:00;;1", {}, "needs its start and its end"),
        ("von;bis;m3", "24.10.2026 01:00;24.10.2026 01:15;1", {}, "not in m3"),
        ("von;bis;1-0:1.8.0", "24.10.2026 01:00;24.10.2026 01:15;1", {"unit": "kWh"}, "is a register"),
    ],
)
def test_what_is_no_interval_is_refused_with_the_reason(tmp_path, head, row, given, reason):
    answer = import_into(tmp_path / "d", [f"{head}\n", f"{row}\n"], request(device="E1", **given))
    assert (answer.outcome, reason in answer.report.refused[0].reason) == (ImportOutcome.REFUSED_LINES, True)


@pytest.mark.finding("users D-1")
def test_a_consumption_with_one_time_only_is_refused_with_what_to_do(tmp_path):
    lines = ["time;Verbrauch (kWh)\n", "24.10.2026 01:00;1\n"]
    with pytest.raises(HeaderError, match="name the time start and end, or give --obis"):
        import_into(tmp_path / "d", lines, request(device="E1"))


# --- nonsense ---------------------------------------------------------------------------------------------------------


@pytest.mark.finding("users D-8")
@pytest.mark.finding("data D30")
@pytest.mark.parametrize(
    ("row", "column", "reason"),
    [
        ("E1,1-0:1.8.0,2026-01-10T00:00Z,-5,kWh", "value", "a register never is"),
        ("E1,1-0:1.8.0,2099-01-10T00:00Z,5,kWh", "time", "in the future"),
        ("E1,1-0:1.8.0,2026-01-10T00:00Z,5,m3", "unit", "counted in units of energy"),
        ("E1,7-0:3.0.0,2026-01-10T00:00Z,5,kvarh", "unit", "counted in units of volume"),
        ("E1,1-0:9.9.9,2026-01-10T00:00Z,5,kWh", "unit", "apparent energy"),
        ("E1,1.8,2026-01-10T00:00Z,5,kWh", "obis", "not an OBIS code"),
    ],
)
def test_nonsense_is_refused_with_column_and_reason(tmp_path, row, column, reason):
    answer = import_into(tmp_path / "d", [HEAD, f"{row}\n"], request())
    (refused,) = answer.report.refused
    assert (refused.column, reason in refused.reason) == (column, True)


@pytest.mark.finding("users D-8")
def test_a_register_that_bills_nothing_is_named(tmp_path):
    answer = import_into(tmp_path / "d", [HEAD, "E1,1-0:99.9.9,2026-01-10T00:00Z,5,kWh\n"], request())
    assert (
        answer.is_stored,
        any("1-0:99.9.9 of E1 is stored, and bills nothing" in n for n in answer.report.notes),
    ) == (
        True,
        True,
    )


@pytest.mark.finding("data D30")
def test_the_spellings_of_spreadsheets_are_understood(tmp_path):
    head = "Zähler;Datum;Kennzahl;Zählerstand [kWh]\n"
    rows = ["E1;31.03.2026 24:00;1.8.0;12,5\n", "E1;01.04.2026 00:15;1.8.0;12,75\n"]
    answer = import_into(tmp_path / "d", [head, *rows], request())
    assert answer.report.taken == 2
    with opened(tmp_path / "d") as data:
        (series,) = data.series()
        found = data.readings([series.series_id], datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
        midnight = datetime(2026, 4, 1, tzinfo=ZoneInfo(BERLIN)).timestamp()
    assert (str(series.obis), found.time[0], found.value.tolist()) == ("1-0:1.8.0", midnight, [1250, 1275])
    lines = ["device,obis,time,value,unit\n", "E2,1-0:1.8.0,2026-01-10T00:00Z,5,KWH\n"]
    assert import_into(tmp_path / "d", lines, request()).report.taken == 1


@pytest.mark.finding("data D25")
def test_a_file_that_grew_by_a_line_with_more_decimals_stores_that_line_only(tmp_path):
    import_into(tmp_path / "d", [HEAD, *registers()], request())
    more = "E1,1-0:1.8.0,24.10.2026 09:00,120.125,kWh\n"
    answer = import_into(tmp_path / "d", [HEAD, *registers(), more], request())
    assert (answer.report.taken, answer.report.duplicates, answer.report.conflicts) == (1, 9, 0)


# --- rejects, homes, cost ---------------------------------------------------------------------------------------------


@pytest.mark.attack(8)
def test_the_file_of_rejects_replaces_no_file_least_of_all_the_table(tmp_path):
    table = tmp_path / "src.csv"
    table.write_text("".join([HEAD, *registers(), "E1,1-0:1.8.0,24.10.2026 09:00,twelve,kWh\n"]))
    before = table.read_text()
    for is_trial in (False, True):
        with table.open() as lines, pytest.raises(RejectsExistError, match="is not replaced"):
            import_into(tmp_path / "d", lines, request(rejects=table, is_trial=is_trial))
    assert table.read_text() == before
    assert list(tmp_path.iterdir()) == [table]


def test_rejects_are_written_only_where_something_is_stored_or_all_lines_are_refused(tmp_path):
    rejects, wrong = tmp_path / "r.csv", "E1,1-0:1.8.0,24.10.2026 09:00,twelve,kWh\n"
    lines = [HEAD, *registers(), wrong]
    assert import_into(tmp_path / "d", lines, request(rejects=rejects, is_trial=True)).report.refused_count == 1
    assert not rejects.exists()
    assert import_into(tmp_path / "d", lines, request(rejects=rejects)).is_stored
    assert rejects.read_text().count("twelve") == 2
    again = import_into(tmp_path / "d", lines, request(rejects=tmp_path / "again.csv"))
    assert (again.outcome, (tmp_path / "again.csv").exists()) == (ImportOutcome.TAKEN_BEFORE, False)
    refused = import_into(tmp_path / "d", [HEAD, wrong], request(rejects=tmp_path / "all.csv"))
    assert (refused.outcome, (tmp_path / "all.csv").exists()) == (ImportOutcome.REFUSED_LINES, True)


def test_a_refused_file_whose_meters_have_a_home_asks_for_none(tmp_path):
    lines = [HEAD, *registers(), "E1,1-0:1.8.0,24.10.2026 09:00,twelve,kWh\n"]
    for given in ({"home_id": "h1"}, {"home_each": True}):
        answer = import_into(tmp_path / "d", lines, request(**given))
        assert (answer.outcome, answer.report.notes) == (ImportOutcome.REFUSED_LINES, ())
    assert "give --home" in import_into(tmp_path / "d", lines, request()).report.notes[0]


@pytest.mark.parametrize(
    ("registry", "said"),
    [
        ("mysql://u:secret@h/x", "mysql is not known here"),
        ("postgresql+psycopg://u:secret@h:abc/x", "is not a database URL"),
        ("sqlite:////no/such/folder/x.sqlite", "unable to open"),
    ],
)
@pytest.mark.parametrize("is_trial", [False, True])
def test_a_registry_that_cannot_be_opened_is_refused_before_a_folder_is_made(tmp_path, registry, said, is_trial):
    with pytest.raises((ValueError, StorageError), match=said) as refused:
        import_into(tmp_path / "d", [HEAD, *registers()], request(registry=registry, is_trial=is_trial))
    assert "secret" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


OVER = "24.10.2026 00:15;24.10.2026 00:45;0.5\n"
"""An interval over the second and the third of ``intervals``."""


@pytest.mark.parametrize("is_reversed", [False, True])
def test_an_interval_that_overlaps_another_line_or_is_below_0_is_refused_by_its_line(tmp_path, is_reversed):
    rows = intervals(8)
    rows = [*(reversed(rows) if is_reversed else rows), OVER, "24.10.2026 03:00;24.10.2026 03:15;-0.5\n", rows[0]]
    answer = import_into(tmp_path / "d", ["von;bis;kWh\n", *rows], request(device="E1", home_id="h1"))
    assert answer.outcome is ImportOutcome.REFUSED_LINES
    overlap, negative = answer.report.refused
    assert (overlap.line, "it overlaps the interval from 2026-10-24 00:" in overlap.reason) == (10, True)
    assert (negative.line, "a consumption never is" in negative.reason) == (11, True)


def test_the_sum_that_an_answer_names_is_the_one_that_counts(tmp_path):
    given = request(device="E1", home_id="h1")
    import_into(tmp_path / "d", ["von;bis;kWh\n", *intervals(8)], given)
    answer = import_into(tmp_path / "d", ["von;bis;kWh\n", OVER], given)
    with opened(tmp_path / "d") as data:
        span = utc_of(2026, 10, 23, 22, 15), utc_of(2026, 10, 23, 22, 45)
        counted = exact_decimal(data.curve("h1-E", Direction.IMPORT, *span).total)
    (note,) = answer.report.notes
    assert f"sum up to 0.5 kWh, and {counted.normalize():f} kWh count" in note


@pytest.mark.attack(8)
@pytest.mark.parametrize("step", ["register_homes", "install_meters"])
def test_an_import_that_ended_before_its_meters_were_installed_is_finished_by_the_same_import(
    tmp_path, monkeypatch, step
):
    folder, lines = tmp_path / "d", [HEAD, *registers()]

    def ends(*_arguments):
        raise SystemExit  # as after a kill: what is durable stays

    with monkeypatch.context() as patched:
        patched.setattr(MeterDataManagement, step, ends)
        with pytest.raises(SystemExit):
            import_into(folder, lines, request(home_id="h1"))
    tried = import_into(folder, lines, request(home_id="h1", is_trial=True))
    assert (tried.outcome, [meter.device for meter in tried.installed]) == (ImportOutcome.TAKEN_BEFORE, ["E1"])
    again = import_into(folder, lines, request(home_id="h1"))
    assert (again.outcome, [meter.device for meter in again.installed]) == (ImportOutcome.TAKEN_BEFORE, ["E1"])
    with opened(folder, must_exist=True) as data:
        assert data.place_of("E1") is not None
        assert [home.home_id for home in data.homes()] == ["h1"]
    assert import_into(folder, lines, request(home_id="h1")).installed == ()


@pytest.mark.attack(8)
@pytest.mark.parametrize("home", [{"home_id": "h1"}, {"home_each": True}])
def test_meters_that_were_imported_without_a_home_are_installed_by_the_same_file_with_one(tmp_path, home):
    folder, lines = tmp_path / "d", [HEAD, *registers()]
    assert import_into(folder, lines, request()).installed == ()
    again = import_into(folder, lines, request(**home))
    assert [meter.device for meter in again.installed] == ["E1"]
    with opened(folder, must_exist=True) as data:
        assert data.place_of("E1") is not None
        assert len(data.imports()) == 1
