"""A scan knows which addresses are meant, and how what it finds is read again."""

import pytest

from meterspan.app.mbus_scanning import BusScan, parse_addresses, read_place, secondary_address
from meterspan.engine.mbus_readout import parse_slave
from meterspan.engine.mbus_search import SearchEnded, SearchProgress, SlaveFound, SlavesCollided
from meterspan.runtime.endpoints import parse_transport
from meterspan.runtime.mbus_client import slave_of
from meterspan.wire.mbus.address import DeviceAddress

WHO = DeviceAddress.of("KAM", "12345678", 0x1B, 0x16)


@pytest.mark.parametrize(("text", "found"), [("0-3", (0, 1, 2, 3)), ("5", (5,)), ("1-2, 250", (1, 2, 250))])
def test_addresses_are_read_as_people_write_them(text, found):
    assert parse_addresses(text) == found


@pytest.mark.parametrize("text", ["", "251", "3-1", "1,,2", "a-b", "-5"])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(ValueError, match="like 1-20,30"):
        parse_addresses(text)


def test_a_found_slave_has_the_endpoint_that_reads_it():
    endpoint = parse_transport("mbus+tcp://gateway:10001?baud=300")
    by_number = parse_transport(read_place(endpoint, SlaveFound(0, WHO), by_primary=False))
    selected = slave_of(by_number)
    assert by_number.options["baud"] == "300"
    assert selected == parse_slave(None, secondary_address(WHO))
    assert selected.secondary.matches(WHO)
    assert read_place(endpoint, SlaveFound(7, None), by_primary=False).endswith("baud=300&address=7")
    assert read_place(endpoint, SlaveFound(7, WHO), by_primary=True).endswith("address=7")


def test_a_scan_keeps_findings_and_reports_progress():
    shown = []
    scan = BusScan(lambda asking, share: shown.append((asking, share)))
    for event in (SearchProgress("3", 0), SlaveFound(3, WHO), SlavesCollided(4), SearchEnded()):
        scan.note(event)
    assert (scan.slaves, scan.collisions, shown) == ([SlaveFound(3, WHO)], [SlavesCollided(4)], [("3", 0)])
