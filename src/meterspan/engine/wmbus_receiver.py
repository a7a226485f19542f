"""Reads wireless M-Bus telegrams of many meters: keys, learnt formats, fragments and layouts in one place.

The common telegram (any frame format, short header, mode 0 or 5, a device type seen before) takes a short
path: the fields of ``wire.wmbus.short``, one AES run, one ``struct``; every other telegram takes the layered path. Both
give the same ``Telegram``. The cost does not depend on the number of meters, for keys are found by address.

``WmbusReceiver`` gives, and learns from, telegrams alone that have the protection their meter requires.
``InsecureWmbusReceiver`` reads what it can, for a person to look at.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from meterspan.crypto.mbus_modes import cbc_decrypt, mode5_iv
from meterspan.engine.mbus_security import KEY_SIZE, open_frame, open_frame_insecurely, open_link
from meterspan.model.radio_protection import RadioProtection
from meterspan.wire.cursor import Cursor, Trace
from meterspan.wire.errors import WireError
from meterspan.wire.mbus.address import DeviceAddress
from meterspan.wire.mbus.application import VERIFICATION
from meterspan.wire.mbus.layout import LayoutCache
from meterspan.wire.mbus.records import Records, read_records
from meterspan.wire.mbus.transport import Ci, SecurityMode, TransportHeader
from meterspan.wire.wmbus.compact import FormatStore, expand_compact, format_of, read_format_frame
from meterspan.wire.wmbus.frame import FrameFormat, strip_blocks
from meterspan.wire.wmbus.short import PAYLOAD_OFFSET, ShortFrame, read_short, without_crcs
from meterspan.wire.wmbus.telegram import FragmentStore, WmbusFrame, read_frame

__all__ = ["InsecureWmbusReceiver", "Telegram", "WmbusReceiver"]

BLOCK_SIZE = 16
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
    """Opens and reads telegrams, and refuses those with less protection than their meter requires.

    Args:
        keys: AES-128 keys by identification number as transmitted (4 octets), or by the whole address (8 octets:
            manufacturer, id, version, medium) where two manufacturers' numbers meet.
        formats: compact-frame formats known so far; learnt ones are added.
        required: the protection of meters by the same addresses; ENCRYPTED for all others.

    """

    _is_lenient = False
    """Whether octets in the clear behind the encrypted ones are read."""

    def __init__(
        self,
        keys: Mapping[bytes, bytes],
        formats: FormatStore | None = None,
        *,
        required: Mapping[bytes, RadioProtection] | None = None,
    ) -> None:
        self.keys = keys
        self.required = {} if required is None else required
        self.formats = FormatStore() if formats is None else formats
        self._layouts = LayoutCache()
        self._fragments = FragmentStore()

    def read(self, octets: bytes, *, trace: Trace | None = None, is_checked: bool = True) -> Telegram:
        """Read one telegram of any frame format.

        A damaged last record is no error here: see ``Telegram.records.error``. With ``is_checked`` False, a compact
        frame is read although the CRC of its full frame differs.

        Raises:
            SecurityError: the telegram has less protection than its meter requires.
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

    def is_genuine(self, octets: bytes) -> bool:
        """Return whether a meter's key opens a telegram, at little cost and without learning anything from it.

        Of 65,536 telegrams in mode 5 that are made up, one passes. A fragment proves nothing by itself.
        """
        address = octets[2:10]
        key = self.keys.get(address) or self.keys.get(address[2:6])
        if key is None:
            return False
        try:
            frame = read_short(without_crcs(octets))
            if frame is not None and frame[3] == MODE_5 and len(key) == KEY_SIZE:
                return self._opens_short(frame, key)
            return self._opens_layered(octets)
        except WireError:
            return False

    def _opens_short(self, frame: ShortFrame, key: bytes) -> bool:
        address, id_octets, access_number, _, size, payload, _, _ = frame
        if not 0 < size <= len(payload) or self._required(address, id_octets) is RadioProtection.AUTHENTICATED:
            return False
        first = cbc_decrypt(key, mode5_iv(address, access_number), payload[:BLOCK_SIZE])
        return first[: len(VERIFICATION)] == VERIFICATION

    def _opens_layered(self, octets: bytes) -> bool:
        frame = read_frame(octets)
        link_key = None if frame.sealed is None else self._key(frame.link.address)
        part = open_link(frame, link_key)
        is_fragment = part.afl is not None and (part.afl.more_fragments or part.afl.fragment > 1)
        if is_fragment or self._key(part.address) is None:
            return False
        self._open(part, link_key)
        return True

    def _key(self, address: DeviceAddress) -> bytes | None:
        return self.keys.get(address.octets) or self.keys.get(address.id_octets)

    def _required(self, address: bytes, id_octets: bytes) -> RadioProtection:
        known = self.required.get(address) or self.required.get(id_octets)
        return RadioProtection.ENCRYPTED if known is None else known

    def _may_be_plain(self, address: bytes, id_octets: bytes) -> bool:
        is_plain = self._required(address, id_octets) is RadioProtection.INSECURE_PLAIN
        return is_plain and address not in self.keys and id_octets not in self.keys

    def _open(self, frame: WmbusFrame, link_key: bytes | None) -> WmbusFrame:
        """Open a whole telegram as its meter requires; ``link_key`` opened its extended link layer, if any did."""
        address = frame.address
        key, required = self._key(address), self._required(address.octets, address.id_octets)
        return open_frame(frame, key, required=required, is_link_opened=link_key is not None and link_key == key)

    def _read_short(self, octets: bytes) -> Telegram | None:
        """Read the common telegram; None leaves the telegram, or its error, to the layered path."""
        frame = read_short(octets)
        if frame is None:
            return None
        address, id_octets, access_number, mode, size, payload, header, kind = frame
        if mode == MODE_5:
            if self.required and self._required(address, id_octets) is RadioProtection.AUTHENTICATED:
                return None
            key = self.keys.get(address) or self.keys.get(id_octets)
            if not size or key is None or len(key) != KEY_SIZE or size > len(payload):
                return None
            clear = cbc_decrypt(key, mode5_iv(address, access_number), payload[:size])
            if clear[:2] != VERIFICATION:
                return None
            payload = clear if size == len(payload) or not self._is_lenient else clear + payload[size:]
        elif mode or not self._may_be_plain(address, id_octets):
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
        link_key = None if frame.sealed is None else self._key(frame.link.address)
        part = open_link(frame, link_key, trace=trace)
        whole = self._fragments.add(part)
        if whole is None:
            return Telegram(frame.address, None, b"", Records(), frame)
        frame = self._open(whole, link_key if whole is part else None)
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


class InsecureWmbusReceiver(WmbusReceiver):
    """Opens what it can and reads what nothing protects: for a person to look at, never to store.

    Args:
        keys: see ``WmbusReceiver``.
        formats: see ``WmbusReceiver``.
        has_des: also opens modes 2 and 3 (DES).

    """

    _is_lenient = True

    def __init__(
        self, keys: Mapping[bytes, bytes], formats: FormatStore | None = None, *, has_des: bool = False
    ) -> None:
        super().__init__(keys, formats)
        self._has_des = has_des

    def _may_be_plain(self, address: bytes, id_octets: bytes) -> bool:  # noqa: ARG002 - one signature for both
        return True

    def _open(self, frame: WmbusFrame, link_key: bytes | None) -> WmbusFrame:
        return open_frame_insecurely(frame, self._key(frame.address) or link_key, has_des=self._has_des)
