"""The rows of the interoperability matrix that the ordinary reads of Gurux do not touch: options, limits, refusals."""

from itertools import count

import pytest

from meterspan.wire.axdr import (
    array,
    compact_array,
    double_long_unsigned,
    enum,
    long,
    octet_string,
    structure,
    unsigned,
    write_data,
)
from tests.interop.helpers import AUTH_KEY, CLIENT_TITLE, CLIENTS, KEY, PASSWORD
from tests.interop.matrix import Row

pytestmark = [pytest.mark.interop, pytest.mark.timeout(180), pytest.mark.peer("Gurux")]

READERS = ["lls", "gmac"]
COUNTER = count(500_000, 1_000)
ENERGY = "1.0.1.8.0.255"
GENERAL_BLOCK_TRANSFER = 0x4


@pytest.fixture
def read(our_meter, ask):
    """Return a function that does something as a Gurux client of our meter."""

    def run(way, *do, **more):
        task = {
            "link": our_meter["link"],
            "port": our_meter["port"],
            "client": CLIENTS[way],
            "authentication": way,
            "password": PASSWORD if way == "lls" else "",
            "title": CLIENT_TITLE.hex(),
            "key": KEY.hex(),
            "auth_key": AUTH_KEY.hex(),
            "counter": next(COUNTER),
            "do": do,
        }
        return ask("gurux_client.py", task | more)

    return run


def hdlc_only(our_meter):
    """Skip what the wrapper does not have."""
    if our_meter["link"] == "wrapper":
        pytest.skip("the wrapper has no HDLC parameters")


@pytest.mark.matrix(Row.PDU_64)
@pytest.mark.parametrize("way", READERS)
def test_gurux_collects_a_profile_with_a_pdu_of_64(read, our_meter, way):
    rows = our_meter["rows"]
    told = read(way, "profile", range=[rows[0][0], rows[7][0]], max_pdu=64)
    assert told["profile"] == rows[:8]


@pytest.mark.matrix(Row.BLOCKS)
@pytest.mark.parametrize("pdu", [128, 256])
def test_gurux_collects_a_profile_in_blocks_of_the_review(read, our_meter, pdu):
    rows = our_meter["rows"]
    assert read("gmac", "profile", range=[rows[0][0], rows[40][0]], max_pdu=pdu)["profile"] == rows[:41]


@pytest.mark.matrix(Row.COLUMNS)
@pytest.mark.parametrize("way", READERS)
def test_gurux_reads_the_columns_that_it_selects(read, our_meter, way):
    rows = our_meter["rows"]
    told = read(way, "columns", range=[rows[3][0], rows[6][0]], columns=[2, 1])
    assert told["columns"] == [[row[2], row[1]] for row in rows[3:7]]


@pytest.mark.matrix(Row.LIST)
@pytest.mark.parametrize("pdu", [0xFFFF, 70])
@pytest.mark.parametrize("way", READERS)
def test_gurux_reads_a_list_in_one_request_also_in_blocks(read, our_meter, way, pdu):
    energy, unit, clock, zone = read(way, "list", max_pdu=pdu)["list"]
    assert (energy, unit, zone) == (our_meter["import_wh"], 30, -60)
    assert 0 <= clock - our_meter["now"] < 600


@pytest.mark.matrix(Row.WRITE)
def test_gurux_sets_the_limiter_and_operates_the_switch(read):
    told = read("gmac", "set_limiter", "disconnect", "reconnect", limit=4_000)
    assert (told["set_limiter"], told["disconnect"], told["reconnect"]) == (4_000, False, True)
    assert read("gmac", "set_limiter", limit=0)["set_limiter"] == 0


@pytest.mark.matrix(Row.DENIED)
@pytest.mark.parametrize("way", READERS)
def test_gurux_is_told_what_is_denied_unknown_or_of_another_class(read, way):
    told = read(way, "write_register", "unknown", "wrong_class")
    assert [told[what] for what in ("write_register", "unknown", "wrong_class")] == ["error 3", "error 4", "error 9"]


@pytest.mark.matrix(Row.RELEASE, Row.DISCONNECT)
@pytest.mark.parametrize("way", READERS)
def test_the_release_of_gurux_is_answered_and_then_its_disc(read, way):
    assert read(way, "clock")["released"]


@pytest.mark.matrix(Row.RELEASE)
def test_the_protected_release_of_gurux_is_answered(read):
    assert read("gmac", "clock", protected_release=True)["released"]


