"""Tables into and out of a data folder, in process."""

import csv
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from meterspan.analytics.tariff import Band, Tariff
from meterspan.app.importing import PlannedMeter, install_planned
from meterspan.app.transfer import (
    Extract,
    NoReadingsError,
    Resolution,
    What,
    export,
    opened,
)
from meterspan.mdm import TableFormat, import_csv
from meterspan.model.readings import CaptureBlock, CaptureColumn, Source
from meterspan.quantities import UNITS, Commodity, Obis, utc_seconds

RECEIVED_AT = datetime(2026, 4, 1, tzinfo=UTC)
ROWS = [
    ("2026-03-28T23:00:00+00:00", "10.0"),
    ("2026-03-29T12:00:00+00:00", "11.7"),
    ("2026-03-29T22:00:00+00:00", "14.0"),
    ("2026-03-30T22:00:00+00:00", "18.25"),
    ("2026-03-31T22:00:00+00:00", "21.5"),
]
EXPORTED = (What.INTERVALS, What.TOTALS)
TABLE = ["time,meter,obis,value,unit", *(f"{time},E1,1-0:1.8.0,{value},kWh" for time, value in ROWS)]


@pytest.fixture
def data(tmp_path):
    with opened(tmp_path / "folder") as held:
        import_csv(held, TABLE, zone="Europe/Berlin", received_at=RECEIVED_AT)
        plan = [PlannedMeter("E1", "h1", Commodity.ELECTRICITY, "h1-E", 900)]
        assert install_planned(held, plan, "Europe/Berlin") == ["E1"]
        yield held


def test_a_folder_without_readings_is_refused_and_not_made(tmp_path) -> None:
    with pytest.raises(NoReadingsError) as caught, opened(tmp_path / "typo", must_exist=True):
        pass
    assert caught.value.folder == tmp_path / "typo"
    assert not caught.value.folder.exists()


def test_a_meter_is_installed_from_its_first_reading_on(data) -> None:
    (row,) = data.installations("h1-E")
    assert (row.device, row.start) == ("E1", int(datetime.fromisoformat(ROWS[0][0]).timestamp()))


@pytest.mark.parametrize("resolution", list(Resolution))
def test_totals_add_up_to_their_registers(data, tmp_path, resolution: Resolution) -> None:
    count = export(data, tmp_path / "out.csv", Extract(What.TOTALS, resolution=resolution), TableFormat.CSV)
    rows = list(csv.DictReader((tmp_path / "out.csv").read_text().splitlines()))
    assert len(rows) == count > 0
    for row in rows:
        total = Decimal(row["total"]) + Decimal(row["unexplained"])
        assert Decimal(row["opening"]) + total == Decimal(row["closing"])
    assert Decimal(rows[-1]["closing"]) - Decimal(rows[0]["opening"]) == Decimal("11.5")


def test_only_the_home_asked_for_is_exported(data, tmp_path) -> None:
    for what in What:
        assert export(data, tmp_path / "all", Extract(what), TableFormat.JSON) > 0
    assert export(data, tmp_path / "none", Extract(What.TOTALS, home_id="h2"), TableFormat.JSON) == 0
    assert json.loads((tmp_path / "none").read_text()) == []


def test_a_day_of_which_only_a_reset_is_known_is_a_row_of_the_totals(data, tmp_path) -> None:
    more = ["2026-04-01T22:00:00+00:00,E1,1-0:1.8.0,0.5,kWh", "2026-04-02T22:00:00+00:00,E1,1-0:1.8.0,0.75,kWh"]
    import_csv(data, [TABLE[0], *more], zone="Europe/Berlin", received_at=RECEIVED_AT + timedelta(days=5))
    count = export(data, tmp_path / "out.csv", Extract(What.TOTALS), TableFormat.CSV)
    rows = list(csv.DictReader((tmp_path / "out.csv").read_text().splitlines()))
    assert len(rows) == count == 5
    assert [(row["total"], row["unexplained"]) for row in rows][-2:] == [("0", "-21"), ("0.25", "0")]
    for row in rows:
        assert Decimal(row["opening"]) + Decimal(row["total"]) + Decimal(row["unexplained"]) == Decimal(row["closing"])


