"""A hosted head end reads meters over TCP, survives those that cannot be reached, and takes pushes at its port."""

import asyncio
import secrets
from contextlib import asynccontextmanager, suppress

import pytest

from meterspan.crypto.mechanisms import Security
from meterspan.engine.association.server import ServerAssociation, ServerLimits
from meterspan.engine.links import NETWORK_TRANSPORTS, TRANSPORTS, DeviceProtocol, LinkAddresses
from meterspan.engine.security import SecurityKeys
from meterspan.head_end.contexts import ContextCache
from meterspan.head_end.inventory import ChannelPlan, Device, KeyCustody, KeyPurpose
from meterspan.head_end.planner import ReadPolicy
from meterspan.head_end.push_intake import PushIntake
from meterspan.head_end.sessions import SessionMaker
from meterspan.head_end.system import HeadEnd
from meterspan.model.failures import Failure, FailureKind
from meterspan.quantities import Commodity
from meterspan.runtime.endpoints import Endpoint
from meterspan.runtime.head_end_host import HeadEndHost, HeadEndHostConfig
from meterspan.runtime.media import listen_stream
from meterspan.runtime.shell import StreamShell
from meterspan.wire.wrapper import WrapperPdu, write_wpdu
from tests.helpers_cosem import ENERGY, EXPORT, KEYS, METER_TITLE, PROFILE, START, TestMeter
from tests.helpers_waiting import until
from tests.memory import MemoryState

ROWS = 96
NOW = START.timestamp() + 86_400 + 30


class Sink:
    """Readings in memory."""

    def __init__(self):
        self.blocks = []

    def take(self, blocks, events=()):
        self.blocks += blocks


class World:
    """A head end with its host, and a clock that starts half a minute after midnight."""

    def __init__(self, *, sink=None, counters=None, policy=None, **config):
        self.sink = sink or Sink()
        self.custody = KeyCustody(bytes(32))
        self.head_end = HeadEnd(self.sink, self.custody, policy or ReadPolicy(spread_s=1, settle_s=0))
        contexts = ContextCache(self.head_end, system_title=b"HES\0\0\0\0\1", counters=counters or MemoryState())
        maker = SessionMaker(self.head_end, contexts=contexts, entropy=secrets.token_bytes)
        intake = PushIntake(self.head_end, contexts=contexts)
        self.host = HeadEndHost(
            self.head_end,
            maker,
            pushes=intake,
            clock=self.clock,
            config=HeadEndHostConfig(connect_timeout_s=2, **config),
        )

    def clock(self):
        return NOW + asyncio.get_running_loop().time() - self.began

    def device(self, name, endpoint, keys=KEYS, protocol=DeviceProtocol.DLMS_WRAPPER):
        return Device(
            name,
            Commodity.ELECTRICITY,
            protocol,
            endpoint,
            "cell",
            security=Security.HLS_GMAC,
            client_sap=1,
            system_title=METER_TITLE,
            installed_at=int(START.timestamp()),
            channels=tuple(ChannelPlan(obis, profile=PROFILE) for obis in (ENERGY, EXPORT)),
            wrapped_keys=(
                (KeyPurpose.GLOBAL_UNICAST, self.custody.wrap(keys.unicast, name, KeyPurpose.GLOBAL_UNICAST)),
                (KeyPurpose.AUTHENTICATION, self.custody.wrap(keys.authentication, name, KeyPurpose.AUTHENTICATION)),
            ),
        )

    @asynccontextmanager
    async def running(self):
        self.began = asyncio.get_running_loop().time()
        task = asyncio.create_task(self.host.run())
        await asyncio.sleep(0)
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    @asynccontextmanager
    async def meter(self, scheme="tcp"):
        """Serve a meter on a free port; gives its endpoint."""
        meter, transport = TestMeter(ROWS), TRANSPORTS[scheme]

        def accept():
            limits = ServerLimits(max_pdu=transport.apdu_max)
            server = ServerAssociation(
                transport.server(LinkAddresses(1)),
                meter.device,
                security=meter.security,
                entropy=secrets.token_bytes,
                limits=limits,
            )
            return StreamShell(server, self.clock, lambda _: None)

        listener = await listen_stream(transport.medium, "127.0.0.1", 0, accept)
        try:
            yield f"127.0.0.1:{listener.port}"
        finally:
            listener.close()


def run(coroutine):
    asyncio.run(coroutine)


