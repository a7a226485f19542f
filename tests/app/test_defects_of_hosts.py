"""An exception of any kind, at every call of every port of a host: the item fails alone, and the host goes on.

Each host runs the same story again and again; in run ``n`` the ports' call ``n`` raises. Whatever fails then, what
comes later is done as if nothing had been.
"""

import asyncio
import math
import sqlite3
from decimal import Decimal
from functools import cache

import pytest

from meterspan.analytics.tariff import Band, Tariff
from meterspan.app.home_host import HomeConfig, HomeHost
from meterspan.engine.links import TRANSPORTS, LinkAddresses
from meterspan.head_end.planner import ReadPolicy
from meterspan.mdm import MeterDataManagement
from meterspan.meter.radio import RadioMedium, RadioMeter, RadioMeterConfig
from meterspan.model.cosem.device import MANAGEMENT_CLIENT
from meterspan.model.failures import FailedError
from meterspan.model.radio_protection import RadioSettings
from meterspan.quantities import Commodity, utc
from meterspan.runtime import defects
from meterspan.runtime.clock import SystemClock
from meterspan.runtime.dlms_client import open_dlms
from meterspan.runtime.dlms_server import DeviceSecurity, DlmsServer
from meterspan.runtime.endpoints import Endpoint
from tests.helpers_cosem import GMAC, KEYS, METER_TITLE, SERIAL, TestMeter, client_security, get_of
from tests.helpers_radio import KEY
from tests.helpers_waiting import until
from tests.lnap.test_home_collector import FLOW, START, p1
from tests.memory import MemoryOutbox, MemoryState
from tests.runtime.test_head_end_host import ROWS, Sink, World

pytestmark = pytest.mark.attack(3)

ERRORS = (RuntimeError, OverflowError, sqlite3.InterfaceError, RecursionError, KeyError)
CALLS_MAX = 400
"""More calls than any story here makes: a run without a failure ends the series."""
SPAN = (utc(START - 86_400), utc(START + 86_400))
TARIFF = Tariff("price", "EUR", "kWh", (Band("all", Decimal("0.3")),))
MAIN = "MSP1000000001"


class Ports:
    """Counts the calls of some ports, all together; call number ``at`` raises, and does nothing."""

    def __init__(self, at, error=RuntimeError):
        self.at, self.error, self.calls, self.has_failed = at, error, 0, False

    def over(self, port, *names):
        return _Port(self, port, names)


class _Port:
    def __init__(self, ports, port, names):
        self._ports, self._port, self._names = ports, port, names

    def __getattr__(self, name):
        call = getattr(self._port, name)
        if self._names and name not in self._names:
            return call

        def counted(*arguments, **options):
            self._ports.calls += 1
            if self._ports.calls == self._ports.at:
                self._ports.has_failed = True
                raise self._ports.error(name)
            return call(*arguments, **options)

        return counted


class HomeState(MemoryState):
    """What ``HomeHost`` asks of its state file."""

    def __init__(self, ports):
        super().__init__()
        self._ports = ports
        self.boxes = {}

    def outbox(self, name):
        return self._ports.over(self.boxes.setdefault(name, MemoryOutbox()))


@cache
def radio_telegrams():
    meter = RadioMeter(RadioMeterConfig(RadioMedium.GAS, "MSP", "12345678", KEY), START, MemoryState())
    return meter.device, [
        (START + 900 * n, frame) for n in range(1, 5) for frame in meter.advance(FLOW, START + 900 * n)
    ]


def home_story(ports, folder, *, ends_at_start=False):
    """Hear P1 and radio for an hour, storing every quarter; return what the store holds, by device."""
    radio, frames = radio_telegrams()
    now = START

    async def flush(host):
        try:
            await host.flush()
        except ports.error:  # the service that stores runs again
            await host.flush()

    async def story(host):
        nonlocal now
        for quarter in range(1, 5):
            if quarter == 4:
                ports.at = math.inf  # what comes later is done as if nothing had been
            for minute in range(0, 15, 5):
                now = START + (quarter - 1) * 900 + minute * 60
                host.hear_p1(p1(f"{100 + minute + quarter * 15:06d}.000", now), now, "port")
            now = START + quarter * 900
            for at, frame in frames:
                if at == now:
                    host._hear("wmbus", host._collector.hear_radio, frame, now, "radio")
            await flush(host)
        await flush(host)

    with MeterDataManagement(folder) as data:
        state = HomeState(ports)
        port = ports.over(data, "take", "install_meter", "assign_tariff", "exchange_meter")
        config = HomeConfig(
            "home", "Home", "Europe/Berlin", "EUR", {Commodity.ELECTRICITY: TARIFF}, {radio: RadioSettings(KEY)}
        )
        counted = ports.over(state, "load", "save", "reserve", "accept", "accepted")
        host = HomeHost(config, data=port, state=counted, clock=lambda: float(now))
        if ends_at_start:
            return None
        asyncio.run(story(host))
        places = {place.meter for place in data.home("home").usage_points}
        kept = {}
        for series in data.series():
            times = data.readings([series.series_id], *SPAN).time.tolist()
            kept.setdefault(series.device, set()).update(times)
    return places, kept


