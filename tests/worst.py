"""The worst that each grammar allows, to any length, and what reading it costs, counted in calls and in memory.

Calls are those of Python functions and of built-in ones: a count that no machine changes. One takes 0.1 to 0.2 us.
"""

import cProfile
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from meterspan.wire.checksum import crc_16_x25
from meterspan.wire.hdlc import FrameKind, HdlcAddress, HdlcFrame, write_frame
from meterspan.wire.hdlc.frame import control_octet
from meterspan.wire.mbus.link import LinkFrame, write_link_frame
from meterspan.wire.sml.transport import ESCAPE, START
from meterspan.wire.wrapper import WrapperPdu, write_wpdu
from tests.wire.test_cost import APDUS, FLAT, VALUES

MIB = 1 << 20
CALLS_MAX = 2_000_000
"""0.2 s on the machine on which this was measured."""
CALLS_PER_OCTET = 150
"""An octet may make four values, of 35 calls each from the tag to the reading; a frame of eight octets takes fewer."""
MEMORY_MAX = 32 * MIB


@dataclass(slots=True)
class Cost:
    """What a call has cost: calls of this thread, and the most octets held, 0 where they are not counted."""

    calls: int = 0
    octets: int = 0


@contextmanager
def counted(*, counts_memory: bool = True) -> Iterator[Cost]:
    """Count what runs within, in this thread; the cost is there at the end."""
    profile, cost = cProfile.Profile(subcalls=False), Cost()
    if counts_memory:
        tracemalloc.start()
    try:
        profile.enable()
        yield cost
        profile.disable()
        cost.octets = tracemalloc.get_traced_memory()[1] if counts_memory else 0
    finally:
        profile.disable()
        tracemalloc.stop()
    cost.calls = sum(entry.callcount for entry in profile.getstats())


def cost_of(run: Callable[[], object], *errors: type[Exception], counts_memory: bool = True) -> Cost:
    """Run once; ``errors`` are what it may raise."""
    with counted(counts_memory=counts_memory) as cost, suppress(*errors):
        run()
    return cost


def filled(unit: bytes) -> Callable[[int], bytes]:
    """Return what builds octets of one unit again and again."""
    return lambda size: (unit * (size // len(unit) + 1))[:size]


def bulk(head: bytes, unit: bytes, tail: bytes = b"") -> Callable[[int], bytes]:
    """Return what builds octets of a head, one unit again and again, and a tail."""
    return lambda size: head + unit * ((size - len(head) - len(tail)) // len(unit)) + tail


def _header(size: int) -> bytes:
    head = bytes((0xA0 | size >> 8, size & 0xFF)) + b"\x03\x03\x10"
    return b"\x7e" + head + crc_16_x25(head).to_bytes(2, "little")


def _hdlc(kind: FrameKind, information: bytes = b"") -> bytes:
    return write_frame(HdlcFrame(HdlcAddress(1), HdlcAddress(1), control_octet(kind), information))


_P1 = b"/AAA5a\r\n\r\n"
_PUSH = bytes.fromhex("0f000000010002020906010001080 0ff0600000001".replace(" ", ""))

WORST: dict[str, Callable[[int], bytes]] = {
    **{f"A-XDR: {name}": build for name, build in VALUES.items()},
    **{f"xDLMS: {name}": bulk(head + b"\x01\x83\x0f\xff\xff", b"\x00") for name, head in APDUS.items()},
    **{name: build for name, (_, build) in FLAT.items()},
    "A-XDR: a profile of many rows of one value": bulk(b"\x01\x83\x03\x00\x00", b"\x02\x01\x00"),
    "xDLMS: a list of many attributes": bulk(b"\xc0\x03\xc1\x82\x60\x00", bytes.fromhex("00010000600100ff0200")),
    "HDLC: flags": filled(b"\x7e"),
    "HDLC: beginnings of frames": filled(b"\x7e\xa0"),
    "HDLC: whole beginnings of frames": filled(b"\x7e\xa0\x13\x03\x03\x10"),
    "HDLC: right headers of frames that are not there": filled(_header(20)),
    "HDLC: right headers of the longest frame": filled(_header(2_047)),
    "HDLC: the smallest frames": filled(_hdlc(FrameKind.RECEIVE_READY)),
    "HDLC: the smallest frames that share their flags": filled(_hdlc(FrameKind.RECEIVE_READY)[:-1]),
    "HDLC: frames of one octet": filled(_hdlc(FrameKind.UNNUMBERED_INFORMATION, b"\x00")),
    "wrapper: PDUs of one octet": filled(write_wpdu(WrapperPdu(1, 1, b"\x00"))),
    "wrapper: small pushes": filled(write_wpdu(WrapperPdu(1, 1, _PUSH))),
    "M-Bus: single characters": filled(b"\xe5"),
    "M-Bus: short frames": filled(write_link_frame(LinkFrame(0x7B, 1))),
    "M-Bus: starts of short frames": filled(b"\x10"),
    "M-Bus: starts of long frames": filled(b"\x68"),
    "M-Bus: heads of the longest frame": filled(b"\x68\xff\xff\x68" + bytes(20)),
    "M-Bus: long frames without data": filled(write_link_frame(LinkFrame(0x08, 1, b"\x72"))),
    "P1: beginnings": filled(b"/"),
    "P1: beginnings of telegrams": filled(b"\n/"),
    "P1: the smallest telegrams": filled(_P1 + b"!\r\n"),
    "P1: ends without a telegram": filled(b"/\n!\n"),
    "P1: lines without a code": filled(_P1 + b"a\n" * 1_000 + b"!\r\n"),
    "P1: more lines than there are": filled(_P1 + b"a\n" * 8_000 + b"!\r\n"),
    "P1: continued lines": filled(_P1 + b"0-0:1.0.0(1)\r\n" + b"()\n" * 1_000 + b"!\r\n"),
    "P1: many values in a line": filled(_P1 + b"0-0:1.0.0" + b"(1)" * 5_000 + b"\r\n!\r\n"),
    "P1: many parentheses": filled(_P1 + b"0-0:1.0.0" + b"(" * 15_000 + b"\r\n!\r\n"),
    "SML: frames within frames": bulk(START, ESCAPE + START),
    "SML: escapes": bulk(START, ESCAPE * 2),
    "SML: empty frames": filled(START + ESCAPE + b"\x1a\x00\x00\x00"),
    "zeros": bytes,
    "ones": filled(b"\xff"),
    "digits": filled(b"0"),
    "spaces between digits": filled(b"0 "),
}
