"""The ports of a device under peers without keys: they keep nobody out, prolong nothing and fill no log."""

import asyncio
import contextlib
import socket
import time

import pytest

from meterspan.engine.association.records import AssociationSettings
from meterspan.engine.links import TRANSPORTS, LinkAddresses
from meterspan.model.failures import FailureKind
from meterspan.runtime.dlms_client import AssociationFailedError, open_dlms
from meterspan.runtime.dlms_server import DeviceSecurity, DlmsServer, HostLimits
from meterspan.runtime.endpoints import Endpoint
from meterspan.runtime.limits import ANSWERED_SHARE, UNPROVED_OCTETS_MAX
from meterspan.runtime.state import StateFile
from meterspan.wire.acse import (
    AUTHENTICATION_REQUIREMENT,
    Aarq,
    ApplicationContext,
    AssociationResult,
    AuthenticationMechanism,
    AuthenticationValue,
    read_acse,
    write_acse,
)
from meterspan.wire.wrapper import WrapperPdu, read_datagram, write_wpdu
from meterspan.wire.xdlms import Conformance, InitiateRequest, write_apdu
from tests.engine.association.test_server import second_device
from tests.helpers_cosem import CLIENT_TITLE, KEYS, METER_TITLE, SERIAL, TestMeter
from tests.runtime.test_dlms_client import LLS, TOTAL, bench, get_of

PUBLIC = AssociationSettings(response_timeout_s=0.5)
GUESS = AssociationSettings(AuthenticationMechanism.LLS, b"guess", response_timeout_s=5)
AARQ_PUBLIC = write_wpdu(
    WrapperPdu(16, 1, bytes.fromhex("601DA109060760857405080101BE10040E01000000065F1F0400001E1DFFFF"))
)
INITIATE = write_apdu(InitiateRequest(Conformance.GET, 0xFFFF))
AARQ_UNKNOWN = write_wpdu(WrapperPdu(77, 1, write_acse(Aarq(ApplicationContext.LN, INITIATE))))
AARQ_READER = write_wpdu(
    WrapperPdu(
        2,
        1,
        write_acse(
            Aarq(
                ApplicationContext.LN,
                INITIATE,
                mechanism=AuthenticationMechanism.LLS,
                authentication_value=AuthenticationValue(LLS.secret),
                sender_requirements=AUTHENTICATION_REQUIREMENT,
            )
        ),
    )
)
GET_CLOCK = write_wpdu(WrapperPdu(16, 1, bytes.fromhex("C001C100080000010000FF0200")))
JUNK = write_wpdu(WrapperPdu(2, 1, bytes.fromhex("C001C100030100010800FF0200")))
VIEW = bytes.fromhex("000F0000280000FF0200")
GET_VIEW = write_wpdu(WrapperPdu(16, 1, bytes.fromhex("C003C101") + VIEW))
GET_VIEWS = write_wpdu(WrapperPdu(16, 1, bytes.fromhex("C003C1820100") + VIEW * 256))


async def connected(endpoint, count, source="127.0.0.1"):
    """Open so many connections from one address that say nothing."""
    lines = [await asyncio.open_connection(endpoint.host, endpoint.port, local_addr=(source, 0)) for _ in range(count)]
    await asyncio.sleep(0.05)
    return lines


def close(lines):
    for _, writer in lines:
        writer.close()


async def is_read(wrapper):
    async with open_dlms(wrapper, LLS, addresses=LinkAddresses(2)) as client:
        return await client.get(get_of(3, TOTAL, 2))


@pytest.mark.attack(2)
@pytest.mark.finding("security H7", "dlms D10")
def test_idle_connections_of_one_address_or_of_many_shut_no_meter(tmp_path):
    async def main():
        async with bench(tmp_path) as (host, wrapper, _):
            own = await connected(wrapper, 16)
            assert await is_read(wrapper) is not None
            foreign = [line for number in range(2, 7) for line in await connected(wrapper, 8, f"127.0.0.{number}")]
            assert await is_read(wrapper) is not None
            assert host.connections <= HostLimits().connections_max
            close(own + foreign)

    asyncio.run(main())


