"""Tables read into a data management of one home with one meter, and what it stores of them."""

from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal

from meterspan.mdm import MeterDataManagement
from meterspan.mdm.table_import import import_csv
from meterspan.quantities import Commodity, Obis

NOW = datetime(2026, 11, 1, tzinfo=UTC)
ENERGY = Obis(1, 0, 1, 8, 0)


def utc_of(*args):
    return datetime(*args, tzinfo=UTC)


@contextmanager
def home_with_a_meter(folder):
    with MeterDataManagement(folder) as management:
        management.register_home("h1", "Elm Street 1", zone="Europe/Berlin")
        management.install_meter("h1", "MP1", device="LGZ1", commodity=Commodity.ELECTRICITY, at=utc_of(2026, 1, 1))
        yield management


def imported(mdm, text, **given):
    return import_csv(
        mdm, text.splitlines(keepends=True), zone="Europe/Berlin", received_at=NOW, takes_rest=True, **given
    )


def stored(mdm):
    records = {item.series_id: item for item in mdm.series()}
    found = mdm.readings(list(records), utc_of(1980, 1, 1), utc_of(2200, 1, 1))
    return [
        (records[number].device, str(records[number].obis), time, Decimal(value).scaleb(records[number].exponent))
        for number, time, value in zip(found.series.tolist(), found.time.tolist(), found.value.tolist(), strict=True)
    ]
