"""Rows of a telegram as capture blocks."""

from hypothesis import given
from hypothesis import strategies as st

from meterspan.model.readings import Source
from meterspan.quantities import UNITS, Commodity, Direction, Obis, Quality, Scaled
from meterspan.readings.rows import DeviceRows, HeardTelegram, Row, is_storable

IMPORT, EXPORT, POWER = Obis(1, 0, 1, 8, 0), Obis(1, 0, 2, 8, 0), Obis(1, 0, 16, 7, 0)


def wh(value: int, exponent: int = 0) -> Scaled:
    return Scaled(value, exponent, UNITS["Wh"])


def test_rows_of_one_instant_make_one_block_and_each_instant_its_own() -> None:
    rows = (Row(IMPORT, wh(5), 200), Row(EXPORT, wh(7, -1), 200), Row(IMPORT, wh(4), 100))
    blocks = DeviceRows("E1", Commodity.ELECTRICITY, rows).blocks(Source.LOCAL, 300)
    told = [(int(b.times[0]), [(c.obis, int(c.values[0]), c.exponent) for c in b.columns]) for b in blocks]
    assert told == [(100, [(IMPORT, 4, 0)]), (200, [(IMPORT, 5, 0), (EXPORT, 7, -1)])]
    assert {(block.device, block.source, block.received_at) for block in blocks} == {("E1", Source.LOCAL, 300)}


def test_rows_of_another_quality_keep_it_in_a_block_of_their_own() -> None:
    rows = (Row(IMPORT, wh(5), 200, Quality.CLOCK_INVALID), Row(EXPORT, wh(7), 200))
    blocks = DeviceRows("E1", Commodity.ELECTRICITY, rows).blocks(Source.LOCAL, 300)
    assert [(block.columns[0].obis, int(block.quality[0])) for block in blocks] == [(EXPORT, 0), (IMPORT, 1)]


def test_only_the_codes_asked_for_are_kept() -> None:
    rows = (Row(IMPORT, wh(5), 200), Row(EXPORT, wh(7), 200))
    (block,) = DeviceRows("E1", Commodity.ELECTRICITY, rows).blocks(Source.LOCAL, 300, only=(EXPORT,))
    assert [column.obis for column in block.columns] == [EXPORT]


def test_the_billed_registers_are_those_of_the_catalogue() -> None:
    power = Row(POWER, Scaled(1, 0, UNITS["W"]), 9)
    rows = (power, Row(EXPORT, wh(7), 200), Row(IMPORT, wh(5), 200), Row(IMPORT, wh(4), 100))
    device = DeviceRows("E1", Commodity.ELECTRICITY, rows)
    assert [(direction, row.value.value) for direction, row in device.registers()] == [
        (Direction.EXPORT, 7),
        (Direction.IMPORT, 5),
        (Direction.IMPORT, 4),
    ]
    newest = device.row(IMPORT)
    assert newest is not None
    assert newest.time == 200
    assert device.row(Obis(1, 0, 1, 8, 1)) is None


def test_a_device_is_found_by_its_name() -> None:
    device = DeviceRows("E1", Commodity.ELECTRICITY, ())
    telegram = HeardTelegram("p1", b"/", 1, (device,))
    assert (telegram.device("E1"), telegram.device("E2")) == (device, None)


@given(st.integers(min_value=-(2**70), max_value=2**70), st.integers(min_value=-300, max_value=300))
def test_what_is_storable_makes_a_block_without_loss(value: int, exponent: int) -> None:
    scaled = wh(value, exponent)
    if is_storable(scaled):
        device = DeviceRows("E1", Commodity.ELECTRICITY, (Row(IMPORT, scaled, 0),))
        (block,) = device.blocks(Source.LOCAL, 0)
        assert (int(block.columns[0].values[0]), block.columns[0].exponent) == (value, exponent)
    else:
        assert abs(value) >= 2**63 or abs(exponent) > 127