@pytest.mark.parametrize("transport", NETWORK_TRANSPORTS.values(), ids=NETWORK_TRANSPORTS)
def test_a_hosted_head_end_reads_a_days_profile_over_every_transport(transport):
    async def story():
        world = World()
        async with world.running(), world.meter(transport.scheme) as endpoint:
            device = world.device("MSP0000000000001", endpoint, protocol=transport.protocol)
            world.head_end.add_device(device, world.clock())
            world.host.wake()
            await until(lambda: world.head_end.counts.sessions_ok == 1)
            (block,) = world.sink.blocks
            assert len(block.times) == ROWS
            assert world.head_end.holes_of("MSP0000000000001", int(NOW)) == []
            assert world.host.open_count == 0

    run(story())


def test_a_meter_that_is_not_there_fails_and_the_next_one_is_read():
    async def story():
        world = World(sessions_max=1)
        async with world.running(), world.meter() as endpoint:
            for name, where in (("MSP1", "127.0.0.1:1"), ("MSP2", "nowhere"), ("MSP3", endpoint)):
                world.head_end.add_device(world.device(name, where), world.clock())
            world.host.wake()
            await until(lambda: world.head_end.counts.sessions_ok + world.head_end.counts.sessions_failed == 3)
            assert "no program listens" in world.head_end.last_failure("MSP1").detail
            assert "no endpoint" in world.head_end.last_failure("MSP2").detail
            assert world.head_end.last_failure("MSP3") is None

    run(story())


def test_a_wrong_key_is_told_and_no_session_stays_open():
    async def story():
        world = World()
        async with world.running(), world.meter() as endpoint:
            wrong = SecurityKeys(bytes(16), KEYS.authentication)
            world.head_end.add_device(world.device("MSP1", endpoint, wrong), world.clock())
            world.host.wake()
            await until(lambda: world.head_end.counts.sessions_failed == 1)
            assert world.head_end.last_failure("MSP1")
            assert world.host.open_count == 0

    run(story())


def test_stopping_ends_open_sessions_and_tells_the_planner():
    async def story():
        world = World()
        silent = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
        port = silent.sockets[0].getsockname()[1]
        async with world.running():
            world.head_end.add_device(world.device("MSP1", f"127.0.0.1:{port}"), world.clock())
            world.host.wake()
            await until(lambda: world.host.open_count == 1)
        assert (world.host.open_count, world.head_end.planner.open_count) == (0, 0)
        assert world.head_end.last_failure("MSP1") == Failure(FailureKind.CANCELLED, "the head end was stopped")
        silent.close()

    run(story())


def test_what_comes_to_the_push_port_unprotected_is_quarantined_with_its_sender():
    async def story():
        world = World(push_places=(Endpoint("tcp", "127.0.0.1", 0),))
        async with world.running():
            await until(lambda: world.host.push_places)
            _, writer = await asyncio.open_connection("127.0.0.1", world.host.push_places[0].port)
            writer.write(write_wpdu(WrapperPdu(1, 1, bytes.fromhex("0f000000010000"))))
            await until(lambda: len(world.head_end.quarantine) == 1)
            (frame,) = world.head_end.quarantine.newest()
            assert frame.source.startswith("127.0.0.1:")
            writer.close()
            await writer.wait_closed()

    run(story())


@pytest.mark.attack(2)
@pytest.mark.finding("security H7")
def test_a_sender_whose_pushes_are_all_refused_is_closed_and_its_flood_is_not_read_to_its_end():
    async def story():
        world = World(push_places=(Endpoint("tcp", "127.0.0.1", 0),))
        async with world.running():
            await until(lambda: world.host.push_places)
            reader, writer = await asyncio.open_connection("127.0.0.1", world.host.push_places[0].port)
            forged = write_wpdu(WrapperPdu(1, 1, bytes.fromhex("0f000000010000")))
            writer.write(forged * 100_000)
            with suppress(ConnectionError):
                assert await reader.read() == b""
            writer.close()
            assert sum(world.head_end.quarantine.counts.values()) < 2_000

    run(story())


@pytest.mark.attack(2)
@pytest.mark.finding("security H7")
def test_an_idle_push_connection_goes_for_a_new_one_where_all_places_are_taken():
    async def story():
        world = World(push_places=(Endpoint("tcp", "127.0.0.1", 0),), push_connections_max=1)
        async with world.running():
            await until(lambda: world.host.push_places)
            reader, first = await asyncio.open_connection("127.0.0.1", world.host.push_places[0].port)
            still, second = await asyncio.open_connection("127.0.0.1", world.host.push_places[0].port)
            with suppress(ConnectionResetError):
                assert await reader.read() == b""
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(still.read(), 0.2)
            for writer in (first, second):
                writer.close()
                await writer.wait_closed()

    run(story())
