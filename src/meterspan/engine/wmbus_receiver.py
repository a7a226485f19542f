"""Reads wireless M-Bus telegrams of many meters: keys, learnt formats, fragments and layouts in one place.

The common telegram (any frame format, short header, mode 0 or 5, a device type seen before) takes a short
path: the fields of ``wire.wmbus.short``, one AES run, one ``struct``; every other telegram takes the layered path. Both
give the same ``Telegram``. The cost does not depend on the number of meters, for keys are found by address.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from meterspan.crypto.mbus_modes import cbc_decrypt, mode5_iv
from meterspan.engine.mbus_security import KEY_SIZE, open_frame, open_frame_insecurely
from meterspan.wire.cursor import Cursor, Trace
from meterspan.wire.errors import WireError
from meterspan.wire.mbus.address import DeviceAddress
from meterspan.wire.mbus.application import VERIFICATION
from meterspan.wire.mbus.layout import LayoutCache
from meterspan.wire.mbus.records import Records, read_records
from meterspan.wire.mbus.transport import Ci, SecurityMode, TransportHeader
from meterspan.wire.wmbus.compact import FormatStore, expand_compact, format_of, read_format_frame
from meterspan.wire.wmbus.frame import FrameFormat, strip_blocks
from meterspan.wire.wmbus.short import PAYLOAD_OFFSET, read_short, without_crcs
from meterspan.wire.wmbus.telegram import FragmentStore, WmbusFrame, read_frame

__all__ = ["Telegram", "WmbusReceiver"]

MODE_5 = int(SecurityMode.AES_CBC_IV)
COMPACT = frozenset({Ci.COMPACT_LONG, Ci.COMPACT_NONE, Ci.COMPACT_SHORT})
FORMAT = frozenset({Ci.FORMAT_NONE, Ci.FORMAT_SHORT, Ci.FORMAT_LONG})
RECORDS = frozenset({Ci.RESPONSE_LONG, Ci.RESPONSE_SHORT, Ci.RESPONSE_NONE})


@dataclass(frozen=True, slots=True)
class Telegram:
    """A telegram that was read whole.

    Attributes:
        address: of the meter.
        header: CI field and transport header; None where the telegram has no transport layer or is a fragment.
        payload: the application data in the clear; of a compact frame, those of the full frame.
        records: the data records, empty for other kinds of application data (see ``header.ci``).
        frame: all layers; None where the short path had no need of them.

    """

    address: DeviceAddress
    header: TransportHeader | None
    payload: bytes
    records: Records
    frame: WmbusFrame | None = None


class WmbusReceiver:
    """Opens and reads telegrams.

    Args:
        keys: AES-128 keys by identification number as transmitted (4 octets), or by the whole address (8 octets:
            manufacturer, id, version, medium) where two manufacturers' numbers meet.
        formats: compact-frame formats known so far; learnt ones are added.
        insecure: also opens modes 2 and 3 (DES), which protect nothing: for a person to look at, never to store.

    """

    def __init__(
        self, keys: Mapping[bytes, bytes], formats: FormatStore | None = None, *, insecure: bool = False
    ) -> None:
        self.keys = keys
        self._open = open_frame_insecurely if insecure else open_frame
        self.formats = FormatStore() if formats is None else formats
        self._layouts = LayoutCache()
        self._fragments = FragmentStore()

    def read(self, octets: bytes, *, trace: Trace | None = None, is_checked: bool = True) -> Telegram:
        """Read one telegram of any frame format.

        A damaged last record is no error here: see ``Telegram.records.error``. With ``is_checked`` False, a compact
        frame is read although the CRC of its full frame differs.

        Raises:
            WireError: the telegram cannot be read or opened.

        """
        if trace is None:
            telegram = self._read_short(without_crcs(octets))
            if telegram is not None:
                return telegram
        explained = 0 if trace is None else len(trace.spans)
        try:
            telegram = self._read_layered(octets, trace, is_checked=is_checked)
        except WireError:
            again = self._read_as_stripped(octets, trace, explained)
            if again is None:
                raise
            return again
        return (
            telegram if telegram.records.error is None else self._read_as_stripped(octets, trace, explained) or telegram
        )

    def _key(self, address: DeviceAddress) -> bytes | None:
        return self.keys.get(address.octets) or self.keys.get(address.id_octets)

    def _read_short(self, octets: bytes) -> Telegram | None:
        """Read the common telegram; None leaves the telegram, or its error, to the layered path."""
        frame = read_short(octets)
        if frame is None:
            return None
        address, id_octets, access_number, mode, size, payload, header, kind = frame
        if mode == MODE_5:
            key = self.keys.get(address) or self.keys.get(id_octets)
            if not size or key is None or len(key) != KEY_SIZE or size > len(payload):
                return None
            clear = cbc_decrypt(key, mode5_iv(address, access_number), payload[:size])
            if clear[:2] != VERIFICATION:
                return None
            payload = clear if size == len(payload) else clear + payload[size:]
        elif mode:
            return None
        layout = self._layouts.find(kind, payload)
        if layout is None:
            if self._layouts.learn(kind, payload) is not None:
                self.formats.learn(format_of(read_records(payload)))
            return None
        return Telegram(DeviceAddress(address), header, payload, layout.read(payload, PAYLOAD_OFFSET))

    def _read_as_stripped(self, octets: bytes, trace: Trace | None, explained: int) -> Telegram | None:
        """Read a frame without CRCs whose last octets are those of format B by chance; None otherwise."""
        try:
            if strip_blocks(octets)[0] != FrameFormat.B:
                return None
            telegram = self._read_layered(octets, None, form=FrameFormat.STRIPPED)
        except WireError:
            return None
        if telegram.records.error is not None:
            return None
        if trace is not None:
            del trace.spans[explained:]
            telegram = self._read_layered(octets, trace, form=FrameFormat.STRIPPED)
        return telegram

    def _read_layered(
        self, octets: bytes, trace: Trace | None, *, form: FrameFormat | None = None, is_checked: bool = True
    ) -> Telegram:
        frame = read_frame(octets, trace=trace, form=form)
        key = self._key(frame.address) or self._key(frame.link.address)
        whole = self._fragments.add(self._open(frame, key, trace=trace) if frame.sealed is not None else frame)
        if whole is None:
            return Telegram(frame.address, None, b"", Records(), frame)
        frame = self._open(whole, self._key(whole.address) or key, trace=trace)
        if frame.ci in FORMAT:
            self.formats.learn(read_format_frame(frame.payload, offset=frame.offset))
        payload, offset = frame.payload, frame.offset
        if frame.ci in COMPACT:
            payload, offset = expand_compact(payload, self.formats, offset=offset, is_checked=is_checked), 0
        elif frame.ci not in RECORDS:
            return Telegram(frame.address, frame.transport, payload, Records(), frame)
        records = read_records(Cursor(payload, base=offset, trace=trace))
        if frame.ci in RECORDS and records.error is None and records.records:
            self.formats.learn(format_of(records))
        return Telegram(frame.address, frame.transport, payload, records, frame)