def test_a_client_that_has_proved_itself_is_not_closed_for_idle_ones(tmp_path):
    async def main():
        async with (
            bench(tmp_path) as (_, wrapper, _),
            open_dlms(wrapper, LLS, addresses=LinkAddresses(2)) as client,
        ):
            lines = await connected(wrapper, 40)
            answer = await client.get(get_of(3, TOTAL, 2))
            close(lines)
            return answer

    assert asyncio.run(main()) is not None


@pytest.mark.attack(2)
@pytest.mark.finding("security H7", "dlms D10")
def test_requests_without_an_association_keep_no_connection_open(tmp_path):
    async def main():
        async with bench(tmp_path, limits=HostLimits(silence_s=1.0)) as (_, wrapper, _):
            ((reader, writer),) = await connected(wrapper, 1)

            async def send_junk():
                while True:
                    writer.write(JUNK)
                    await asyncio.sleep(0.2)

            sending = asyncio.create_task(send_junk())
            try:
                async with asyncio.timeout(4.5):
                    while await reader.read(4_096):
                        pass
            except ConnectionError:
                pass  # closed as well
            finally:
                sending.cancel()
                writer.close()

    asyncio.run(main())


@pytest.mark.attack(2)
@pytest.mark.finding("security H7", "dlms D10")
@pytest.mark.parametrize("unit", [JUNK, write_wpdu(WrapperPdu(16, 1, b"\xff")), AARQ_PUBLIC + GET_CLOCK * 20])
def test_a_megabyte_that_proves_nothing_is_not_read_to_its_end(tmp_path, unit):
    async def main():
        async with bench(tmp_path) as (host, wrapper, _):
            ((reader, writer),) = await connected(wrapper, 1)
            writer.write((unit * (1 + (1 << 20) // len(unit)))[: 1 << 20])
            try:
                async with asyncio.timeout(5):
                    while await reader.read(1 << 16):
                        pass
            except ConnectionError:
                pass  # closed as well
            writer.close()
            assert host.connections == 0
            return await is_read(wrapper)

    assert asyncio.run(main()) is not None


@pytest.mark.attack(2)
@pytest.mark.parametrize("unit", [GET_VIEW, GET_VIEWS])
def test_a_public_client_is_answered_little_in_all(tmp_path, unit):
    async def main():
        async with bench(tmp_path) as (_, wrapper, _):
            ((reader, writer),) = await connected(wrapper, 1)
            writer.write(AARQ_PUBLIC + unit * (30_000 // len(unit)))
            answered = 0
            with contextlib.suppress(ConnectionError):
                async with asyncio.timeout(5):
                    while octets := await reader.read(1 << 16):
                        answered += len(octets)
            writer.close()
            return answered

    assert 0 < asyncio.run(main()) < ANSWERED_SHARE * UNPROVED_OCTETS_MAX + 0x10000


@pytest.mark.attack(2)
@pytest.mark.finding("security M8")
@pytest.mark.finding("dlms D10")
def test_wrong_passwords_of_one_address_make_no_other_wait(tmp_path):
    async def main():
        async with bench(tmp_path) as (_, wrapper, _):
            for _ in range(5):
                with socket.socket() as line:
                    line.setblocking(False)
                    line.bind(("127.0.0.2", 0))
                    await asyncio.get_running_loop().sock_connect(line, (wrapper.host, wrapper.port))
                    await asyncio.get_running_loop().sock_sendall(line, write_wpdu(WrapperPdu(2, 1, AARQ_GUESS)))
                    answer = await asyncio.get_running_loop().sock_recv(line, 512)
                    assert answer[8] == AARE
            assert await is_read(wrapper) is not None

    asyncio.run(main())


def test_wrong_passwords_of_an_address_make_that_address_wait(tmp_path):
    async def main():
        async with bench(tmp_path) as (_, wrapper, _):
            for _ in range(4):
                try:
                    async with open_dlms(wrapper, GUESS, addresses=LinkAddresses(2)):
                        raise AssertionError("let in with a wrong password")
                except AssociationFailedError as error:
                    last = error.failure
            assert not last.permanent
            try:
                await is_read(wrapper)
            except AssociationFailedError:
                return True
            return False

    assert asyncio.run(main())


AARE = 0x61
AARQ_GUESS = bytes.fromhex(
    "6033A1090607608574050801018A0207808B0760857405080201AC0780056775657373BE10040E01000000065F1F0400001E1DFFFF"
)
"""AARQ with low-level security and the password "guess"."""


@pytest.mark.attack(6)
@pytest.mark.finding("dlms D12", "users A15")
@pytest.mark.parametrize("scheme", ["tcp", "hdlc+tcp"])
def test_each_logical_device_answers_at_its_own_address_and_no_other_address_answers(tmp_path, scheme):
    async def main(state):
        security = DeviceSecurity(METER_TITLE, KEYS, state)
        server = DlmsServer(lambda: TestMeter(2).device, security, clock=time.time, others=lambda: [second_device()])
        endpoint = Endpoint(scheme, "127.0.0.1", await server.listen(TRANSPORTS[scheme], "127.0.0.1", 0))
        serials = []
        try:
            for device in (1, 2):
                async with open_dlms(endpoint, PUBLIC, addresses=LinkAddresses(16, device)) as client:
                    serials.append((await client.get(get_of(1, SERIAL, 2))).octets)
            with pytest.raises(AssociationFailedError) as caught:
                async with open_dlms(endpoint, PUBLIC, addresses=LinkAddresses(16, 9)):
                    pass
        finally:
            server.close()
        return serials, caught.value.failure

    with StateFile(tmp_path / "meter.sqlite") as state:
        serials, failure = asyncio.run(main(state))
    assert serials == [b"00000001", b"second"]
    assert failure.kind in (FailureKind.TIMEOUT, FailureKind.NO_LINK)
    assert "logical device 9" in failure.detail or scheme == "hdlc+tcp"


@pytest.mark.finding("dlms D11")
def test_a_connection_with_a_client_that_proved_itself_is_kept_when_another_client_on_it_is_refused(tmp_path):
    async def main():
        limits = HostLimits(silence_s=1.0)
        async with bench(tmp_path, limits=limits) as (_, wrapper, _):
            reader, writer = await asyncio.open_connection(wrapper.host, wrapper.port)
            writer.write(AARQ_READER + AARQ_UNKNOWN)
            aare, refused = [await wpdu_of(reader) for _ in range(2)]
            await asyncio.sleep(2.5)
            writer.write(write_wpdu(WrapperPdu(2, 1, bytes.fromhex("C001C100080000010000FF0200"))))
            clock = await wpdu_of(reader)
            writer.close()
            return aare, refused, clock

    aare, refused, clock = asyncio.run(main())
    assert (aare.destination, read_acse(aare.apdu).result) == (2, AssociationResult.ACCEPTED)
    assert (refused.destination, read_acse(refused.apdu).result) == (77, AssociationResult.REJECTED_PERMANENT)
    assert (clock.destination, clock.apdu[:4]) == (2, bytes.fromhex("C401C100"))


async def wpdu_of(reader):
    header = await asyncio.wait_for(reader.readexactly(8), 5)
    return next(iter(read_datagram(header + await reader.readexactly(int.from_bytes(header[6:], "big")))))


@pytest.mark.finding("dlms D16")
def test_a_connection_whose_stream_is_broken_is_closed(tmp_path):
    async def main():
        async with bench(tmp_path) as (_, wrapper, _):
            reader, writer = await asyncio.open_connection(wrapper.host, wrapper.port)
            writer.write(b"GET / HTTP/1.1\r\n" + AARQ_PUBLIC)
            rest = await asyncio.wait_for(reader.read(), 5)
            writer.close()
            return rest

    assert asyncio.run(main()) == b""


@pytest.mark.finding("dlms D16")
def test_the_security_setup_shows_the_client_that_associated_last(tmp_path):
    with StateFile(tmp_path / "meter.sqlite") as state:
        security = DeviceSecurity(METER_TITLE, KEYS, state)
        assert security.client_title(0.0).octets == b""
        security.note_client(CLIENT_TITLE)
        assert security.client_title(0.0).octets == CLIENT_TITLE
