"""The data management over a real directory: what was taken is answered, exactly."""

import errno
import threading
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import numpy as np
import pytest

from meterspan.analytics.tariff import Band, GasConversion, Tariff, TariffWindow
from meterspan.mdm import MeterDataManagement
from meterspan.model.lookup_errors import (
    MeterPresentError,
    NotInstalledError,
    SupplyPresentError,
    UnknownHomeError,
    UnknownSupplyError,
    UnknownZoneError,
)
from meterspan.model.ports import ReadingSink
from meterspan.model.readings import CaptureBlock, CaptureColumn, EventSeverity, MeterEvent, SeriesKind, Source
from meterspan.model.storage.errors import DamagedError, StorageFullError
from meterspan.model.views import HomeViews
from meterspan.quantities import UNITS, Commodity, Direction, Interval, Obis, Quality, Scaled
from meterspan.store.registry import Registry

ENERGY, EXPORT = Obis(1, 0, 1, 8, 0), Obis(1, 0, 2, 8, 0)
DAY_RATE, NIGHT_RATE = Obis(1, 0, 1, 8, 1), Obis(1, 0, 1, 8, 2)
POWER, FED_IN = Obis(1, 0, 1, 7, 0), Obis(1, 0, 2, 7, 0)
GAS = Obis(7, 0, 3, 0, 0)
WH, W, M3, JOULE = UNITS["Wh"], UNITS["W"], UNITS["m3"], UNITS["J"]
ZONE = "Europe/Berlin"
QUARTER = 900
TWO_BANDS = Tariff(
    "Day and night",
    "EUR",
    "kWh",
    (Band("day", Decimal("0.30")), Band("night", Decimal("0.20"))),
    (TariffWindow("night", time(22), time(6)),),
    standing_charge_per_day=Decimal("0.25"),
)


def utc(*args):
    return datetime(*args, tzinfo=UTC)


def block(device, times, *columns, source=Source.SCHEDULED_READ, received_at=None):
    """Columns are (obis, unit, exponent, values)."""
    stamps = np.array([int(moment.timestamp()) for moment in times], np.int64)
    nothing = np.zeros(len(stamps), np.int32)
    return CaptureBlock(
        device,
        source,
        int(stamps.max()) + 60 if received_at is None else received_at,
        stamps,
        tuple(CaptureColumn(obis, unit, scale, np.array(values, np.int64)) for obis, unit, scale, values in columns),
        nothing,
        nothing,
    )


def profile(device, start, count, *, first=1_000, step=25, obis=ENERGY, period=QUARTER):
    times = [start + timedelta(seconds=period * index) for index in range(count)]
    return block(device, times, (obis, WH, 0, [first + step * index for index in range(count)]))


@pytest.fixture
def mdm(tmp_path):
    with MeterDataManagement(tmp_path / "data") as management:
        management.register_home("h1", "Elm Street 1", zone=ZONE)
        management.install_meter("h1", "MP1", device="LGZ1", commodity=Commodity.ELECTRICITY, at=utc(2026, 1, 1))
        yield management


def test_it_is_the_sink_of_the_head_end_and_answers_the_portal(mdm):
    sink: ReadingSink = mdm
    views: HomeViews = mdm
    sink.take([profile("LGZ1", utc(2026, 3, 1), 3)])
    assert [home.home_id for home in views.homes()] == ["h1"]


def test_a_local_day_has_92_96_or_100_quarters_and_all_their_energy(mdm):
    mdm.take([profile("LGZ1", utc(2026, 3, 27), 4 * 24 * 5 + 1)])
    for day, quarters in ((date(2026, 3, 28), 96), (date(2026, 3, 29), 92)):
        view = mdm.day("h1", Commodity.ELECTRICITY, day)
        assert len(view.intervals) == quarters
        assert view.total == Decimal("0.025") * quarters
        assert all(point.value == Decimal("0.025") and point.quality == 0 for point in view.intervals)
        assert view.closing - view.opening == view.total
    mdm.take([profile("LGZ1", utc(2026, 10, 24, 20), 4 * 40, first=90_000)])
    view = mdm.day("h1", Commodity.ELECTRICITY, date(2026, 10, 25))
    assert (len(view.intervals), view.total) == (100, Decimal("2.5"))


