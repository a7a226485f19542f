"""A meter on the bench: one owner, a name by its seed, and an orderly end however it ends."""

import asyncio
from zoneinfo import ZoneInfo

import pytest

from meterspan.app.meter import (
    BenchMeter,
    MeterRunsError,
    RadioPlaces,
    RunningBenchMeter,
    meter_name,
    owned,
    run_until,
)
from meterspan.quantities import Commodity
from meterspan.runtime.clock import SystemClock
from meterspan.runtime.endpoints import Endpoint
from meterspan.runtime.state import StateFile
from meterspan.sim.households import Household
from meterspan.wire.mbus.transport import SecurityMode


def test_a_meter_has_one_owner_at_a_time(tmp_path) -> None:
    with owned(tmp_path / "new", "MSP1") as path:
        assert path == tmp_path / "new" / "MSP1.sqlite"
        with pytest.raises(MeterRunsError, match="is running already"), owned(tmp_path / "new", "MSP1"):
            pass
        with owned(tmp_path / "new", "MSP2"):
            pass
    with owned(tmp_path / "new", "MSP1"):
        pass


def test_each_seed_and_supply_has_a_name_of_its_own() -> None:
    names = {meter_name(commodity, seed) for commodity in Commodity for seed in (0, 42, 89_999_999)}
    assert len(names) == 12
    assert meter_name(Commodity.ELECTRICITY, 42) == "MSP10000000042"


def _running(run, closed: list[bool]) -> RunningBenchMeter:
    async def close() -> None:
        closed.append(True)

    household = Household.drawn(1, zone="Europe/Berlin")
    return RunningBenchMeter(household, {}, {}, run, close, lambda: None, lambda: 0.0)


def test_a_meter_runs_until_it_is_stopped_and_is_closed() -> None:
    closed, painted = [], []

    async def scenario() -> None:
        stopped = asyncio.Event()

        async def forever() -> None:
            stopped.set()
            await asyncio.Event().wait()

        await run_until(stopped, _running(forever, closed), lambda: painted.append(True))

    asyncio.run(scenario())
    assert closed == [True]
    assert painted


def test_a_meter_that_fails_is_closed_and_says_why() -> None:
    closed = []

    async def fail() -> None:
        raise OSError("no such port")

    async def scenario() -> None:
        await run_until(asyncio.Event(), _running(fail, closed))

    with pytest.raises(OSError, match="no such port"):
        asyncio.run(scenario())
    assert closed == [True]


@pytest.mark.parametrize("commodity", [Commodity.GAS, Commodity.WATER, Commodity.HEAT])
def test_a_radio_meter_goes_on_from_its_state(tmp_path, commodity: Commodity) -> None:
    bench = BenchMeter(commodity, 7, ZoneInfo("Europe/Berlin"), SystemClock())
    places = RadioPlaces(Endpoint("udp", "127.0.0.1", 9), 15.0, SecurityMode.AES_CBC_IV)

    async def shown() -> list:
        with StateFile(tmp_path / "meter.sqlite") as state:
            running = await bench.open_radio(state, bytes(16), places)
            registers = [(register.obis, register.value) for register in running.indication().registers]
            await running.close()
            return registers

    first, second = asyncio.run(shown()), asyncio.run(shown())
    assert [obis for obis, _ in first] == [obis for obis, _ in second]
    assert all(was.decimal <= is_.decimal for (_, was), (_, is_) in zip(first, second, strict=True))
