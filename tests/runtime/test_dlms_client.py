import asyncio
import itertools
from contextlib import asynccontextmanager
from zoneinfo import ZoneInfo

import pytest

from meterspan.engine.association.records import AssociationSettings
from meterspan.engine.frame_trace import FrameDirection
from meterspan.engine.links import NETWORK_TRANSPORTS, TRANSPORTS, LinkAddresses
from meterspan.engine.scripts import read_clock, read_profile, read_registers
from meterspan.engine.security import SecurityContext, SecurityKeys
from meterspan.engine.session import Sleep
from meterspan.meter.electricity import ElectricityMeter, ElectricityMeterConfig
from meterspan.meter.metrology import ElectricityFlow
from meterspan.quantities import Obis
from meterspan.runtime.clock import SystemClock
from meterspan.runtime.dlms_client import AssociationFailedError, DlmsError, open_dlms
from meterspan.runtime.dlms_server import HostLimits
from meterspan.runtime.endpoints import Endpoint
from meterspan.runtime.meter_host import ElectricityHost, MeterTime
from meterspan.runtime.state import StateFile
from meterspan.wire.acse import AuthenticationMechanism
from meterspan.wire.axdr import DataType, double_long_unsigned, integer
from tests.helpers_cosem import action_of, get_of, set_of

KEYS = SecurityKeys(bytes(range(16)), bytes(range(0xD0, 0xE0)))
PASSWORD = b"open sesame"
TOTAL = Obis(1, 0, 1, 8, 0)
LIMITER = Obis(0, 0, 17, 0, 0)
SWITCH = Obis(0, 0, 96, 3, 10)
LLS = AssociationSettings(AuthenticationMechanism.LLS, PASSWORD, response_timeout_s=3)
GMAC = AssociationSettings(AuthenticationMechanism.HLS_GMAC, ciphered=True, response_timeout_s=3)


@asynccontextmanager
async def bench(folder, *, limits=None, speed=1.0):
    """A meter with 4 hours of 3.6 kW behind it, on both links."""
    clock = SystemClock()
    with StateFile(folder / "meter.sqlite") as state:
        config = ElectricityMeterConfig("MSP10000000001", b"MSP\0\0\0\0\1", ZoneInfo("Europe/Berlin"))
        now = clock()
        meter = ElectricityMeter(config, now - 4 * 3600, state=state)
        host = ElectricityHost(
            meter,
            keys=KEYS,
            password=PASSWORD,
            state=state,
            time=MeterTime(clock, now, speed=speed),
            clock=clock,
            supply=lambda start, end: [(ElectricityFlow((3_600_000,), (230_000,), (15_652,)), end)],
            limits=limits,
        )
        host.advance()
        ports = [
            await host.listen(TRANSPORTS["tcp"], "127.0.0.1", 0),
            await host.listen(TRANSPORTS["hdlc+tcp"], "127.0.0.1", 0),
        ]
        task = asyncio.create_task(host.run())
        try:
            yield host, Endpoint("tcp", "127.0.0.1", ports[0]), Endpoint("hdlc+tcp", "127.0.0.1", ports[1])
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await host.close()


def security(folder, title=b"HES\0\0\0\0\1"):
    return SecurityContext(title, KEYS, counters=StateFile(folder / f"client-{title.hex()}.sqlite"))


def test_one_association_reads_writes_and_runs_over_every_transport_of_the_network(tmp_path):
    async def play(place, context):
        who = LinkAddresses(client=1)
        async with open_dlms(place, GMAC, addresses=who, security=context) as client:
            assert client.terms.ciphered
            values = await client.run(read_registers([TOTAL]))
            await client.set(set_of(71, LIMITER, 4, double_long_unsigned(9_000)))
            limit = await client.get(get_of(71, LIMITER, 4))
            await client.action(action_of(70, SWITCH, 1, integer(0)))
            is_connected = await client.get(get_of(70, SWITCH, 2))
            await client.action(action_of(70, SWITCH, 2, integer(0)))
            return values[TOTAL].value, limit.integer, is_connected.value

    async def main():
        async with bench(tmp_path) as (host, *_):
            context, results = security(tmp_path), []
            for scheme, transport in NETWORK_TRANSPORTS.items():
                port = await host.listen(transport, "127.0.0.1", 0)
                results.append(await play(Endpoint(scheme, "127.0.0.1", port), context))
            return results

    for total, limit, is_connected in asyncio.run(main()):
        assert 14_400 <= total <= 14_500
        assert limit == 9_000
        assert is_connected is False


def test_a_profile_is_there_at_once_and_the_clock_is_right(tmp_path):
    async def main():
        async with bench(tmp_path) as (_, wrapper, _), open_dlms(wrapper, LLS, addresses=LinkAddresses(2)) as client:
            now = int(client.clock())
            rows = await client.run(read_profile(Obis(1, 0, 99, 1, 0), now - 86_400, now), timeout_s=5)
            return rows, (await client.run(read_clock())).to_utc().timestamp() - client.clock()

    rows, offset = asyncio.run(main())
    assert 15 <= rows.values.count <= 16
    totals = rows.values.columns[2].values.tolist()
    assert {later - earlier for earlier, later in itertools.pairwise(totals)} == {900}
    assert abs(offset) < 1.5