def test_days_add_up_to_the_month(mdm):
    mdm.take([profile("LGZ1", utc(2026, 2, 27), 96 * 35, step=37)])
    mdm.assign_tariff("MP1", TWO_BANDS, first_day=date(2026, 1, 1))
    month = mdm.month("h1", Commodity.ELECTRICITY, date(2026, 3, 15))
    days = [mdm.day("h1", Commodity.ELECTRICITY, point.start) for point in month.points]
    assert len(days) == 31
    assert sum(view.total for view in days) == month.total == month.closing - month.opening
    assert [view.total for view in days] == [point.value for point in month.points]
    assert sum(view.cost for view in days) == month.cost
    assert all(point.complete and point.expected in {92, 96} for point in month.points)
    for point in month.points:
        assert sum(amount for _band, amount in point.by_band) == point.value


def test_cost_follows_the_local_clock(mdm):
    mdm.take([profile("LGZ1", utc(2026, 6, 1), 97 * 2, step=1_000)])
    mdm.assign_tariff("MP1", TWO_BANDS, first_day=date(2026, 1, 1))
    view = mdm.day("h1", Commodity.ELECTRICITY, date(2026, 6, 2))
    assert view.total == 96
    assert view.cost == 64 * Decimal("0.30") + 32 * Decimal("0.20") + Decimal("0.25")
    assert [point.band for point in view.intervals] == ["night"] * 24 + ["day"] * 64 + ["night"] * 8
    assert sum(point.cost for point in view.intervals) == view.cost - Decimal("0.25")
    assert [(window.band, window.price) for window in view.tariff.windows] == [
        ("night", Decimal("0.20")),
        ("day", Decimal("0.30")),
        ("night", Decimal("0.20")),
    ]


def test_gas_is_counted_in_m3_and_billed_in_kwh(mdm):
    mdm.install_meter("h1", "MP2", device="GAS1", commodity=Commodity.GAS, at=utc(2026, 1, 1), period_s=3_600)
    times = [utc(2026, 1, 9, 23) + timedelta(hours=hour) for hour in range(25)]
    mdm.take([block("GAS1", times, (GAS, UNITS["L"], 0, [100 * hour for hour in range(25)]))])
    gas = Tariff(
        "Gas",
        "EUR",
        "kWh",
        (Band("all", Decimal("0.10")),),
        conversion=GasConversion(Decimal("11.2"), Decimal("0.95")),
    )
    mdm.assign_tariff("MP2", gas, first_day=date(2026, 1, 1))
    view = mdm.day("h1", Commodity.GAS, date(2026, 1, 10))
    assert (view.unit, view.total, len(view.intervals)) == ("m3", Decimal("2.4"), 24)
    assert view.cost == Decimal("2.4") * Decimal("11.2") * Decimal("0.95") * Decimal("0.10")
    with pytest.raises(ValueError, match="counts kWh"):
        mdm.assign_tariff("MP1", Tariff("x", "EUR", "m3", (Band("all", Decimal(1)),)), first_day=date(2026, 1, 1))


def test_heat_counted_in_joules_is_shown_in_kwh(mdm):
    mdm.install_meter("h1", "MP3", device="HEAT1", commodity=Commodity.HEAT, at=utc(2026, 1, 1), period_s=3_600)
    times = [utc(2026, 1, 9, 23) + timedelta(hours=hour) for hour in range(25)]
    mdm.take([block("HEAT1", times, (Obis(6, 0, 1, 0, 0), JOULE, 6, [36 * hour for hour in range(25)]))])
    assert mdm.day("h1", Commodity.HEAT, date(2026, 1, 10)).total == Decimal(240)


def test_two_tariff_registers_without_a_total_are_added(mdm):
    times = [utc(2026, 1, 9, 23) + timedelta(minutes=15 * index) for index in range(97)]
    day = [5_000 + (10 * max(0, index - 24)) for index in range(97)]
    night = [7_000 + (20 * min(24, index)) for index in range(97)]
    mdm.take([block("LGZ1", times, (DAY_RATE, WH, 0, day), (NIGHT_RATE, WH, 0, night))])
    view = mdm.day("h1", Commodity.ELECTRICITY, date(2026, 1, 10))
    assert view.total == Decimal("1.2")
    assert (view.opening, view.closing) == (Decimal(12), Decimal("13.2"))


