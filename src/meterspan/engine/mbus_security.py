"""Opens and seals M-Bus payloads: joins the wire's headers with the crypto of the modes and of the ELL.

EN 13757-7:2018, 7.7 and EN 13757-4:2019, 13.2.9. A payload that announces encryption but already begins with 2F2F is
read as it stands; a missing key, a wrong key and an unknown mode are three different errors. Modes 2 and 3 (DES)
protect nothing: they are refused, and only functions with ``insecurely`` in the name open them, for a person to see.
"""

from dataclasses import dataclass, replace
from datetime import date

from meterspan.crypto.mbus_modes import (
    BLOCK,
    DES_BLOCK,
    cbc_decrypt,
    cbc_encrypt,
    derive_keys,
    ell_crypt,
    ell_iv,
    insecure_des_cbc_decrypt,
    insecure_des_cbc_encrypt,
    mac_matches,
    message_mac,
    mode2_iv,
    mode3_iv,
    mode5_iv,
    mode7_iv,
)
from meterspan.crypto.prios import DEFAULT_KEYS, prios_crypt
from meterspan.model.mbus_devices.payload import Seal, cut
from meterspan.wire.cursor import Trace
from meterspan.wire.errors import KeyMissingError, KeyWrongError, TruncatedError, UnsupportedError, WireError
from meterspan.wire.mbus.address import DeviceAddress
from meterspan.wire.mbus.application import VERIFICATION
from meterspan.wire.mbus.records import build_record, read_records
from meterspan.wire.mbus.transport import DES_MODES, HeaderKind, SecurityMode, TransportHeader, write_transport
from meterspan.wire.wmbus.frame import FrameFormat, LinkHeader
from meterspan.wire.wmbus.layers import Afl, ExtendedLink, payload_crc, write_afl
from meterspan.wire.wmbus.telegram import WmbusFrame, with_clear_link, write_frame

__all__ = [
    "Protection",
    "build_telegram",
    "check_mac",
    "open_frame",
    "open_frame_insecurely",
    "open_sealed",
    "open_transport",
    "open_transport_insecurely",
    "seal_payload",
]

IDLE = b"\x2f"
KEY_SIZE = 16
DES_KEY_SIZE = 8
DES_SIZE_MAX = 0xF8
"""The low octet of the configuration field counts encrypted octets, in whole blocks."""
DATE_HEAD = b"\x02\x6c"
"""DIF and VIF of a date of type G."""
MAX_BLOCKS = 15
"""The configuration field counts encrypted blocks in four bits."""
MAC_SIZE_8 = 5
"""Authentication type 5: AES-CMAC cut to 8 octets (EN 13757-7:2018, table 6)."""
PRIOS_CLEAR, PRIOS_SIZE, PRIOS_CHECK = 4, 11, b"\x4b"
"""Octets in front of the keystream, octets under it at most, and the first of them."""
_MODE_NAMES = {int(mode): mode.name.replace("_", " ") for mode in SecurityMode}


def open_frame(frame: WmbusFrame, key: bytes | None, *, trace: Trace | None = None) -> WmbusFrame:
    """Remove all protection of a telegram: give the frame with its payload in the clear.

    Args:
        frame: as read.
        key: the meter's AES-128 key, or None.
        trace: collects the meaning of octets that decryption uncovers.

    Raises:
        KeyMissingError: the payload is encrypted and there is no key.
        KeyWrongError: the plaintext does not begin as it must, or the MAC differs.
        UnsupportedError: a security mode that is not handled; ``frame`` still shows header and mode.

    """
    if frame.sealed is not None:
        frame = _open_link(frame, frame.sealed, key, trace)
    if frame.transport is None or not frame.transport.mode:
        return frame
    payload = open_transport(
        frame.transport,
        frame.payload,
        key,
        frame.link.address,
        afl=frame.afl,
        message=frame.message,
        offset=frame.offset,
    )
    return replace(frame, payload=payload)


