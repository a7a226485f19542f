"""DLMS pushes as decoded readings, from any carrier: HDLC, the wrapper, M-Bus segments, block transfer.

Strategy: every transport yields APDUs; an APDU is opened (deciphered, put together from blocks) until it is a
notification, a response with data, bare COSEM data, or a P1 telegram under DLMS protection; its data become readings.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from meterspan.model.telegram import DecodedReading, DecodedTelegram, DeviceIdentity
from meterspan.quantities import ClockTime, Obis
from meterspan.quantities.codes import CLOCK
from meterspan.readings.explained import NEW_SECTION, Pieces
from meterspan.readings.job import DecodeJob
from meterspan.readings.lenient import read_push_data
from meterspan.readings.merge import MAX_ERRORS, merge
from meterspan.readings.p1_decode import decode_p1
from meterspan.readings.protection import open_general_insecurely
from meterspan.readings.push import readings_of_body
from meterspan.wire import Cursor, SecurityError, Trace, TruncatedError, UnknownLayoutError, UnsupportedError, WireError
from meterspan.wire.acse import ACSE_TAGS, acse_name, read_acse
from meterspan.wire.axdr import Data, octet_string, read_clock_time, read_octets, structure
from meterspan.wire.damaged import Damaged
from meterspan.wire.hdlc import LLC_SIZE, HdlcFrame, HdlcReader, has_llc, read_frame, without_llc
from meterspan.wire.hdlc.frame import FLAG
from meterspan.wire.xdlms import (
    EventNotificationRequest,
    GeneralBlockTransfer,
    GeneralCipheredApdu,
    apdu_name,
    read_apdu,
)
from meterspan.wire.xdlms.common import read_long_invoke_id

__all__ = ["decode_apdus", "decode_cosem", "decode_hdlc", "decode_wrapper"]

MAX_APDU = 65_536
"""Octets of a reassembled APDU; the largest max-pdu-size is 65,535."""
MAX_FRAMES = 4_096
"""Frames of one input, and likewise PDUs: a day of pushes at a minute's pace is 1,440; a larger capture is split."""
MAX_DAMAGE = 1 << 16
"""Octets of one input that belong to no whole frame: each is searched twice for a frame that can still be read."""
MAX_WRAPPING = 4  # block transfer within protection within block transfer; deeper is an attack
_FLAG = bytes([FLAG])
_PART = 4_096
_SHOWN_ITEMS = 16
_MIN_HDLC = 10
_MAX_ADDRESS = 4
_NOTIFICATION, _GENERAL_GLO, _GENERAL_DED = 0x0F, 0xDB, 0xDC
_GBT = b"\xe0"
_IDENTIFICATIONS = {(96, 1), (0, 0), (42, 0)}


def decode_hdlc(octets: bytes, job: DecodeJob) -> DecodedTelegram:
    """Decode HDLC frames: segments are joined; frames with a wrong check are named, and read as far as they go."""
    if _FLAG not in octets[:1] + octets[-1:]:  # passed on without its flags
        octets = _FLAG + octets + _FLAG
    items = _hdlc_items(octets)
    pieces = Pieces()
    if job.trace is not None:
        _explain_frames(octets, job.trace, pieces)
    apdus: list[bytes] = []
    errors: list[WireError] = []
    pending = b""
    for information, is_segment, error in _frames(items):
        errors += [error] if error else []
        pending += information
        if len(pending) > MAX_APDU:
            raise WireError(f"APDU is longer than {MAX_APDU} octets", len(octets), "segments")
        if not is_segment and pending:
            apdus.append(pending)
            pending = b""
    if pending:
        apdus.append(pending)
        errors.append(TruncatedError("the last segments are missing"))
    if errors and not apdus:
        return DecodedTelegram("dlms-push", errors=tuple(errors[:MAX_ERRORS]))
    if job.trace is not None and pieces.size != sum(map(len, apdus)):
        job.trace.add(0, b"", NEW_SECTION, "the APDUs, as far as they can be read; offsets are their own")
        return _with_errors(_decode_all(apdus, job), errors)
    return _with_errors(_decode_all(apdus, job, pieces), errors)