def test_one_register_heard_at_two_scales_is_one_chain(mdm):
    mdm.take([profile("LGZ1", utc(2026, 1, 10), 5)])
    times = [utc(2026, 1, 10, 1, 15), utc(2026, 1, 10, 1, 30)]
    mdm.take([block("LGZ1", times, (ENERGY, WH, -1, [11_255, 11_509]))])
    view = mdm.day("h1", Commodity.ELECTRICITY, date(2026, 1, 10))
    assert view.total == Decimal("0.1509")
    assert view.unexplained == 0


def test_an_exchange_joins_the_registers_and_tells_it(mdm):
    mdm.take([profile("LGZ1", utc(2026, 1, 9, 23), 49)])  # to 12:00 local, 2 200 Wh
    mdm.take([block("NEW2", [utc(2026, 1, 10, 11, 15)], (ENERGY, WH, 0, [60]))])
    mdm.exchange_meter(
        "MP1",
        old_device="LGZ1",
        closing={ENERGY: Scaled(221, 1, WH)},
        new_device="NEW2",
        opening={ENERGY: Scaled(3, 0, WH)},
        at=utc(2026, 1, 10, 11, 5),
    )
    view = mdm.day("h1", Commodity.ELECTRICITY, date(2026, 1, 10))
    assert view.total == Decimal("1.2") + Decimal("0.010") + Decimal("0.057")
    assert view.unexplained == 0
    assert (
        tuple(map(str, view.notes))
        == ("Meter LGZ1 was exchanged for NEW2 on 2026-01-10 12:05.", "44 intervals without any data.")[:1]
    )
    assert view.intervals[48].quality == Quality.EXCHANGED
    assert mdm.home("h1").usage_points[0].meter == "NEW2"
    before = mdm.totals()
    mdm.exchange_meter(
        "MP1",
        old_device="LGZ1",
        closing={ENERGY: Scaled(221, 1, WH)},
        new_device="NEW2",
        opening={ENERGY: Scaled(3, 0, WH)},
        at=utc(2026, 1, 10, 11, 5),
    )
    assert mdm.totals().readings == before.readings
    assert before.unexplained_wh == 0


def test_a_reset_is_shown_as_unexplained_in_day_and_totals(mdm):
    mdm.take([profile("LGZ1", utc(2026, 1, 10), 5), profile("LGZ1", utc(2026, 1, 10, 1, 15), 5, first=0)])
    view = mdm.day("h1", Commodity.ELECTRICITY, date(2026, 1, 10))
    assert view.unexplained == Decimal("-1.1")
    assert (view.opening, view.closing) == (None, None)  # neither midnight was read yet
    mdm.take([profile("LGZ1", utc(2026, 1, 9, 23), 5, first=900), profile("LGZ1", utc(2026, 1, 10, 23), 1, first=400)])
    view = mdm.day("h1", Commodity.ELECTRICITY, date(2026, 1, 10))
    assert (view.opening, view.closing) == (Decimal("0.9"), Decimal("0.4"))
    assert view.total + view.unexplained == view.closing - view.opening
    assert any("1.1 kWh unexplained" in str(note) for note in view.notes)
    assert mdm.totals().unexplained_wh == 1_100
    assert [item.reason for item in mdm.unexplained()] == ["meter reset"]


def test_what_came_again_is_counted_once(mdm):
    for _ in range(3):
        mdm.take([profile("LGZ1", utc(2026, 1, 10), 96)])
    totals = mdm.totals()
    assert (totals.readings, totals.duplicates, totals.conflicts) == (96, 192, 0)