def open_frame_insecurely(frame: WmbusFrame, key: bytes | None, *, trace: Trace | None = None) -> WmbusFrame:
    """Remove all protection of a telegram, also that of modes 2 and 3: never for values that are stored or billed.

    Args:
        frame: as read.
        key: the meter's key: 8 octets for modes 2 and 3, else 16; or None.
        trace: collects the meaning of octets that decryption uncovers.

    Raises:
        KeyMissingError, KeyWrongError, UnsupportedError, TruncatedError: see ``open_frame``.

    """
    if frame.sealed is not None:
        frame = _open_link(frame, frame.sealed, key, trace)
    if frame.transport is None or frame.transport.mode not in DES_MODES:
        return open_frame(frame, key, trace=trace)
    payload = open_transport_insecurely(frame.transport, frame.payload, key, frame.link.address, offset=frame.offset)
    return replace(frame, payload=payload)


def open_transport(
    header: TransportHeader,
    payload: bytes,
    key: bytes | None,
    link_address: DeviceAddress | None = None,
    *,
    afl: Afl | None = None,
    message: bytes = b"",
    offset: int = 0,
) -> bytes:
    """Decrypt the payload behind a transport header, wired or wireless; a plain payload is returned as it is.

    Args:
        header: the transport header.
        payload: the application data behind it.
        key: the meter's AES-128 key, or None.
        link_address: of the wireless link layer, for short headers.
        afl: the authentication layer, for mode 7.
        message: the octets that a MAC covers behind the AFL.
        offset: of the payload in the frame, for errors.

    Raises:
        KeyMissingError, KeyWrongError, UnsupportedError, TruncatedError: see ``open_frame``.

    """
    mode = header.mode
    if not mode or header.kind == HeaderKind.NONE:
        return payload
    if link_address is None and not header.announces_encryption:  # an old wired signature
        return payload
    if mode not in (SecurityMode.AES_CBC_IV, SecurityMode.AES_CBC_DYNAMIC):
        name = _MODE_NAMES.get(mode, "reserved")
        why = "is not accepted: single DES protects nothing" if mode in DES_MODES else "is not handled"
        raise UnsupportedError(f"security mode {mode} ({name}) {why}", offset, "configuration field")
    size = header.encrypted_size
    if not size:
        return payload
    if key is None:
        if payload[:2] == VERIFICATION:
            return payload
        raise KeyMissingError(f"the payload is encrypted in mode {mode} and there is no key", offset, "payload")
    if len(key) != KEY_SIZE:
        raise KeyWrongError(f"a key has {KEY_SIZE} octets, this one {len(key)}", offset, "payload")
    if size > len(payload):
        if payload[:2] == VERIFICATION:
            return payload
        raise TruncatedError(f"{size} octets are encrypted, {len(payload)} are here", offset, "payload")
    address = header.address or link_address
    if address is None:
        raise WireError("a short header needs the address of a wireless link", offset, "transport header")
    if mode == SecurityMode.AES_CBC_IV:
        plain = cbc_decrypt(key, mode5_iv(address.octets, header.access_number), payload[:size])
    else:
        plain = cbc_decrypt(_message_key(header, key, address, afl, message), mode7_iv(), payload[:size])
    if plain[:2] == VERIFICATION:
        return plain + payload[size:]
    if payload[:2] == VERIFICATION:
        return payload
    raise KeyWrongError("the key does not fit: decrypted octets do not begin with 2F2F", offset, "payload")


