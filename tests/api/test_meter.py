"""A simulated meter is served, opened and read through the public API alone."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

import meterspan


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 60))


@pytest.mark.parametrize("scheme", ["tcp", "udp", "hdlc+tcp"])
@pytest.mark.parametrize("auth", ["lls", "hls5"])
def test_a_meter_is_read_over_every_transport(scheme, auth):
    async def story():
        simulated = meterspan.SimulatedMeter(opening_wh=1_000_000)
        keys = {"password": simulated.password, "key": simulated.key, "auth_key": simulated.auth_key.hex()}
        physical = 17 if scheme.startswith("hdlc") else None
        async with (
            simulated.serve(f"{scheme}://127.0.0.1:0") as running,
            meterspan.open_meter(running.endpoint, auth=auth, physical=physical, **keys) as meter,
        ):
            assert await meter.name() == simulated.name
            assert (3, meterspan.parse_obis("1-0:1.8.0")) in await meter.objects()
            assert abs((await meter.clock()).to_utc() - datetime.now(UTC)) < timedelta(seconds=10)
            value = await meter.read("1-0:1.8.0")
            shown = running.registers()[meterspan.parse_obis("1-0:1.8.0")]
            assert value.unit.symbol == "Wh"
            assert value.decimal <= shown.decimal <= value.decimal + 1

    run(story())


def test_a_load_profile_is_a_table_that_becomes_intervals():
    async def story():
        simulated = meterspan.SimulatedMeter(load_w=lambda moment: 4_000.0, history=timedelta(hours=3))
        async with (
            simulated.serve() as running,
            meterspan.open_meter(running.endpoint, auth="lls", password=simulated.password) as meter,
        ):
            now = datetime.now(UTC)
            return await meter.profile(now - timedelta(hours=2), now)

    table = run(story())
    assert table.column_names == ["time", "status", "quality", "1-0:1.8.0", "1-0:2.8.0"]
    assert table.schema.field("1-0:1.8.0").metadata == {b"unit": b"Wh"}
    assert 8 <= table.num_rows <= 9
    rows = zip(table["time"].to_pylist(), table["1-0:1.8.0"].to_pylist(), strict=True)
    found = meterspan.intervals(rows, unit="Wh")
    assert set(found.table["value"].to_pylist()) == {Decimal(1_000)}


def test_the_event_log_is_read_in_words():
    async def story():
        simulated = meterspan.SimulatedMeter(history=timedelta(hours=1))
        async with (
            simulated.serve() as running,
            meterspan.open_meter(running.endpoint, auth="lls", password=simulated.password) as meter,
        ):
            now = datetime.now(UTC)
            running._meter.set_clock(now.timestamp() + 100, now.timestamp())
            return await meter.events(now - timedelta(days=1), now + timedelta(minutes=5))

    assert [(event.device, event.code) for event in run(story())] == [("MSP1000000001", "4"), ("MSP1000000001", "5")]


def test_a_register_that_is_not_there_is_a_key_error():
    async def story():
        simulated = meterspan.SimulatedMeter()
        async with (
            simulated.serve() as running,
            meterspan.open_meter(running.endpoint, auth="lls", password=simulated.password) as meter,
        ):
            with pytest.raises(KeyError, match=r"7-0:3\.0\.0"):
                await meter.read("7-0:3.0.0")
            with pytest.raises(ValueError, match="time zone"):
                await meter.profile(datetime.now(), datetime.now())  # noqa: DTZ005 - that is the fault

    run(story())


def test_a_wrong_password_says_so_by_its_kind():
    async def story():
        async with (
            meterspan.SimulatedMeter().serve() as running,
            meterspan.open_meter(running.endpoint, auth="lls", password=b"not it"),
        ):
            pass

    with pytest.raises(meterspan.MeterError) as caught:
        run(story())
    assert caught.value.failure.kind is meterspan.FailureKind.AUTHENTICATION_FAILED


def test_nobody_at_the_endpoint_is_unreachable_and_a_wrong_endpoint_an_endpoint_error():
    async def story(endpoint):
        async with meterspan.open_meter(endpoint):
            pass

    with pytest.raises(meterspan.MeterError) as caught:
        run(story("tcp://127.0.0.1:9"))
    assert caught.value.failure.kind is meterspan.FailureKind.UNREACHABLE
    for wrong in ("gopher://127.0.0.1", "mbus+tcp://127.0.0.1:10001?address=5", "tcp://[::1"):
        with pytest.raises(meterspan.EndpointError):
            run(story(wrong))


def test_a_kept_state_goes_on_with_its_counters(tmp_path):
    async def story():
        simulated = meterspan.SimulatedMeter()
        async with simulated.serve() as running:
            for _ in range(2):
                async with meterspan.open_meter(
                    running.endpoint, auth="hls5", key=simulated.key, auth_key=simulated.auth_key, state=tmp_path
                ) as meter:
                    assert await meter.name() == simulated.name

    run(story())
    assert [path.name for path in tmp_path.glob("*.sqlite")] == ["reader.sqlite"]