def test_late_readings_make_a_new_version_of_the_changed_intervals_only(mdm):
    whole = profile("LGZ1", utc(2026, 1, 10), 97)
    keep = np.r_[0:40, 44:97]
    mdm.take([rows(whole, keep)])
    assert mdm.settle(utc(2026, 1, 11, 6)) == 1
    assert mdm.settle(utc(2026, 1, 11, 7)) == 0
    late = rows(whole, np.r_[40:44])
    late.columns[0].values[:] += 3
    mdm.take([late])
    assert mdm.settle(utc(2026, 1, 12, 6)) == 1
    at = utc(2026, 1, 10, 9, 45)
    found = mdm.versions("MP1", Interval(at, at + timedelta(minutes=75)))
    assert [(item.version, item.start.hour, item.start.minute) for item in found if item.start == at] == [
        (1, 9, 45),
        (2, 9, 45),
    ]
    first, second = (item for item in found if item.start == at)
    assert first.quality == Quality.SPREAD | Quality.ESTIMATED
    assert first.value == Scaled(25, 0, WH)
    assert (second.quality, second.value) == (Quality(0), Scaled(28, 0, WH))
    assert (second.author, second.reason) == ("meterspan", "4 readings of the day arrived after version 1")
    elsewhere = mdm.versions("MP1", Interval(utc(2026, 1, 10, 2), utc(2026, 1, 10, 8)))
    assert {item.version for item in elsewhere} == {1}
    view = mdm.day("h1", Commodity.ELECTRICITY, date(2026, 1, 10))
    assert [point.version for point in view.intervals if point.start == at] == [2]


def rows(whole, keep):
    column = whole.columns[0]
    return CaptureBlock(
        whole.device,
        whole.source,
        whole.received_at,
        whole.times[keep],
        (CaptureColumn(column.obis, column.unit, column.exponent, column.values[keep]),),
        whole.status[keep],
        whole.quality[keep],
    )


def test_late_data_across_days_change_both_days(mdm):
    mdm.take([profile("LGZ1", utc(2026, 1, 10), 80), profile("LGZ1", utc(2026, 1, 11, 6), 96, first=9_000)])
    mdm.settle(utc(2026, 1, 13))
    mdm.take([block("LGZ1", [utc(2026, 1, 11, 0)], (ENERGY, WH, 0, [8_000]))])
    assert mdm.settle(utc(2026, 1, 13)) == 2
    one = mdm.versions("MP1", Interval(utc(2026, 1, 10, 23), utc(2026, 1, 11, 1)))
    assert {item.version for item in one} == {1, 2}


def test_compaction_changes_no_answer_and_late_data_are_flagged(mdm, tmp_path):
    mdm.take([profile("LGZ1", utc(2026, 1, 9), 97)])
    mdm.take([profile("LGZ1", utc(2026, 1, 10, 1), 92, first=4_000)])
    before = [mdm.day("h1", Commodity.ELECTRICITY, date(2026, 1, day)) for day in (9, 10)]
    mdm.maintain(utc(2026, 1, 14))
    mdm.close()
    with MeterDataManagement(tmp_path / "data") as again:
        after = [again.day("h1", Commodity.ELECTRICITY, date(2026, 1, day)) for day in (9, 10)]
        assert before == after
        again.take([block("LGZ1", [utc(2026, 1, 10, 0, 30)], (ENERGY, WH, 0, [3_600]))])
        view = again.day("h1", Commodity.ELECTRICITY, date(2026, 1, 10))
        assert any(Quality.LATE in point.quality for point in view.intervals)
        assert view.total == after[1].total


def test_everything_is_there_after_reopening(tmp_path):
    with MeterDataManagement(tmp_path) as mdm:
        mdm.register_home("h1", "Elm Street 1", zone=ZONE, currency="CHF")
        mdm.install_meter(
            "h1",
            "MP1",
            device="LGZ1",
            commodity=Commodity.ELECTRICITY,
            at=utc(2026, 1, 1),
            register_width={ENERGY: 10_000},
            opening={ENERGY: Scaled(990, 0, WH)},
        )
        mdm.assign_tariff("MP1", TWO_BANDS, first_day=date(2026, 1, 1))
        mdm.take([profile("LGZ1", utc(2026, 1, 10), 97)], [MeterEvent("LGZ1", 5, "1", "power up")])
        mdm.take([block("LGZ1", [utc(2026, 1, 11, 0, 0)], (POWER, W, 0, [431]))])
        views = mdm.homes(), mdm.day("h1", Commodity.ELECTRICITY, date(2026, 1, 10)), mdm.series(), mdm.totals()
        live = mdm.live("h1", utc(2026, 1, 11, 0, 5))
    with MeterDataManagement(tmp_path) as mdm:
        assert views == (
            mdm.homes(),
            mdm.day("h1", Commodity.ELECTRICITY, date(2026, 1, 10)),
            mdm.series(),
            mdm.totals(),
        )
        assert mdm.live("h1", utc(2026, 1, 11, 0, 5)) == live
        assert live.power_w == 431
        assert mdm.events("LGZ1") == [MeterEvent("LGZ1", 5, "1", "power up", EventSeverity.INFO)]
        assert mdm.settle(utc(2026, 1, 12)) > 0


