"""Floods: what genuine traffic loses while others send what proves nothing; counted, beside the CPU that it costs.

``pushes``: meters push to a head end over TCP and wait for the confirmation; others push what no key opens. ``radio``:
meters send to an access point over UDP; others send under the meters' addresses. The senders are a process of their
own, which makes everything before it begins, and says at the end what it sent.
"""

import asyncio
import json
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import aclosing, suppress
from pathlib import Path

import uvloop

from bench.meters import keys_of, title_of
from bench.table import ROOT, Line
from meterspan.app.home_host import UNPROVED_TELEGRAMS_PER_S
from meterspan.crypto.mechanisms import Security
from meterspan.engine.links import DeviceProtocol
from meterspan.engine.mbus_security import Protection, build_telegram
from meterspan.engine.push_rows import PushedProfile, PushedRegister, utc_row, write_profiles
from meterspan.engine.security import SecurityContext, SecurityKeys
from meterspan.head_end.contexts import ContextCache
from meterspan.head_end.inventory import ChannelPlan, Device, KeyCustody, KeyPurpose
from meterspan.head_end.push_intake import PushIntake
from meterspan.head_end.sessions import SessionMaker
from meterspan.head_end.system import HeadEnd
from meterspan.lnap.access_point import AccessPoint, AccessPointConfig
from meterspan.lnap.channel import LocalMeter
from meterspan.mdm import MeterDataManagement
from meterspan.meter.electricity import EXPORT, IMPORT
from meterspan.model.cosem.classes import Register
from meterspan.model.cosem.scaler_unit import ScalerUnit
from meterspan.model.readings import CaptureBlock, Source
from meterspan.quantities import UNITS, Commodity, Obis, Scaled
from meterspan.quantities.codes import LOAD_PROFILE
from meterspan.runtime.endpoints import Endpoint
from meterspan.runtime.head_end_host import HeadEndHost, HeadEndHostConfig
from meterspan.runtime.radio import radio_telegrams
from meterspan.runtime.state import StateFile
from meterspan.wire.mbus.address import DeviceAddress
from meterspan.wire.mbus.transport import HeaderKind, SecurityMode, TransportHeader
from meterspan.wire.wmbus import LinkHeader
from meterspan.wire.wrapper import WrapperPdu, WrapperReader, write_wpdu
from meterspan.wire.xdlms import DataNotification, LongInvokeIdAndPriority, write_apdu

HEAD_END = b"HES\0\0\0\0\1"
METERS = 200
"""Meters that push; each has a connection."""
RADIO_METERS = 10
RADIO_KEY = bytes(range(16))
FORGED_KEPT = 2_000
TURN_S = 0.01
AFTER_S = 10.0
"""Time for the last confirmations."""


class Counters:
    """Counters of a sender, in memory."""

    def __init__(self):
        self.next = 1

    def reserve(self, _name, count):
        first, self.next = self.next, self.next + count
        return first

    def accept(self, _name, _value):
        return True

    def accepted(self, _name):
        return 0

    def load(self, _name):
        return None

    def save(self, _name, _octets):
        pass


# The senders.


def pushes_of(number, count, keys):
    """Return the notifications of one meter, each with the row of another quarter hour."""
    context = SecurityContext(title_of(number), keys, counters=Counters(), peer_title=HEAD_END)
    registers = tuple(PushedRegister(Register.class_id, obis, ScalerUnit(0, UNITS["Wh"])) for obis in (IMPORT, EXPORT))
    last = int(time.time()) // 900 * 900
    found = []
    for index in range(count):
        row = utc_row(last - 900 * (count - index), 0, [1_000 + index, index])
        body = write_profiles([PushedProfile(LOAD_PROFILE, registers, (row,))])
        plain = write_apdu(DataNotification(LongInvokeIdAndPriority(index % 1_000, confirmed=True), body))
        found.append(write_wpdu(WrapperPdu(1, 1, context.protect(plain, general=True))))
    return found