def test_every_frame_is_told(tmp_path):
    frames = []

    async def main():
        async with (
            bench(tmp_path) as (_, _, hdlc),
            open_dlms(hdlc, LLS, addresses=LinkAddresses(2), on_frame=frames.append) as client,
        ):
            await client.get(get_of(3, TOTAL, 2))

    asyncio.run(main())
    links = [frame.link for frame in frames]
    assert "SNRM" in links[0]
    assert "DISC" in links[-2]
    said = " ".join(frame.says for frame in frames)
    assert "AARQ, ln, lls" in said
    assert "get-request-normal" in said
    assert PASSWORD.decode() not in said
    assert PASSWORD.hex() not in said
    assert [frame.direction for frame in frames[:2]] == [FrameDirection.SENT, FrameDirection.RECEIVED]


def test_a_refusal_is_one_error_in_words(tmp_path):
    async def main():
        async with bench(tmp_path) as (_, wrapper, _):
            wrong = AssociationSettings(AuthenticationMechanism.LLS, b"guess", response_timeout_s=3)
            with pytest.raises(AssociationFailedError, match="authentication-failure") as caught:
                async with open_dlms(wrapper, wrong, addresses=LinkAddresses(2)):
                    pass
            assert caught.value.failure.permanent
            async with open_dlms(wrapper, LLS, addresses=LinkAddresses(2)) as client:
                with pytest.raises(DlmsError, match="object-undefined"):
                    await client.get(get_of(3, Obis(1, 1, 1, 1, 1), 2))
                with pytest.raises(DlmsError, match="not finished within"):
                    await client.run(_sleepy(), timeout_s=0.05)
                assert (await client.get(get_of(3, TOTAL, 2))).type is DataType.DOUBLE_LONG_UNSIGNED

    asyncio.run(main())


def _sleepy():
    yield Sleep(5)


def test_nobody_there_and_nobody_answering_are_told_apart():
    async def main():
        with pytest.raises(DlmsError, match="no program listens"):
            async with open_dlms(Endpoint("tcp", "127.0.0.1", 1), LLS):
                pass
        taken = []
        silent = await asyncio.start_server(lambda _reader, writer: taken.append(writer), "127.0.0.1", 0)
        port = silent.sockets[0].getsockname()[1]
        quick = AssociationSettings(response_timeout_s=0.3)
        with pytest.raises(AssociationFailedError, match="no answer within"):
            async with open_dlms(Endpoint("tcp", "127.0.0.1", port), quick):
                pass
        taken[0].close()
        silent.close()
        await silent.wait_closed()

    asyncio.run(main())


def test_a_meter_that_goes_away_fails_what_waits(tmp_path):
    async def main():
        async with (
            bench(tmp_path) as (host, wrapper, _),
            open_dlms(wrapper, LLS, addresses=LinkAddresses(2)) as client,
        ):
            await host.close()
            await asyncio.sleep(0.1)
            with pytest.raises(DlmsError, match="there is no association"):
                await client.get(get_of(3, TOTAL, 2))
            with pytest.raises(DlmsError, match="has ended"):
                _ = client.terms

    asyncio.run(main())


def test_a_cancelled_request_leaves_the_association_usable(tmp_path):
    async def main():
        async with bench(tmp_path) as (_, wrapper, _), open_dlms(wrapper, LLS, addresses=LinkAddresses(2)) as client:
            task = asyncio.create_task(client.get(get_of(3, TOTAL, 2)))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return await client.get(get_of(3, TOTAL, 3))

    assert asyncio.run(main()).type is DataType.STRUCTURE


def test_connections_beyond_the_bound_are_turned_away_and_others_stay(tmp_path):
    async def main():
        async with bench(tmp_path, limits=HostLimits(connections_max=2)) as (host, wrapper, _):
            async with (
                open_dlms(wrapper, LLS, addresses=LinkAddresses(2)) as first,
                open_dlms(wrapper, LLS, addresses=LinkAddresses(2)) as second,
            ):
                assert host.connections == 2
                with pytest.raises(DlmsError):
                    async with open_dlms(wrapper, LLS, addresses=LinkAddresses(2)):
                        pass
                assert await first.get(get_of(3, TOTAL, 3)) == await second.get(get_of(3, TOTAL, 3))
            async with open_dlms(wrapper, LLS, addresses=LinkAddresses(2)) as again:
                await again.get(get_of(3, TOTAL, 2))

    asyncio.run(main())


def test_a_fast_meter_lives_fast_and_its_links_do_not(tmp_path):
    async def main():
        async with (
            bench(tmp_path, speed=3_600) as (_, wrapper, _),
            open_dlms(wrapper, LLS, addresses=LinkAddresses(2)) as client,
        ):
            first = (await client.run(read_clock())).to_utc()
            await asyncio.sleep(0.5)
            second = (await client.run(read_clock())).to_utc()
            return (second - first).total_seconds()

    assert 1_500 < asyncio.run(main()) < 4_000