def test_live_shows_import_minus_export_band_and_cost_so_far(mdm):
    mdm.assign_tariff("MP1", TWO_BANDS, first_day=date(2026, 1, 1))
    mdm.take([profile("LGZ1", utc(2026, 6, 1, 22), 96 + 34, step=100)])  # to 2026-06-03 08:15 local
    now = utc(2026, 6, 3, 6, 16)
    mdm.take([block("LGZ1", [now - timedelta(seconds=20)], (POWER, W, 0, [0]), (FED_IN, UNITS["W"], 3, [2]))])
    live = mdm.live("h1", now)
    assert (live.power_w, live.power_at) == (-2_000, now - timedelta(seconds=20))
    assert (live.band, live.price, live.band_until) == ("day", Decimal("0.30"), utc(2026, 6, 3, 20))
    (today,) = live.today
    assert today.consumed == Decimal("3.3")
    assert today.cost == Decimal("2.4") * Decimal("0.20") + Decimal("0.9") * Decimal("0.30") + Decimal("0.25")
    assert today.yesterday_same_time == Decimal("3.3")  # up to the last reading, not a minute beyond it
    assert today.last_reading == utc(2026, 6, 3, 6, 15)
    later = mdm.live("h1", now + timedelta(hours=2))
    assert later.power_w is None


def test_a_new_reading_shows_in_a_day_that_was_asked_before(mdm):
    mdm.take([profile("LGZ1", utc(2026, 1, 10), 5)])
    assert mdm.day("h1", Commodity.ELECTRICITY, date(2026, 1, 10)).total == Decimal("0.1")
    revision = mdm.revision
    mdm.take([block("LGZ1", [utc(2026, 1, 10, 1, 15)], (ENERGY, WH, 0, [1_200]))])
    assert mdm.revision > revision
    assert mdm.day("h1", Commodity.ELECTRICITY, date(2026, 1, 10)).total == Decimal("0.2")


def test_a_day_without_data_has_no_values_and_not_zeros(mdm):
    mdm.take([profile("LGZ1", utc(2026, 1, 10), 97)])
    view = mdm.day("h1", Commodity.ELECTRICITY, date(2026, 1, 20))
    assert len(view.intervals) == 96
    assert {point.value for point in view.intervals} == {None}
    month = mdm.month("h1", Commodity.ELECTRICITY, date(2026, 1, 20))
    assert [point.value is None for point in month.points].count(False) == 2
    assert not month.points[19].complete


def test_a_register_stamped_years_ahead_is_kept_raw_and_not_counted(mdm):
    mdm.take([profile("LGZ1", utc(2026, 1, 10), 5)])
    mdm.take(
        [block("LGZ1", [utc(2106, 1, 1)], (ENERGY, WH, 0, [2_000]), received_at=int(utc(2026, 1, 10, 2).timestamp()))]
    )
    assert mdm.day("h1", Commodity.ELECTRICITY, date(2026, 1, 10)).total == Decimal("0.1")
    assert mdm.totals().readings == 6


def test_a_register_stamped_before_the_installation_costs_nothing(mdm):
    mdm.take([block("LGZ1", [datetime(1970, 1, 1, tzinfo=UTC)], (ENERGY, WH, 0, [900]))])
    mdm.take([profile("LGZ1", utc(2026, 1, 10), 5)])
    assert mdm.settle(utc(2026, 1, 12)) == 1
    assert mdm.day("h1", Commodity.ELECTRICITY, date(2026, 1, 10)).total == Decimal("0.1")


