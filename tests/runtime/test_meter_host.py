import asyncio
from contextlib import suppress
from zoneinfo import ZoneInfo

import pytest

from meterspan.engine.association.records import AssociationSettings
from meterspan.engine.links import TRANSPORTS, LinkAddresses
from meterspan.engine.scripts import read_invocation_counter
from meterspan.engine.security import SecurityContext, SecurityKeys
from meterspan.meter.electricity import ElectricityMeter, ElectricityMeterConfig
from meterspan.meter.metrology import ElectricityFlow, VolumeFlow
from meterspan.meter.radio import RadioMedium, RadioMeter, RadioMeterConfig
from meterspan.quantities import Obis
from meterspan.runtime.clock import SystemClock
from meterspan.runtime.dlms_client import open_dlms
from meterspan.runtime.dlms_server import HostLimits
from meterspan.runtime.endpoints import Endpoint
from meterspan.runtime.media import CannotConnectError
from meterspan.runtime.meter_host import MASTERS_PER_PEER_MAX, ElectricityHost, MeterTime, RadioHost, kept_time
from meterspan.runtime.state import StateFile
from meterspan.wire.acse import AuthenticationMechanism

KEYS = SecurityKeys(bytes(range(16)), bytes(range(16, 32)))
CONFIG = ElectricityMeterConfig("MSP10000000001", b"MSP\0\0\0\0\1", ZoneInfo("Europe/Berlin"))
TOTAL = Obis(1, 0, 1, 8, 0)
START = 1_790_000_000.0


class Clock:
    def __init__(self, now=START):
        self.now = now

    def __call__(self):
        return self.now


def host_of(state, clock, *, start=START, limits=None, notes=None):
    meter = ElectricityMeter(CONFIG, start, state=state)
    return meter, ElectricityHost(
        meter,
        keys=KEYS,
        password=b"secret",
        state=state,
        time=MeterTime(clock, start),
        clock=clock,
        limits=limits,
        supply=lambda start, end: [(ElectricityFlow((3_600_000,)), end)],
        on_note=(lambda _text: None) if notes is None else notes.append,
    )


def test_what_was_measured_is_kept_before_it_is_shown(tmp_path):
    clock = Clock()
    with StateFile(tmp_path / "a.sqlite") as state:
        meter, host = host_of(state, clock)
        for _ in range(100):
            clock.now += 37.5
            host.advance()
            again = ElectricityMeter(CONFIG, clock.now, state=state)
            assert again.indication.registers == meter.indication.registers
            assert len(again.profile) == len(meter.profile)
        assert kept_time(state) == clock.now
    assert meter.register(TOTAL) == 3750


def test_time_without_power_counts_nothing_and_captures_nothing(tmp_path):
    clock = Clock()
    with StateFile(tmp_path / "a.sqlite") as state:
        meter, host = host_of(state, clock)
        clock.now += 3_600
        host.advance()
        before, rows = meter.register(TOTAL), len(meter.profile)
    with StateFile(tmp_path / "a.sqlite") as state:
        clock.now += 7_200
        meter, host = host_of(state, clock, start=clock.now)
        host.pass_over(clock.now)
        host.advance()
        assert (meter.register(TOTAL), len(meter.profile)) == (before, rows)
        clock.now += 3_600
        host.advance()
        assert meter.register(TOTAL) == 2 * before


def test_meter_time_runs_as_fast_as_told():
    clock = Clock()
    time = MeterTime(clock, 1_000.0, speed=60)
    clock.now += 2
    assert time() == 1_120.0


def test_the_public_client_reads_the_highest_counter_over_a_restart(tmp_path):
    gmac = AssociationSettings(AuthenticationMechanism.HLS_GMAC, ciphered=True, response_timeout_s=3)

    async def once(state, title):
        clock = SystemClock()
        _, host = host_of(state, clock, start=clock())
        place = Endpoint("tcp", "127.0.0.1", await host.listen(TRANSPORTS["tcp"], "127.0.0.1", 0))
        if title is not None:
            context = SecurityContext(title, KEYS, counters=StateFile(tmp_path / "client.sqlite"))
            context.try_counter(5_024)
            async with open_dlms(place, gmac, addresses=LinkAddresses(1), security=context):
                pass
        async with open_dlms(place, AssociationSettings(response_timeout_s=3)) as public:
            counter = await public.run(read_invocation_counter())
        await host.close()
        return counter

    for title, low, high in ((None, 0, 0), (b"HES\0\0\0\0\1", 5_024, 5_034), (None, 5_024, 5_034)):
        with StateFile(tmp_path / "meter.sqlite") as state:
            assert low <= asyncio.run(once(state, title)) <= high