def open_transport_insecurely(
    header: TransportHeader,
    payload: bytes,
    key: bytes | None,
    link_address: DeviceAddress | None = None,
    *,
    offset: int = 0,
) -> bytes:
    """Decrypt the payload behind a transport header as ``open_transport``, also in modes 2 and 3, without an AFL.

    Args:
        header: the transport header.
        payload: the application data behind it.
        key: the meter's key: 8 octets for modes 2 and 3, else 16; or None.
        link_address: of the wireless link layer, for short headers.
        offset: of the payload in the frame, for errors.

    Raises:
        KeyMissingError, KeyWrongError, UnsupportedError, TruncatedError: see ``open_frame``.
        WireError: mode 3 without its date, or a size that is no whole blocks.

    """
    if header.mode not in DES_MODES or header.kind == HeaderKind.NONE:
        return open_transport(header, payload, key, link_address, offset=offset)
    size = header.encrypted_size
    if not size or payload[:2] == VERIFICATION:
        return payload
    if size % DES_BLOCK:
        raise WireError(f"{size} octets are no whole blocks of {DES_BLOCK}", offset, "configuration field")
    if key is None:
        raise KeyMissingError(f"the payload is encrypted in mode {header.mode} and there is no key", offset, "payload")
    if len(key) != DES_KEY_SIZE:
        raise KeyWrongError(f"a DES key has {DES_KEY_SIZE} octets, this one {len(key)}", offset, "payload")
    if size > len(payload):
        raise TruncatedError(f"{size} octets are encrypted, {len(payload)} are here", offset, "payload")
    plain = insecure_des_cbc_decrypt(key, _des_iv(header, payload[size:], link_address, offset), payload[:size])
    if plain[:2] != VERIFICATION:
        raise KeyWrongError("the key does not fit: decrypted octets do not begin with 2F2F", offset, "payload")
    return plain + payload[size:]


def _des_iv(header: TransportHeader, clear: bytes, link_address: DeviceAddress | None, offset: int) -> bytes:
    """Return the IV of mode 2, or of mode 3 by the date among the clear records behind the encrypted octets."""
    if header.mode == SecurityMode.DES_IV_ZERO:
        return mode2_iv()
    address = header.address or link_address
    if address is None:
        raise WireError("a short header needs the address of a wireless link", offset, "transport header")
    records = read_records(clear).records
    day = next((record.data for record in records if record.octets == DATE_HEAD), None)
    if day is None:
        raise WireError("mode 3 needs a date of type G in the clear behind the encrypted octets", offset, "payload")
    return mode3_iv(address.id_octets, address.octets[:2], day)


def open_sealed(seal: Seal, address: bytes, ci: int | None, octets: bytes, key: bytes | None) -> bytes | None:
    """Open a payload that its maker has sealed in a way of its own; None where there is nothing to open.

    Args:
        seal: as the grammar declares it.
        address: the eight octets of the meter's address, in wireless order.
        ci: the CI field.
        octets: the payload.
        key: of the meter, or None.

    Raises:
        KeyMissingError, KeyWrongError, TruncatedError: see ``open_frame``.

    """
    if seal is Seal.MODE_5:
        return _open_block(address, octets, key)
    return _open_prios(address, ci, octets, key) if seal is Seal.PRIOS else None


def _open_block(address: bytes, octets: bytes, key: bytes | None) -> bytes:
    sealed = cut(octets, 2, 2 + BLOCK)
    if key is None:
        raise KeyMissingError("the payload is encrypted and there is no key", 0, "payload")
    if len(key) != KEY_SIZE:
        raise KeyWrongError(f"a key has {KEY_SIZE} octets, this one {len(key)}", 0, "payload")
    plain = cbc_decrypt(key, mode5_iv(address, octets[0]), sealed)
    if plain[:1] != IDLE:
        raise KeyWrongError("the key does not fit: the decrypted block does not begin with 2F", 2, "payload")
    return plain