def calls_of_home_start(folder):
    """Count the calls before the home hears anything: where one fails, the start is refused with its reason."""
    ports = Ports(math.inf)
    home_story(ports, folder, ends_at_start=True)
    return ports.calls


STRIDE = 6
"""In an ordinary run every sixth call fails; ``--deep`` takes them all."""


@pytest.mark.finding("security C2")
@pytest.mark.parametrize("offset", [0, *(pytest.param(offset, marks=pytest.mark.deep) for offset in range(1, STRIDE))])
def test_a_home_goes_on_whichever_call_of_its_ports_fails(tmp_path, monkeypatch, offset):
    places, kept = home_story(Ports(math.inf), tmp_path / "whole")
    assert places == {MAIN, radio_telegrams()[0]}
    first = calls_of_home_start(tmp_path / "start")
    tried = 0
    for at in range(first + 1 + offset, first + CALLS_MAX, STRIDE):
        monkeypatch.setattr(defects, "_places", {})
        ports = Ports(at, ERRORS[at % len(ERRORS)])
        found, times = home_story(ports, tmp_path / f"{at}")
        if not ports.has_failed:
            break
        tried += 1
        assert found == places, at
        for device, whole in kept.items():
            assert len(whole - times.get(device, set())) <= 2, (at, device, "a failure costs one telegram")
            assert max(times[device]) == max(whole), (at, device)
    assert tried > 24 / STRIDE


def head_end_story(ports):
    """Read a meter to its last row and take nothing for granted; return how many rows arrived, and whether it lived."""

    async def story():
        sink = Sink()
        policy = ReadPolicy(spread_s=0.01, settle_s=0, retry_first_s=0.05, courtesy_gap_s=0.05)
        world = World(sink=ports.over(sink, "take"), counters=ports.over(MemoryState()), policy=policy)
        async with world.running(), world.meter() as endpoint:
            world.head_end.add_device(world.device(MAIN, endpoint), world.clock())
            world.host.wake()
            await until(lambda: world.head_end.counts.sessions_ok)
            assert world.head_end.holes_of(MAIN, int(world.clock())) == []
            assert (world.host.open_count, world.head_end.quarantine.total) == (0, 0)
            times = {int(time) for block in sink.blocks for time in block.times}
        return len(times)

    return asyncio.run(story())


@pytest.mark.nonces_repeat("a new bench each time, with the same keys")
def test_a_head_end_goes_on_whichever_call_of_its_ports_fails(monkeypatch):
    for at in range(1, CALLS_MAX):
        monkeypatch.setattr(defects, "_places", {})
        ports = Ports(at, ERRORS[at % len(ERRORS)])
        assert head_end_story(ports) == ROWS
        if not ports.has_failed:
            break
    assert at > 3


@pytest.mark.nonces_repeat("a new bench each time, with the same keys")
def test_the_ports_of_a_device_serve_on_whichever_call_of_its_state_fails(monkeypatch):
    async def story(ports):
        meter = TestMeter()
        security = DeviceSecurity(METER_TITLE, KEYS, ports.over(MemoryState()))
        clock = SystemClock()
        server = DlmsServer(lambda: meter.device, security, clock=clock)
        port = await server.listen(TRANSPORTS["tcp"], "127.0.0.1", 0)
        counters = MemoryState()
        read = []
        for _ in range(3):
            try:
                client = client_security(counters)
                place, addresses = Endpoint("tcp", "127.0.0.1", port), LinkAddresses(MANAGEMENT_CLIENT)
                async with open_dlms(place, GMAC[1], addresses=addresses, security=client) as line:
                    read.append(await line.get(get_of(1, SERIAL)))
            except FailedError:
                read.append(None)
        server.close()
        return read

    for at in range(1, CALLS_MAX):
        monkeypatch.setattr(defects, "_places", {})
        ports = Ports(at, ERRORS[at % len(ERRORS)])
        read = asyncio.run(asyncio.wait_for(story(ports), 30))
        if not ports.has_failed:
            break
        assert len([found for found in read if found is None]) <= 1, (at, read)
    assert at > 3
    assert None not in read
