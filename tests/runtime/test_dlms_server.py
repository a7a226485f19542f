"""The ports of a device under peers without keys: they keep nobody out, prolong nothing and fill no log."""

import asyncio
import socket

import pytest

from meterspan.engine.association.records import AssociationSettings
from meterspan.engine.links import LinkAddresses
from meterspan.runtime.dlms_client import AssociationFailedError, open_dlms
from meterspan.runtime.dlms_server import HostLimits
from meterspan.wire.acse import AuthenticationMechanism
from meterspan.wire.wrapper import WrapperPdu, write_wpdu
from tests.runtime.test_dlms_client import LLS, TOTAL, bench, get_of

GUESS = AssociationSettings(AuthenticationMechanism.LLS, b"guess", response_timeout_s=5)
AARQ_PUBLIC = write_wpdu(
    WrapperPdu(16, 1, bytes.fromhex("601DA109060760857405080101BE10040E01000000065F1F0400001E1DFFFF"))
)
GET_CLOCK = write_wpdu(WrapperPdu(16, 1, bytes.fromhex("C001C100080000010000FF0200")))
JUNK = write_wpdu(WrapperPdu(2, 1, bytes.fromhex("C001C100030100010800FF0200")))


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