def _open_prios(address: bytes, ci: int | None, octets: bytes, key: bytes | None) -> bytes:
    cut(octets, 0, PRIOS_CLEAR)
    frame = bytes(2) + address + bytes((ci or 0,)) + octets  # no key word covers the L and C fields
    own = () if key is None or len(key) != 8 else (int.from_bytes(key[:4], "big") ^ int.from_bytes(key[4:], "big"),)
    sealed = octets[PRIOS_CLEAR : PRIOS_CLEAR + PRIOS_SIZE]
    for word in (*own, *DEFAULT_KEYS):
        plain = prios_crypt(word, frame, sealed)
        if plain[:1] == PRIOS_CHECK:
            return plain
    raise KeyWrongError("no default key opens the payload, nor the one given", PRIOS_CLEAR, "payload")


def check_mac(afl: Afl, message: bytes, key: bytes, meter_id: bytes, *, to_meter: bool = False) -> bool:
    """Return whether the MAC of an AFL fits message, counter and key; compares in constant time.

    Args:
        afl: the authentication and fragmentation layer, with MAC and counter.
        message: the octets that the MAC covers behind the AFL.
        key: the meter's AES-128 key.
        meter_id: identification number, four octets as transmitted.
        to_meter: whether the telegram is sent to the meter.

    """
    keys = derive_keys(key, afl.counter or 0, meter_id, to_meter=to_meter)
    return mac_matches(keys.mac, afl.authenticated_prefix + message, afl.mac)


@dataclass(frozen=True, slots=True)
class Protection:
    """How a telegram is to be protected.

    Attributes:
        mode: 0, 5 or 7; 2 and 3 (DES) protect nothing, and are there for tests of readers.
        key: the meter's key: 8 octets for modes 2 and 3, else 16.
        counter: the message counter of mode 7, higher each time (law 8: persist it before use).
        day: the date of the telegram in mode 3; it is written in the clear behind the encrypted octets.

    """

    mode: SecurityMode = SecurityMode.NONE
    key: bytes = b""
    counter: int = 0
    day: date | None = None


def seal_payload(
    header: TransportHeader, payload: bytes, protection: Protection, address: DeviceAddress
) -> tuple[TransportHeader, bytes, Afl | None]:
    """Protect application data: give the header with its configuration field, the payload, and mode 7's AFL.

    The AFL has no MAC yet, because the MAC covers the written header: ``build_telegram`` adds it.

    Args:
        header: the transport header; its configuration field is replaced.
        payload: application data in the clear.
        protection: mode, key and counter.
        address: the meter's address, for the initialisation vector.

    Raises:
        ValueError: more than fifteen blocks, a key of another size, or a mode that is not written.

    """
    mode = protection.mode
    if mode == SecurityMode.NONE:
        return replace(header, configuration=0, extension=b""), payload, None
    if mode in DES_MODES:
        return *_seal_insecurely(header, payload, protection, address), None
    clear = VERIFICATION + payload
    clear += IDLE * (-len(clear) % BLOCK)
    blocks = len(clear) // BLOCK
    if blocks > MAX_BLOCKS:
        raise ValueError(f"{blocks} blocks do not fit a configuration field")
    configuration = mode << 8 | blocks << 4
    if mode == SecurityMode.AES_CBC_IV:
        iv = mode5_iv(address.octets, header.access_number)
        sealed = cbc_encrypt(protection.key, iv, clear)
        return replace(header, configuration=configuration, extension=b""), sealed, None
    if mode == SecurityMode.AES_CBC_DYNAMIC:
        keys = derive_keys(protection.key, protection.counter, address.id_octets)
        sealed = cbc_encrypt(keys.encryption, mode7_iv(), clear)
        afl = Afl(0, 0x20 | MAC_SIZE_8, b"", protection.counter)
        return replace(header, configuration=configuration, extension=b"\x10"), sealed, afl
    raise ValueError(f"security mode {mode} is not written")