async def send_pushes(task):
    each = task["genuine_per_s"] * task["seconds"] // METERS
    genuine = [pushes_of(number, each, keys_of(number)) for number in range(METERS)]
    forged = [push for number in range(METERS) for push in pushes_of(number, 10, SecurityKeys(b"f" * 16, b"g" * 16))]
    confirmed, sent = 0, 0

    async def count(reader):
        nonlocal confirmed
        cutter = WrapperReader()
        with suppress(ConnectionError):
            while octets := await reader.read(1 << 16):
                confirmed += len(cutter.feed(octets))

    async def meter(pushes, number):
        reader, writer = await asyncio.open_connection("127.0.0.1", task["port"], local_addr=(f"127.2.0.{number}", 0))
        counting = asyncio.create_task(count(reader))
        await asyncio.sleep(number / METERS * task["seconds"] / each)
        for push in pushes:
            writer.write(push)
            await asyncio.sleep(task["seconds"] / each)
        with suppress(TimeoutError):
            async with asyncio.timeout(AFTER_S):
                while confirmed < each * METERS:  # noqa: ASYNC110 - counted by the tasks of all meters
                    await asyncio.sleep(0.1)
        writer.close()
        counting.cancel()

    async def flood():
        nonlocal sent
        writer, began = None, time.monotonic()
        while (passed := time.monotonic() - began) < task["seconds"]:
            due = int(passed * task["forged_per_s"])
            while sent < due:
                if writer is None or writer.is_closing():
                    with suppress(OSError):
                        _, writer = await asyncio.open_connection("127.0.0.1", task["port"])
                with suppress(OSError):
                    writer.write(forged[sent % len(forged)])
                sent += 1
            await asyncio.sleep(TURN_S)

    await asyncio.gather(flood(), *(meter(pushes, number) for number, pushes in enumerate(genuine)))
    return {"genuine": each * METERS, "forged": sent, "confirmed": confirmed}


def address_of(number):
    return DeviceAddress.of("MSP", f"{number:08d}", 1, 7)


def telegram(number, index, key, mode):
    header = TransportHeader(0x7A, HeaderKind.SHORT, None, index % 256)
    body = bytes.fromhex("0413") + (1_000 + index).to_bytes(4, "little")
    return build_telegram(
        LinkHeader(0x44, address_of(number)), header, body, Protection(SecurityMode(mode), key, index)
    )