def test_an_uninstalled_device_is_kept_and_counts_once_it_is_installed(mdm):
    mdm.take([profile("STRAY", utc(2026, 1, 10), 5)])
    assert [item.usage_point for item in mdm.series()] == [""]
    mdm.register_home("h2", "Elm Street 2", zone=ZONE)
    mdm.install_meter("h2", "MP9", device="STRAY", commodity=Commodity.ELECTRICITY, at=utc(2026, 1, 1))
    assert mdm.day("h2", Commodity.ELECTRICITY, date(2026, 1, 10)).total == Decimal("0.1")
    (series,) = mdm.series()
    assert (series.usage_point, series.kind, series.direction) == ("MP9", SeriesKind.REGISTER, Direction.IMPORT)


def test_completeness_counts_periods_of_installed_meters(mdm):
    whole = profile("LGZ1", utc(2026, 1, 10), 96 * 2)
    mdm.take([rows(whole, np.r_[0:50, 60:192])])
    (row,) = mdm.completeness(date(2026, 1, 10), date(2026, 1, 12), until=utc(2026, 1, 12, 12))
    assert [(cell.expected, cell.received) for cell in row.cells] == [(96, 86), (96, 95), (48, 0)]


def test_unknown_homes_and_commodities_are_told_apart(mdm):
    with pytest.raises(UnknownHomeError):
        mdm.home("nobody")
    with pytest.raises(UnknownSupplyError, match="no gas"):
        mdm.day("h1", Commodity.GAS, date(2026, 1, 1))
    with pytest.raises(UnknownZoneError, match="IANA"):
        mdm.register_home("h3", "x", zone="Mars/Olympus")
    with pytest.raises(MeterPresentError, match="exchange it"):
        mdm.install_meter("h1", "MP1", device="OTHER", commodity=Commodity.ELECTRICITY, at=utc(2026, 1, 2))
    with pytest.raises(SupplyPresentError, match="already"):
        mdm.install_meter("h1", "MP8", device="OTHER", commodity=Commodity.ELECTRICITY, at=utc(2026, 1, 2))
    with pytest.raises(NotInstalledError, match="not installed"):
        mdm.exchange_meter("MP1", old_device="X", closing={}, new_device="Y", opening={}, at=utc(2026, 1, 2))
    with pytest.raises(ValueError, match="naive"):
        mdm.live("h1", datetime(2026, 1, 1))  # noqa: DTZ001 - the point of the test


def test_views_are_asked_from_many_threads_while_readings_come(mdm):
    mdm.assign_tariff("MP1", TWO_BANDS, first_day=date(2026, 1, 1))
    failures = []

    def ask():
        try:
            for _ in range(10):
                view = mdm.day("h1", Commodity.ELECTRICITY, date(2026, 1, 10))
                known = [point.value for point in view.intervals if point.value is not None]
                assert view.total == (len(known) * Decimal("0.025") if known else None)
                assert view.total is None or view.closing is None or view.total == view.closing - view.opening
                mdm.live("h1", utc(2026, 1, 10, 12))
        except Exception as error:  # noqa: BLE001 - handed to the test
            failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for index in range(97):
        mdm.take([profile("LGZ1", utc(2026, 1, 9, 23) + timedelta(minutes=15 * index), 1, first=1_000 + 25 * index)])
    for thread in threads:
        thread.join()
    assert failures == []
    view = mdm.day("h1", Commodity.ELECTRICITY, date(2026, 1, 10))
    assert view.total == view.closing - view.opening == Decimal("2.4")


# --- found by attack ------------------------------------------------------------------------------------------------