def test_connections_without_a_link_are_closed(tmp_path):
    notes = []

    async def main(state):
        clock = SystemClock()
        limits = HostLimits(silence_s=0.5, inactivity_timeout_s=60.0)
        _, host = host_of(state, clock, start=clock(), limits=limits, notes=notes)
        ports = [
            await host.listen(TRANSPORTS["hdlc+tcp"], "127.0.0.1", 0),
            await host.listen(TRANSPORTS["tcp"], "127.0.0.1", 0),
        ]
        running = asyncio.create_task(host.run())
        lines = [await asyncio.open_connection("127.0.0.1", port) for port in ports]
        ends = await asyncio.wait_for(asyncio.gather(*(reader.read() for reader, _ in lines)), 8)
        for _, writer in lines:
            writer.close()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await host.close()
        return ends

    with StateFile(tmp_path / "a.sqlite") as state:
        assert asyncio.run(main(state)) == [b"", b""]
    assert notes.count("a silent connection was closed") == 2


def test_a_radio_meter_sends_on_time_and_keeps_its_register(tmp_path):
    async def main(state):
        clock, sent = Clock(), []
        config = RadioMeterConfig(RadioMedium.WATER, "MSP", "10000001", bytes(16), interval_s=60)
        meter = RadioMeter(config, START, state, state=state)
        host = RadioHost(
            meter,
            state=state,
            time=MeterTime(clock, START),
            clock=clock,
            on_sent=sent.append,
            supply=lambda start, end: [(VolumeFlow(3_600_000), end)],
            receiver=Endpoint("udp", "127.0.0.1", 9),
        )
        await host.open()
        for _ in range(60):
            clock.now += 10
            host.advance()
        await host.close()
        return len(sent), meter.indication.registers[0].value.value

    with StateFile(tmp_path / "a.sqlite") as state:
        count, litres = asyncio.run(main(state))
    assert 10 <= count <= 12
    assert litres == 600
    with StateFile(tmp_path / "a.sqlite") as state:
        config = RadioMeterConfig(RadioMedium.WATER, "MSP", "10000001", b"n" * 16)
        assert RadioMeter(config, START + 900, state, state=state).indication.registers[0].value.value == 600


def idle_radio_host(state, host):
    clock = Clock()
    return RadioHost(
        RadioMeter(RadioMeterConfig(RadioMedium.GAS, "MSP", "10000001", bytes(16)), START, state),
        state=state,
        time=MeterTime(clock, START),
        clock=clock,
        supply=lambda start, end: [],
        receiver=Endpoint("udp", host, 9),
    )


def test_a_radio_without_a_receiver_says_so(tmp_path):
    async def main(state):
        host = idle_radio_host(state, "no-such-host.invalid")
        with pytest.raises(CannotConnectError, match="no-such-host"):
            await host.open()

    with StateFile(tmp_path / "a.sqlite") as state:
        asyncio.run(main(state))


@pytest.mark.attack(2)
def test_masters_beyond_the_places_of_the_wired_slave_close_the_oldest(tmp_path):
    async def main(state):
        host = idle_radio_host(state, "127.0.0.1")
        transport = TRANSPORTS["mbus+tcp"]
        port = await host.listen(transport, Endpoint("mbus+tcp", "127.0.0.1", 0, options={"address": "5"}))
        lines = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MASTERS_PER_PEER_MAX + 3)]
        for reader, _ in lines[:3]:
            async with asyncio.timeout(5):
                with suppress(ConnectionError):
                    assert await reader.read() == b""
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(lines[-1][0].read(), 0.2)
        for _, writer in lines:
            writer.close()
        await host.close()

    with StateFile(tmp_path / "a.sqlite") as state:
        asyncio.run(main(state))