def _seal_insecurely(
    header: TransportHeader, payload: bytes, protection: Protection, address: DeviceAddress
) -> tuple[TransportHeader, bytes]:
    """Encrypt in mode 2 or 3: single DES, which protects nothing."""
    clear = VERIFICATION + payload
    clear += IDLE * (-len(clear) % DES_BLOCK)
    if len(clear) > DES_SIZE_MAX:
        raise ValueError(f"{len(clear)} octets do not fit a configuration field")
    header = replace(header, configuration=protection.mode << 8 | len(clear), extension=b"")
    if protection.mode == SecurityMode.DES_IV_ZERO:
        return header, insecure_des_cbc_encrypt(protection.key, mode2_iv(), clear)
    if protection.day is None:
        raise ValueError("mode 3 needs a date")
    day = build_record(DATE_HEAD, protection.day)
    iv = mode3_iv(address.id_octets, address.octets[:2], day.data)
    return header, insecure_des_cbc_encrypt(protection.key, iv, clear) + day.octets + day.data


def build_telegram(
    link: LinkHeader,
    header: TransportHeader,
    payload: bytes,
    protection: Protection,
    *,
    ell: ExtendedLink | None = None,
    form: FrameFormat = FrameFormat.A,
) -> bytes:
    """Build a complete wireless telegram of a meter, protected and with CRCs.

    An ``ell`` whose session number announces encryption is encrypted with the same key.

    Args:
        link: the link layer header.
        header: the transport header, without configuration field.
        payload: application data in the clear.
        protection: mode, key and counter.
        ell: the extended link layer, None for a frame without one.
        form: frame format A or B.

    Raises:
        ValueError: the telegram is longer than a frame, or the mode is not written.

    """
    address = header.address or link.address
    header, sealed, afl = seal_payload(header, payload, protection, address)
    if afl is not None and afl.counter is not None:
        keys = derive_keys(protection.key, afl.counter, address.id_octets)
        covered = afl.authenticated_prefix + write_transport(header) + sealed
        afl = replace(afl, mac=message_mac(keys.mac, covered, 8))
    if ell is None or not ell.is_encrypted:
        return write_frame(link, header, sealed, ell=ell, afl=afl, form=form)
    inner = (b"" if afl is None else write_afl(afl)) + write_transport(header) + sealed
    iv = ell_iv(link.address.octets, ell.communication_control, ell.session_number)
    guarded = ell_crypt(protection.key, iv, payload_crc(inner) + inner)
    return write_frame(link, None, b"", ell=ell, form=form, sealed=guarded)


def _open_link(frame: WmbusFrame, sealed: bytes, key: bytes | None, trace: Trace | None) -> WmbusFrame:
    """Decrypt the extended link layer; its payload CRC shows whether the key fits."""
    ell = frame.ell
    if ell is None:
        raise AssertionError("only an extended link layer seals")
    if key is None:
        raise KeyMissingError("the extended link layer is encrypted and there is no key", frame.offset, "payload")
    if len(key) != KEY_SIZE:
        raise KeyWrongError(f"a key has {KEY_SIZE} octets, this one {len(key)}", frame.offset, "payload")
    iv = ell_iv(frame.link.address.octets, ell.communication_control, ell.session_number)
    opened = with_clear_link(frame, ell_crypt(key, iv, sealed), trace=trace)
    if opened is None:
        raise KeyWrongError("the key does not fit: the payload CRC differs", frame.offset, "payload CRC")
    return opened


def _message_key(header: TransportHeader, key: bytes, address: DeviceAddress, afl: Afl | None, message: bytes) -> bytes:
    """Return the key of one message in mode 7, once its MAC is checked."""
    if header.key_derivation == 0:
        return key
    if afl is None or afl.counter is None:
        raise WireError("mode 7 needs the message counter of an AFL", None, "AFL", "EN 13757-7:2018, 9.6.2")
    if afl.mac and not check_mac(afl, message, key, address.id_octets):
        raise KeyWrongError("the MAC of the message differs", None, "AFL MAC", "EN 13757-7:2018, 6.3.9")
    return derive_keys(key, afl.counter, address.id_octets).encryption
