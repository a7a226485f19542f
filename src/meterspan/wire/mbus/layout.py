"""Telegrams of one device type share one layout: walk their record headers once, then read values by position.

A ``Layout`` is compiled from the records of one plaintext. Another plaintext whose octets under the mask equal the
template has the same headers, LVAR octets and fillers at the same places, so one ``struct`` unpacking yields all
values without a walk: the same records as ``read_records`` gives, which a test holds for any octets.
"""

import struct
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from meterspan.wire.mbus.records import DataRecord, RecordHeader, Records, read_records
from meterspan.wire.mbus.values import LVAR, Value, parse_value
from meterspan.wire.mbus.vif import ValueKind

__all__ = ["Layout", "LayoutCache", "compile_layout"]

MAX_LAYOUTS = 1_024
"""Layouts kept: device types times their telegram kinds; the one learnt first goes."""
DATA = 0x00
FIXED = 0xFF
_INTEGERS = {1: "b", 2: "h", 4: "i", 7: "q"}
"""Data fields that ``struct`` reads itself, by code; the rest comes as octets and is parsed."""

Parse = Callable[[bytes], Value]


class Slot(NamedTuple):
    """Where one record's value is, and how it is read.

    Attributes:
        octets: the header octets.
        header: their meaning.
        offset: of the record in the plaintext.
        start: of the data.
        stop: one past the data.
        parse: reads the data octets; None where ``struct`` gives the value.

    """

    octets: bytes
    header: RecordHeader
    offset: int
    start: int
    stop: int
    parse: Parse | None


@dataclass(frozen=True, slots=True)
class Layout:
    """The compiled shape of a plaintext.

    Attributes:
        size: octets of the plaintext.
        mask: FF where the octet belongs to a header, LVAR or filler; as a big integer.
        template: those octets, the others zero; as a big integer.
        unpack: gives one integer or one run of octets per record.
        slots: one per record.
        fillers: as in ``Records``.

    """

    size: int
    mask: int
    template: int
    unpack: struct.Struct
    slots: tuple[Slot, ...]
    fillers: tuple[int, ...]

    def fits(self, octets: bytes) -> bool:
        """Whether the plaintext has this shape."""
        return len(octets) == self.size and int.from_bytes(octets, "big") & self.mask == self.template

    def values(self, octets: bytes) -> list[Value]:
        """Return the raw values of a plaintext that fits, in record order."""
        return [
            raw if slot.parse is None else slot.parse(raw)
            for slot, raw in zip(self.slots, self.unpack.unpack(octets), strict=True)
        ]

    def read(self, octets: bytes, base: int = 0) -> Records:
        """Return the records of a plaintext that fits; ``base`` is added to their offsets."""
        records = [
            DataRecord(head, octets[start:stop], raw if parse is None else parse(raw), header, base + offset)
            for (head, header, offset, start, stop, parse), raw in zip(
                self.slots, self.unpack.unpack(octets), strict=True
            )
        ]
        return Records(tuple(records), fillers=self.fillers)


class LayoutCache:
    """Layouts by a caller's key (device type and length): one object per collector, bounded."""

    def __init__(self) -> None:
        self._layouts: OrderedDict[bytes, Layout] = OrderedDict()

    def __len__(self) -> int:
        """Count the layouts."""
        return len(self._layouts)

    def find(self, kind: bytes, octets: bytes) -> Layout | None:
        """Return the layout kept for this kind of telegram if the plaintext has it."""
        layout = self._layouts.get(kind)
        return layout if layout is not None and layout.fits(octets) else None

    def learn(self, kind: bytes, octets: bytes) -> Layout | None:
        """Compile and keep the layout of a plaintext; None where it has no fixed shape."""
        layout = compile_layout(octets)
        if layout is not None:
            self._layouts[kind] = layout
            self._layouts.move_to_end(kind)
            if len(self._layouts) > MAX_LAYOUTS:
                self._layouts.popitem(last=False)
        return layout


def compile_layout(octets: bytes) -> Layout | None:
    """Compile the shape of a plaintext; None where it does not consist of whole records and fillers alone."""
    records = read_records(octets)
    if records.error is not None or records.manufacturer_data is not None:
        return None
    mask, form, slots, at = bytearray(bytes((FIXED,)) * len(octets)), ["<"], [], 0
    for record in records.records:
        start = record.offset + len(record.octets)
        if record.header.data_field == LVAR:
            start += 1
        stop = record.offset + len(record.octets) + len(record.data)
        mask[start:stop] = bytes((DATA,)) * (stop - start)
        data_start = record.offset + len(record.octets)
        code, parse = _field(record)
        form.append(f"{data_start - at}x{code}")
        slots.append(Slot(record.octets, record.header, record.offset, data_start, stop, parse))
        at = stop
    form.append(f"{len(octets) - at}x")
    mask_number = int.from_bytes(mask, "big")
    template = int.from_bytes(octets, "big") & mask_number
    return Layout(len(octets), mask_number, template, struct.Struct("".join(form)), tuple(slots), records.fillers)


def _field(record: DataRecord) -> tuple[str, Parse | None]:
    """Return the ``struct`` code of a record's data and what is left to do with it."""
    header = record.header
    code = _INTEGERS.get(header.data_field)
    if code is not None and header.meaning.kind == ValueKind.NUMBER:
        return code, None
    if code is not None and header.meaning.kind in (ValueKind.UNSIGNED, ValueKind.BITS):
        return code.upper(), None
    return f"{len(record.data)}s", _parser(header.data_field, header.meaning.kind)


def _parser(data_field: int, kind: ValueKind) -> Parse:
    return lambda data: parse_value(data_field, kind, data)