def _explain_frames(octets: bytes, trace: Trace, pieces: Pieces) -> None:
    """Explain each HDLC frame of the input, and note where the segments of its APDUs lie."""
    at = octets.find(_FLAG)
    while 0 <= at < len(octets):
        while octets[at + 1 : at + 2] == _FLAG:
            at += 1
        cursor = Cursor(octets, at, trace=Trace())
        try:
            frame = read_frame(cursor)
        except WireError:
            at = octets.find(_FLAG, at + 1)
            continue
        found = [] if cursor.trace is None else cursor.trace.spans
        trace.spans += [span for span in found if span.field != "information"]
        offset = next((span.offset for span in found if span.field == "information"), cursor.offset)
        if frame.information:
            pieces.add(offset, len(frame.information))
        is_shared = cursor.peek()[:1] and cursor.peek()[0] & 0xF0 == 0xA0  # one flag closes and opens
        at = cursor.offset if is_shared else octets.find(_FLAG, cursor.offset)


def _hdlc_items(octets: bytes) -> "list[HdlcFrame | Damaged]":
    reader, damaged = HdlcReader(), 0
    items: list[HdlcFrame | Damaged] = []
    for start in range(0, len(octets), _PART):
        found = reader.feed(octets[start : start + _PART])
        items += found
        damaged += sum(len(item.octets) for item in found if isinstance(item, Damaged))
        if len(items) > MAX_FRAMES:
            raise WireError(f"more than {MAX_FRAMES} frames in one input; split it", start, "frames")
        if damaged > MAX_DAMAGE:
            raise WireError(f"more than {MAX_DAMAGE} octets of damage in one input; split it", start, "frames")
    return items + reader.flush()


def _frames(items: "list[HdlcFrame | Damaged]") -> Iterator[tuple[bytes, bool, WireError | None]]:
    """Iterate over information, segmentation bit and error of every frame, damaged ones included."""
    for item in items:
        if isinstance(item, HdlcFrame):
            yield item.information, item.segmented, None
            continue
        unchecked = list(_unchecked(item.octets))
        for index, (information, is_segment) in enumerate(unchecked):
            yield information, is_segment, item.error if index == 0 else None
        if not unchecked:
            yield b"", True, item.error


def _unchecked(octets: bytes) -> Iterator[tuple[bytes, bool]]:
    """Cut frames out of damaged octets by their length fields alone, and give information and segmentation bit."""
    place = octets.find(_FLAG)
    while 0 <= place < len(octets) - _MIN_HDLC:
        head = octets[place + 1 : place + 3]
        end = place + 1 + (int.from_bytes(head, "big") & 0x07FF)
        start = _information_start(octets, place + 3) if head[0] & 0xF0 == 0xA0 else None
        if start is not None and start < end - 2 and end <= len(octets):
            yield octets[start : end - 2], bool(head[0] & 0x08)
            place = octets.find(_FLAG, end)
        else:
            place = octets.find(_FLAG, place + 1)


def _information_start(octets: bytes, at: int) -> int | None:
    """Pass over two addresses, the control octet and the HCS."""
    for _ in range(2):
        size = next((size for size, octet in enumerate(octets[at : at + _MAX_ADDRESS], 1) if octet & 1), 0)
        if not size:
            return None
        at += size
    return at + 3


def decode_wrapper(octets: bytes, job: DecodeJob) -> DecodedTelegram:
    """Decode wrapper PDUs (IEC 62056-47): version 1, source and destination port, length, APDU."""
    cursor, apdus, pieces = Cursor(octets, trace=job.trace), list[bytes](), Pieces()
    while cursor.remaining:
        version = cursor.big(2, "wrapper version")
        if version != 1:
            raise UnsupportedError(f"wrapper version {version}", cursor.position - 2, "wrapper version", "IEC 62056-47")
        if len(apdus) == MAX_FRAMES:
            raise WireError(f"more than {MAX_FRAMES} PDUs in one input; split it", cursor.position, "frames")
        cursor.big(2, "source wrapper port")
        cursor.big(2, "destination wrapper port")
        apdus.append(cursor.take(cursor.big(2, "length"), "APDU"))
        pieces.add(cursor.position - len(apdus[-1]), len(apdus[-1]))
    return _decode_all(apdus, job, pieces)


def decode_apdus(octets: bytes, job: DecodeJob, pieces: Pieces | None = None) -> DecodedTelegram:
    """Decode one APDU, or blocks of one in a row.

    Args:
        octets: of the APDU.
        job: the decoding.
        pieces: where the octets lie in the frames that carried them; they are the whole input by default.

    """
    return _decode_all([octets], job, pieces)