def test_a_clock_years_ahead_shows_no_power_and_expects_nothing(mdm):
    mdm.take([profile("LGZ1", utc(2026, 3, 1), 97)])
    arrived = int(utc(2026, 3, 2).timestamp())
    mdm.take([block("LGZ1", [utc(2026, 3, 1, 23, 59)], (POWER, W, 0, [450]))])
    mdm.take([block("LGZ1", [utc(2099, 1, 1)], (ENERGY, WH, 0, [5]), (POWER, W, 0, [7_777]), received_at=arrived)])
    live = mdm.live("h1", utc(2026, 3, 2))
    assert (live.power_w, live.power_at) == (450, utc(2026, 3, 1, 23, 59))
    (row,) = mdm.completeness(date(2026, 3, 1), date(2026, 3, 31))
    assert sum(cell.expected for cell in row.cells) == 96
    assert sum(point.expected for point in mdm.month("h1", Commodity.ELECTRICITY, date(2026, 3, 1)).points) == 100


def test_what_is_expected_survives_compaction_and_reopening(tmp_path):
    with MeterDataManagement(tmp_path) as first:
        first.register_home("h1", "x", zone=ZONE)
        first.install_meter("h1", "MP1", device="M1", commodity=Commodity.ELECTRICITY, at=utc(2026, 1, 1))
        first.take([profile("M1", utc(2026, 3, 1), 97)])
        first.maintain(utc(2026, 3, 9))
        view = first.month("h1", Commodity.ELECTRICITY, date(2026, 3, 1))
    with MeterDataManagement(tmp_path) as second:
        assert second.month("h1", Commodity.ELECTRICITY, date(2026, 3, 1)) == view


def test_an_instant_of_the_year_a_million_is_kept_and_harms_nothing(mdm):
    mdm.take([replace(block("X9", [utc(2026, 3, 1)], (ENERGY, WH, 0, [1])), times=np.array([2**45]))])
    mdm.take([profile("X9", utc(2026, 3, 1), 97)])
    mdm.register_home("h2", "x", zone=ZONE)
    mdm.install_meter("h2", "MPX", device="X9", commodity=Commodity.ELECTRICITY, at=utc(2026, 1, 1))
    assert mdm.day("h2", Commodity.ELECTRICITY, date(2026, 3, 1)).total == Decimal("2.3")
    assert mdm.settle(utc(2026, 3, 3)) == 1


def test_a_meter_is_installed_whole_or_not_at_all(mdm, monkeypatch):
    def fails(*_args):
        raise OSError(errno.ENOSPC, "no space left")

    with monkeypatch.context() as patch:
        patch.setattr("meterspan.store.registry.Registry._save", fails_at(2, fails))
        with pytest.raises(StorageFullError, match="no space"):
            mdm.install_meter("h1", "MP9", device="W9", commodity=Commodity.WATER, at=utc(2026, 1, 1))
    assert [point.usage_point for point in mdm.home("h1").usage_points] == ["MP1"]
    assert [row.usage_point for row in mdm._registry.usage_points()] == ["MP1"]


def fails_at(number, fault):
    """Let calls of ``Registry._save`` through until the given one."""
    plain, count = Registry._save, iter(range(number + 1))

    def save(registry, *arguments):
        return fault() if next(count) == number else plain(registry, *arguments)

    return save


@pytest.mark.finding("users D-9", "users F3")
def test_a_day_on_which_nothing_is_known_has_no_cost_and_adds_none_to_its_month(mdm):
    mdm.assign_tariff("MP1", TWO_BANDS, first_day=date(2026, 1, 1))
    mdm.take([profile("LGZ1", utc(2026, 3, 1), 50)])
    mdm.exchange_meter("MP1", old_device="LGZ1", closing={}, new_device="N2", opening={}, at=utc(2026, 3, 2))
    mdm.take([profile("N2", utc(2026, 3, 10), 50)])
    view = mdm.month("h1", Commodity.ELECTRICITY, date(2026, 3, 1))
    assert view.cost == sum(point.cost for point in view.points if point.cost is not None) > 0
    assert mdm.day("h1", Commodity.ELECTRICITY, date(2026, 3, 5)).cost is None