def send_radio(task):
    """Send in turns of ``TURN_S``: the forged telegrams that are due, and a genuine one where one is."""
    count, seconds = task["genuine_per_s"] * task["seconds"], task["seconds"]
    genuine = [
        telegram(index % RADIO_METERS, 1 + index // RADIO_METERS, RADIO_KEY, task["mode"]) for index in range(count)
    ]
    forged = [
        telegram(index % RADIO_METERS, 1 + index, b"forged" * 2 + b"keys", task["mode"]) for index in range(FORGED_KEPT)
    ]
    place, sent, passed, began = ("127.0.0.1", task["port"]), [0, 0], 0.0, time.monotonic()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        while passed < seconds:
            for kind, (telegrams, per_s) in enumerate(
                ((forged, task["forged_per_s"]), (genuine, task["genuine_per_s"]))
            ):
                while sent[kind] < min(int(passed * per_s), per_s * seconds):
                    line.sendto(telegrams[sent[kind] % len(telegrams)], place)
                    sent[kind] += 1
            time.sleep(TURN_S / 10)
            passed = time.monotonic() - began
    return {"genuine": sent[1], "forged": sent[0]}


# The receivers.


async def sending(**task):
    """Run the senders as a process; return what they say."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.floods", json.dumps(task), stdout=subprocess.PIPE, cwd=ROOT
    )
    said, _ = await process.communicate()
    return json.loads(said)


def devices(custody):
    for number in range(METERS):
        keys, name = keys_of(number), f"MSP1{number:010d}"
        yield Device(
            name,
            Commodity.ELECTRICITY,
            DeviceProtocol.DLMS_WRAPPER,
            "127.0.0.1:9",
            "cell",
            security=Security.HLS_GMAC,
            client_sap=1,
            system_title=title_of(number),
            channels=tuple(ChannelPlan(obis, profile=LOAD_PROFILE) for obis in (IMPORT, EXPORT)),
            wrapped_keys=tuple(
                (purpose, custody.wrap(key, name, purpose))
                for purpose, key in (
                    (KeyPurpose.GLOBAL_UNICAST, keys.unicast),
                    (KeyPurpose.AUTHENTICATION, keys.authentication),
                )
            ),
        )


def first_row_of(device):
    """Return a row of long ago: with it, the store knows the series of a meter."""
    values = {obis: Scaled(1, 0, UNITS["Wh"]) for obis in (IMPORT, EXPORT)}
    return CaptureBlock.of_row(device, Source.PUSH, time=900, values=values, received_at=900)


def pushes(*, genuine_per_s=1_000, forged_per_s=5_000, seconds=5):
    """Return what was sent and confirmed, and the CPU of the head end in seconds."""
    with tempfile.TemporaryDirectory(prefix="meterspan-bench-") as name:
        folder = Path(name)
        with MeterDataManagement(folder / "data") as data, StateFile(folder / "state.sqlite") as state:
            custody = KeyCustody(bytes(32))
            head_end = HeadEnd(data, custody)
            for device in devices(custody):
                head_end.add_device(device, time.time() + 1e6)  # none is read: only pushes count here
            data.take([first_row_of(device.device) for device in head_end.inventory])
            contexts = ContextCache(head_end, system_title=HEAD_END, counters=state)
            host = HeadEndHost(
                head_end,
                SessionMaker(head_end, contexts=contexts, entropy=bytes),
                pushes=PushIntake(head_end, contexts=contexts),
                config=HeadEndHostConfig(sessions_max=1, push_places=(Endpoint("tcp", "127.0.0.1", 0),)),
            )

            async def run():
                running = asyncio.create_task(host.run())
                await host.listening.wait()
                began = time.process_time()
                rates = {"genuine_per_s": genuine_per_s, "forged_per_s": forged_per_s, "seconds": seconds}
                said = await sending(kind="pushes", port=host.push_places[0].port, **rates)
                said["cpu_s"] = time.process_time() - began
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
                return said

            return uvloop.run(run())


def radio(*, genuine_per_s=10, forged_per_s=10_000, seconds=5, mode=SecurityMode.AES_CBC_IV):
    """Return what was sent and heard, and the CPU of the access point in seconds."""
    state = Counters()
    volume = Obis(8, 0, 1, 0, 0)
    meters = tuple(
        LocalMeter(f"MSP-{number:08d}-07", Commodity.WATER, "home", (volume,), RADIO_KEY)
        for number in range(RADIO_METERS)
    )
    point = AccessPoint(
        AccessPointConfig("POINT", HEAD_END, meters=meters), counters=state, state=state, outbox=Outbox()
    )

    async def run():
        port, heard = asyncio.get_running_loop().create_future(), 0

        async def listen():
            nonlocal heard
            hearing = radio_telegrams(
                Endpoint("udp", "127.0.0.1", 0),
                time.time,
                on_ready=port.set_result,
                precedence=point.precedence,
                unproved_per_s=UNPROVED_TELEGRAMS_PER_S,
            )
            async with aclosing(hearing) as telegrams:
                async for octets, peer, now in telegrams:
                    heard += point.hear_radio(octets, now, peer) is not None

        listening = asyncio.create_task(listen())
        rates = {"genuine_per_s": genuine_per_s, "forged_per_s": forged_per_s, "seconds": seconds}
        begun = time.process_time()
        said = await sending(kind="radio", port=await port, mode=int(mode), **rates)
        await asyncio.sleep(0.5)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        return said | {"heard": heard, "cpu_s": time.process_time() - begun}

    return uvloop.run(run())


class Outbox:
    """An outbox that keeps nothing."""

    def append(self, _octets):
        return 1

    def peek(self, _count):
        return ()

    def discard(self, _through):
        pass


def measure():
    pushed = pushes()
    lines = [_line("pushes in a flood of 5,000 forged/s", pushed, pushed["confirmed"], 5)]
    for mode in (SecurityMode.AES_CBC_IV, SecurityMode.AES_CBC_DYNAMIC):
        said = radio(mode=mode)
        lines.append(_line(f"radio telegrams, mode {int(mode)}, in a flood of 10,000/s", said, said["heard"], 5))
    return lines


def _line(what, said, taken, seconds):
    lost = said["genuine"] - taken
    note = (
        f"{lost} of {said['genuine']:,} lost; {said['forged']:,} forged; {said['cpu_s'] / seconds:.2f} s CPU a second"
    )
    return Line(what, taken / seconds, "genuine/s", note=note)


if __name__ == "__main__":
    TASK = json.loads(sys.argv[1])
    SAID = asyncio.run(send_pushes(TASK)) if TASK["kind"] == "pushes" else send_radio(TASK)
    print(json.dumps(SAID))