def decode_cosem(octets: bytes, job: DecodeJob) -> DecodedTelegram:
    """Decode bare COSEM data, a push body that something has unwrapped already."""
    _require_nothing(job)
    return _body(octets, job)


def _body(octets: bytes, job: DecodeJob) -> DecodedTelegram:
    return _telegram(read_push_data(Cursor(octets, base=job.base, trace=job.trace)), None)


def _decode_all(apdus: Sequence[bytes], job: DecodeJob, pieces: Pieces | None = None) -> DecodedTelegram:
    """Decode APDUs; with a trace, each field by its place in the input."""
    telegrams: list[DecodedTelegram] = []
    outer = job.trace
    if outer is not None:
        job.trace = Trace()
    for base, apdu in _join_blocks(apdus, job.trace):
        job.base = base
        try:
            telegrams.append(_apdu(apdu, job, 0))
        except WireError as error:
            telegrams.append(DecodedTelegram("dlms-push", errors=(error,)))
        if outer is not None and job.trace is not None:
            spans = job.trace.spans
            outer.spans += spans if pieces is None else list(pieces.placed(spans))
            spans.clear()
    job.trace = outer
    return merge(telegrams or [DecodedTelegram("dlms-push", errors=(WireError("no APDU in these frames"),))])


def _join_blocks(apdus: Iterable[bytes], trace: Trace | None = None) -> Iterator[tuple[int, bytes]]:
    """Put the blocks of general block transfers together (IEC 62056-5-3, 6.13); pass everything else on.

    Each APDU has its offset among the octets of all; what was put together begins at 0 again.
    """
    pending = bytearray()
    begin = 0
    for octets in apdus:
        cursor = Cursor(octets, LLC_SIZE if has_llc(octets) else 0, base=begin, trace=trace)
        begin += len(octets)
        if cursor.peek() != _GBT:
            yield begin - len(octets), octets
            continue
        if trace is not None and cursor.offset:
            trace.add(begin - len(octets), octets[:LLC_SIZE], "LLC", "DLMS")
        for block in _blocks(cursor):
            pending += block.block_data
            if block.last_block or len(pending) > MAX_APDU:
                if trace is not None:
                    trace.add(0, b"", NEW_SECTION, "the blocks put together; offsets restart at 0")
                yield 0, bytes(pending[:MAX_APDU])
                pending.clear()
        if cursor.remaining:
            yield cursor.position, cursor.octets[cursor.offset :]
    if pending:
        yield 0, bytes(pending)


def _blocks(cursor: Cursor) -> Iterator[GeneralBlockTransfer]:
    """Read blocks up to something else, or up to damage, which is left for the reader of APDUs to name."""
    while cursor.peek() == _GBT:
        start = cursor.offset
        try:
            block = read_apdu(cursor)
        except WireError:
            cursor.offset = start
            return
        if isinstance(block, GeneralBlockTransfer):
            yield block


def _apdu(octets: bytes, job: DecodeJob, depth: int) -> DecodedTelegram:
    if has_llc(octets):
        if job.trace is not None:
            job.trace.add(job.base, octets[:LLC_SIZE], "LLC", "DLMS")
        octets, job.base = without_llc(octets), job.base + LLC_SIZE
    if not octets:
        raise TruncatedError("is empty", 0, "APDU")
    if depth > MAX_WRAPPING:
        raise WireError(f"is wrapped more than {MAX_WRAPPING} times", 0, "APDU")
    tag = octets[0]
    if tag in {_GENERAL_GLO, _GENERAL_DED}:
        return _protected(octets, job, depth)
    if not depth:
        _require_nothing(job)
    if octets[:1] == b"/":
        return decode_p1(octets, job)
    if tag == _NOTIFICATION:
        return _notification(octets, job)
    if tag in {0x01, 0x02}:
        return _body(octets, job)
    cursor = Cursor(octets, base=job.base, trace=job.trace)
    if tag in ACSE_TAGS:
        raise UnsupportedError(f"an {acse_name(read_acse(cursor))} carries no readings", 0, "APDU")
    apdu = read_apdu(cursor)
    if isinstance(apdu, EventNotificationRequest):
        body = structure(octet_string(apdu.attribute.instance), apdu.value)
        return _telegram(body, None if apdu.time is None else apdu.time.to_utc())
    data = next((value for value in _data_of(apdu)), None)
    if data is None:
        raise UnsupportedError(f"a {apdu_name(apdu)} carries no readings", 0, "APDU")
    return _telegram(data, None)