def test_the_bands_of_a_month_of_gas_are_in_m3(mdm):
    mdm.install_meter("h1", "MP2", device="GAS1", commodity=Commodity.GAS, at=utc(2026, 1, 1), period_s=3_600)
    times = [utc(2026, 1, 9, 23) + timedelta(hours=hour) for hour in range(25)]
    mdm.take([block("GAS1", times, (GAS, UNITS["L"], 0, [100 * hour for hour in range(25)]))])
    gas = Tariff(
        "Gas",
        "EUR",
        "kWh",
        (Band("all", Decimal("0.10")),),
        conversion=GasConversion(Decimal("11.2"), Decimal("0.95")),
    )
    mdm.assign_tariff("MP2", gas, first_day=date(2026, 1, 1))
    point = mdm.month("h1", Commodity.GAS, date(2026, 1, 1)).points[9]
    assert point.by_band == (("all", point.value),) == (("all", Decimal("2.4")),)


def test_without_a_register_today_nothing_is_compared_with_yesterday(mdm):
    mdm.take([profile("LGZ1", utc(2026, 3, 1), 90)])
    (today,) = mdm.live("h1", utc(2026, 3, 2, 20)).today
    assert (today.consumed, today.yesterday_same_time, today.last_reading) == (None, None, None)


def test_a_day_that_its_zone_skipped_has_no_intervals(mdm):
    mdm.register_home("h2", "Apia", zone="Pacific/Apia")
    mdm.install_meter("h2", "MP2", device="M2", commodity=Commodity.ELECTRICITY, at=utc(2011, 1, 1))
    mdm.assign_tariff("MP2", TWO_BANDS, first_day=date(2011, 1, 1))
    mdm.take([profile("M2", utc(2011, 12, 25), 96 * 10)])
    view = mdm.day("h2", Commodity.ELECTRICITY, date(2011, 12, 30))
    assert (view.total, view.cost, view.intervals) == (None, None, ())
    month = mdm.month("h2", Commodity.ELECTRICITY, date(2011, 12, 1))
    days = [mdm.day("h2", Commodity.ELECTRICITY, date(2011, 12, number)) for number in range(1, 32)]
    assert month.total == sum(day.total for day in days if day.total is not None)
    assert month.cost == sum(day.cost for day in days if day.cost is not None)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe"])
def test_a_meter_read_once_a_day_has_the_same_days_in_its_month_and_alone(mdm, zone):
    mdm.register_home("h2", "x", zone=zone)
    mdm.install_meter("h2", "MP2", device="M2", commodity=Commodity.ELECTRICITY, at=utc(2026, 1, 1), period_s=86_400)
    mdm.assign_tariff("MP2", TWO_BANDS, first_day=date(2026, 1, 1))
    times = [utc(2026, 3, 25) + timedelta(days=number) for number in range(12)]
    day_rate, night_rate = [7 + 101 * at for at in range(12)], [17 * at * at for at in range(12)]
    mdm.take([block("M2", times, (DAY_RATE, WH, 0, day_rate), (NIGHT_RATE, WH, 0, night_rate))])
    for month in (date(2026, 3, 1), date(2026, 4, 1)):
        view = mdm.month("h2", Commodity.ELECTRICITY, month)
        days = [mdm.day("h2", Commodity.ELECTRICITY, point.start) for point in view.points]
        assert [point.value for point in view.points] == [day.total for day in days]
        assert view.total == sum(day.total for day in days if day.total is not None)
        assert view.cost == sum(day.cost for day in days if day.cost is not None)
        for day in days:
            known = [point for point in day.intervals if point.value is not None]
            assert day.cost == (sum(point.cost for point in known) + Decimal("0.25") if known else None)


@pytest.mark.finding("data D29")
@pytest.mark.parametrize("is_lost", [False, True])
def test_a_registry_that_is_older_than_the_readings_is_refused_before_a_series_gets_a_second_meaning(tmp_path, is_lost):
    start = utc(2026, 3, 1)
    with MeterDataManagement(tmp_path / "data") as data:
        data.take([profile("M1", start, 4)])
    registry = tmp_path / "data" / "registry.sqlite"
    before = registry.read_bytes()
    with MeterDataManagement(tmp_path / "data") as data:
        data.take([profile("M2", start, 4)])
    if is_lost:
        registry.unlink()
    else:
        registry.write_bytes(before)
    with pytest.raises(DamagedError, match="restore the registry of the same moment"):
        MeterDataManagement(tmp_path / "data")