@pytest.mark.matrix(Row.DEDICATED)
@pytest.mark.parametrize("conformance", ["GENERAL_PROTECTION", ""])
@pytest.mark.parametrize("dedicated", [True, False])
def test_gurux_reads_under_a_dedicated_key_with_either_kind_of_ciphering(read, our_meter, dedicated, conformance):
    without = [] if conformance else ["GENERAL_PROTECTION"]
    told = read("gmac", "registers", registers=[ENERGY], dedicated=dedicated, no_conformance=without)
    assert told["registers"][ENERGY] == [our_meter["import_wh"], 1.0, 30]


@pytest.mark.matrix(Row.WEAKER)
@pytest.mark.parametrize("security", ["authentication", "encryption"])
def test_gurux_is_refused_with_less_protection_than_the_policy_asks_for(read, security):
    assert "failed" in read("gmac", "clock", security=security)


@pytest.mark.matrix(Row.BLOCK_TRANSFER)
def test_general_block_transfer_is_negotiated_off_and_gurux_reads_in_blocks(read, our_meter):
    rows = our_meter["rows"]
    asked = {"range": [rows[0][0], rows[20][0]], "max_pdu": 128, "conformance": ["GENERAL_BLOCK_TRANSFER"]}
    told = read("gmac", "profile", **asked)
    assert told["profile"] == rows[:21]
    assert not told["conformance"] & GENERAL_BLOCK_TRANSFER


@pytest.mark.matrix(Row.ACCESS)
def test_access_is_refused_and_the_association_is_told_so(read):
    told = read("gmac", "access")
    assert "failed" in told


@pytest.mark.matrix(Row.SHORT_NAMES)
def test_short_names_are_refused_with_the_application_context(read):
    told = read("none", "clock", short_names=True)
    assert "failed" in told


@pytest.mark.matrix(Row.INFORMATION)
@pytest.mark.parametrize("octets", [16, 32, 64, 512, 2_030])
def test_gurux_reads_with_any_information_field_that_it_asks_for(read, our_meter, octets):
    hdlc_only(our_meter)
    rows = our_meter["rows"]
    told = read("lls", "profile", range=[rows[0][0], rows[20][0]], information=octets)
    assert told["profile"] == rows[:21]


@pytest.mark.matrix(Row.WINDOW)
def test_gurux_cannot_read_with_a_window_above_one_and_the_meter_agrees_on_one(read, our_meter):
    hdlc_only(our_meter)
    rows = our_meter["rows"]
    told = read("lls", "profile", range=[rows[0][0], rows[20][0]], information=128, window=7)
    assert told["profile"] == rows[:21], "the meter has one frame in its window"


@pytest.mark.matrix(Row.ADDRESS)
@pytest.mark.parametrize("octets", [1, 2, 4])
def test_gurux_calls_our_meter_by_an_address_of_any_length(read, our_meter, octets):
    hdlc_only(our_meter)
    assert "clock" in read("lls", "clock", address_octets=octets)


ROWS = [structure(octet_string(bytes([row])), unsigned(row), double_long_unsigned(1_000 + row)) for row in range(3)]
NESTED = [structure(array(long(row), long(-row)), enum(3)) for row in range(3)]
SHAPES = {
    "numbers": ([double_long_unsigned(number) for number in range(5)], [0, 1, 2, 3, 4]),
    "rows": (ROWS, [["00", 0, 1_000], ["01", 1, 1_001], ["02", 2, 1_002]]),
    "nested": (NESTED, [[[[0], [0]], 3], [[[1], [-1]], 3], [[[2], [-2]], 3]]),  # the peer puts each element in a list
}


@pytest.mark.matrix(Row.COMPACT_ARRAY)
@pytest.mark.parametrize("shape", SHAPES)
def test_gurux_reads_a_compact_array_as_we_write_it(ask, shape):
    elements, values = SHAPES[shape]
    assert ask("gurux_client.py", {"data": write_data(compact_array(*elements)).hex()})["data"] == values


@pytest.mark.finding("dlms D4")
@pytest.mark.matrix(Row.PUSH_SETUP)
@pytest.mark.parametrize("way", READERS)
def test_gurux_reads_the_push_setup_of_our_meter(read, way):
    setup = read(way, "push_setup")["push_setup"]
    assert setup["objects"] == [
        [40, "0.0.25.9.0.255", 2, 0],
        [1, "0.0.42.0.0.255", 2, 0],
        [8, "0.0.1.0.0.255", 2, 0],
        [1, "0.0.96.10.1.255", 2, 0],
        *([3, f"1.0.{quantity}.8.0.255", attribute, 0] for quantity in (1, 2) for attribute in (2, 3)),
    ]
    assert (setup["window"], setup["randomisation"], setup["message"]) == ([], 0, 0)