def _require_nothing(job: DecodeJob) -> None:
    """Refuse octets that nothing protects where their meter requires protection."""
    if job.required is not None:
        raise SecurityError("is not protected, as its meter requires", 0, "APDU")


def _data_of(apdu: object) -> Iterator[Data]:
    """Iterate over COSEM data of any record, however it nests (a response with a result with data)."""
    for name in getattr(apdu, "__slots__", ()):
        value = getattr(apdu, name, None)
        if isinstance(value, Data):
            yield value
        elif hasattr(value, "__slots__") and not isinstance(value, Obis):
            yield from _data_of(value)


def _protected(octets: bytes, job: DecodeJob, depth: int) -> DecodedTelegram:
    apdu = read_apdu(Cursor(octets, base=job.base, trace=job.trace))
    if not isinstance(apdu, GeneralCipheredApdu):
        raise UnsupportedError(f"{apdu_name(apdu)} is not general protection", 0, "APDU")
    plain = open_general_insecurely(apdu, job)
    job.base = 0
    if job.trace is not None:
        job.trace.add(0, b"", NEW_SECTION, "the deciphered octets; offsets restart at 0")
    telegram = _apdu(plain, job, depth + 1)
    if telegram.device.id:
        return telegram
    title = apdu.system_title
    maker = title[:3].decode("ascii") if title[:3].isalpha() else ""
    device = DeviceIdentity(title.hex().upper(), maker, telegram.device.medium, telegram.device.version)
    return replace(telegram, device=device)


def _notification(octets: bytes, job: DecodeJob) -> DecodedTelegram:
    """Read a data-notification: the date-time may carry a tag, be empty, or be left out (quirk 3)."""
    cursor = Cursor(octets, base=job.base, trace=job.trace)
    cursor.u8("data-notification")
    cursor.explain("DataNotification")
    read_long_invoke_id(cursor)
    if cursor.peek(2) == b"\x09\x0c":
        cursor.u8("date-time tag")
    if cursor.peek() not in {b"\x00", b"\x0c"}:
        return _telegram(read_push_data(cursor), None)
    time = _clock(read_octets(cursor, "date-time"))
    if time is not None:
        cursor.explain(str(time))
    moment = time.to_utc() if time is not None else None
    # a clock without deviation is no instant (quirk 2): it is shown unchanged
    local = (
        None if time is None or moment is not None else DecodedReading("clock", str(time).replace(" ", "T"), "", CLOCK)
    )
    return _telegram(read_push_data(cursor), moment, local)


def _clock(octets: bytes) -> ClockTime | None:
    try:
        return read_clock_time(octets) if octets else None
    except WireError:
        return None


def _telegram(data: Data, moment: datetime | None, clock: DecodedReading | None = None) -> DecodedTelegram:
    """Return the telegram of a push body; its time is the meter's clock in the body before that of the notification."""
    body = readings_of_body(data)
    readings = (*([] if clock is None else [clock]), *body.readings)
    own = None if body.clock is None else body.clock.to_utc()
    errors = () if readings else (_unnamed(data),)
    return DecodedTelegram("dlms-push", _identity(readings, body.version), own or moment, readings, errors)


def _unnamed(data: Data) -> UnknownLayoutError:
    """Return the error of a body without names, with its beginning in words."""
    if not data.is_composite:
        return UnknownLayoutError(f"a value without a name: {str(data)[:120]}".rstrip())
    shown = Data(data.type, data.items[:_SHOWN_ITEMS])
    return UnknownLayoutError(f"a list without names, of a layout that is not known: {str(shown)[:120]}")


def _identity(readings: Sequence[DecodedReading], version: str) -> DeviceIdentity:
    texts = [(item.obis.c, item.obis.d, item.value) for item in readings if item.obis and isinstance(item.value, str)]
    identification = next((text for c, d, text in texts if (c, d) in _IDENTIFICATIONS and text), "")
    name = version or next((text for c, d, text in texts if (c, d) == (0, 2)), "")
    return DeviceIdentity(identification, name.partition("_")[0], "electricity", name)


def _with_errors(telegram: DecodedTelegram, errors: list[WireError]) -> DecodedTelegram:
    return replace(telegram, errors=(*errors[:MAX_ERRORS], *telegram.errors))