def test_a_usage_point_that_cannot_be_exported_is_named_and_the_others_are_rows(data, tmp_path, monkeypatch) -> None:
    data.register_home("h2", "h2", zone="UTC")
    data.install_meter("h2", "h2-G", device="G1", commodity=Commodity.GAS, at=RECEIVED_AT)
    whole = {what: export(data, tmp_path / "all", Extract(what), TableFormat.JSON) for what in EXPORTED}
    column = CaptureColumn(Obis(7, 0, 3, 0, 0), UNITS["m3"], 0, np.array([1, 2], np.int64))
    times, zeros = np.array([utc_seconds(RECEIVED_AT), 14_000_000_000], np.int64), np.zeros(2, np.int32)
    data.take([CaptureBlock("G1", Source.PUSH, 14_000_000_000, times, (column,), zeros, zeros)])
    for what in EXPORTED:
        assert export(data, tmp_path / "all", Extract(what), TableFormat.JSON) == whole[what]
    assert [item.item for item in data.damage()] == ["usage point h2-G"]


@pytest.mark.finding("users D-6")
def test_a_month_of_which_only_days_are_asked_is_partial(data, tmp_path) -> None:
    extract = Extract(What.TOTALS, date(2026, 3, 29), date(2026, 3, 30), resolution=Resolution.MONTH)
    export(data, tmp_path / "out.csv", extract, TableFormat.CSV)
    (row,) = csv.DictReader((tmp_path / "out.csv").read_text().splitlines())
    assert (row["start"], row["end"], row["partial"]) == ("2026-03-29", "2026-03-30", "partial")
    export(data, tmp_path / "out.csv", Extract(What.TOTALS, resolution=Resolution.MONTH), TableFormat.CSV)
    row = next(csv.DictReader((tmp_path / "out.csv").read_text().splitlines()))
    assert (row["start"], row["end"], row["partial"]) == ("2026-03-01", "2026-03-31", "")


@pytest.mark.finding("users D-2")
def test_totals_are_priced_net_and_gross_by_a_tariff_that_is_given_and_nothing_is_stored(data, tmp_path) -> None:
    tariff = Tariff("flat", "EUR", "kWh", (Band("all", Decimal("0.30")),), tax=Decimal("0.19"))
    extract = Extract(What.TOTALS, resolution=Resolution.MONTH, tariffs={Commodity.ELECTRICITY: tariff})
    export(data, tmp_path / "out.json", extract, TableFormat.JSON)
    march = json.loads((tmp_path / "out.json").read_text())[0]
    assert (Decimal(march["total"]), march["tariff"], march["currency"]) == (Decimal("11.5"), "flat", "EUR")
    assert Decimal(march["cost_net"]) == Decimal("3.45")
    assert Decimal(march["cost_gross"]) == Decimal("4.1055")
    with opened(tmp_path / "other") as other:
        import_csv(other, TABLE, zone="Europe/Berlin", received_at=RECEIVED_AT)
        install_planned(other, [PlannedMeter("E1", "h1", Commodity.ELECTRICITY, "h1-E", 900)], "Europe/Berlin")
        export(other, tmp_path / "out.json", extract, TableFormat.JSON)
    with opened(tmp_path / "other") as again:
        export(again, tmp_path / "out.json", Extract(What.TOTALS), TableFormat.JSON)
    row = json.loads((tmp_path / "out.json").read_text())[0]
    assert (row["cost_net"], row["cost_gross"], row["tariff"]) == ("", "", "")


def test_days_are_the_homes_own_wherever_the_export_runs(data, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    day = date(2026, 3, 29)
    rows = {}
    for what in What:
        export(data, tmp_path / "out.json", Extract(what, day, day), TableFormat.JSON)
        rows[what] = json.loads((tmp_path / "out.json").read_text())
    assert [row["start"] for row in rows[What.TOTALS]] == ["2026-03-29"]
    berlin = ZoneInfo("Europe/Berlin")
    times = [datetime.fromisoformat(row["time"]).astimezone(berlin).date() for row in rows[What.READINGS]]
    assert times
    assert set(times) == {day}
    starts = [datetime.fromisoformat(row["start"]).astimezone(berlin).date() for row in rows[What.INTERVALS]]
    assert set(starts) == {day}


def test_days_of_homes_in_several_zones_need_a_zone_and_odd_days_end_nothing() -> None:
    day = date(2026, 3, 29)
    with pytest.raises(ValueError, match="say --zone or --home"):
        Extract(What.READINGS, day, day).span(["Europe/Berlin", "Europe/Lisbon"])
    start, end = Extract(What.READINGS, day, day, zone="Europe/Lisbon").span(["Europe/Berlin", "Europe/Lisbon"])
    assert (start.tzinfo, end - start) == (ZoneInfo("Europe/Lisbon"), timedelta(days=1))
    start, end = Extract(What.READINGS, date.min, date.max).span(["Europe/Berlin"])
    assert start < end
