"""Opens and seals M-Bus payloads: joins the wire's headers with the crypto of the modes and of the ELL.

EN 13757-7:2018, 7.7 and EN 13757-4:2019, 13.2.9. Strategy: where a key is given, only what it opened is returned.
Octets in the clear, a MAC that is missing or too short, and modes 2 and 3 (DES) are refused, each with its own error.
Functions with ``insecurely`` in the name read also what nothing protects, for a person to see and never to store.
"""

from dataclasses import dataclass, field, replace
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
from meterspan.model.radio_protection import RadioProtection
from meterspan.wire.cursor import Trace
from meterspan.wire.errors import (
    KeyMissingError,
    KeyWrongError,
    SecurityError,
    TruncatedError,
    UnsupportedError,
    WireError,
)
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
    "open_link",
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
MAC_OCTETS_MIN = 8
"""The MAC of OMS security profile B; the authentication type in a telegram is its sender's word, so no shorter one is
believed: two octets are found in 65,536 tries."""
KEY_DERIVED = 1
"""Key derivation function A; without it mode 7 has no key for a MAC (EN 13757-7:2018, 7.7.6)."""
MODES = "EN 13757-7:2018, 7.7"
MAC_SIZE_8 = 5
"""Authentication type 5: AES-CMAC cut to 8 octets (EN 13757-7:2018, table 6)."""
PRIOS_CLEAR, PRIOS_SIZE, PRIOS_CHECK = 4, 11, b"\x4b"
"""Octets in front of the keystream, octets under it at most, and the first of them."""
_MODE_NAMES = {int(mode): mode.name.replace("_", " ") for mode in SecurityMode}


def open_frame(
    frame: WmbusFrame,
    key: bytes | None,
    *,
    required: RadioProtection = RadioProtection.ENCRYPTED,
    is_link_opened: bool = False,
) -> WmbusFrame:
    """Check and remove the protection of a telegram; return the frame with its payload in the clear.

    Of a payload in mode 5 only the encrypted octets are returned: what follows them in the clear is anybody's.

    Args:
        frame: as read; its extended link layer may be opened by ``open_link`` already.
        key: the meter's AES-128 key, or None.
        required: the least protection; with a key never less than ENCRYPTED.
        is_link_opened: whether ``open_link`` decrypted the extended link layer.

    Raises:
        KeyMissingError: the payload is encrypted and there is no key.
        KeyWrongError: the plaintext does not begin as it must, or the MAC differs.
        SecurityError: the telegram has less protection than required.
        UnsupportedError: a security mode that is not handled; ``frame`` still shows header and mode.
        TruncatedError: fewer octets than are said to be encrypted.

    """
    if key is None and required is RadioProtection.INSECURE_PLAIN:
        return open_frame_insecurely(frame, None, has_des=False)
    if frame.sealed is not None:
        frame, is_link_opened = open_link(frame, key), True
    mode = 0 if frame.transport is None else frame.transport.mode
    if required is RadioProtection.AUTHENTICATED and mode != SecurityMode.AES_CBC_DYNAMIC:
        raise SecurityError("is not authenticated, as its meter requires", frame.offset, "configuration field", MODES)
    if is_link_opened and not mode:
        return frame
    if frame.transport is None:
        raise SecurityError("has no transport layer that protects it", frame.offset, "CI field", MODES)
    payload = _open_protected(
        frame.transport,
        frame.payload,
        key,
        frame.link.address,
        afl=frame.afl,
        message=frame.message,
        offset=frame.offset,
    )
    return replace(frame, payload=payload)


def open_link(frame: WmbusFrame, key: bytes | None, *, trace: Trace | None = None) -> WmbusFrame:
    """Decrypt the extended link layer of a telegram whose ``sealed`` is not None.

    Raises:
        KeyMissingError: there is no key.
        KeyWrongError: the payload CRC differs after decryption.
        WireError: an inner layer is malformed.

    """
    return frame if frame.sealed is None else _open_link(frame, frame.sealed, key, trace)


def open_frame_insecurely(
    frame: WmbusFrame, key: bytes | None, *, trace: Trace | None = None, has_des: bool = True
) -> WmbusFrame:
    """Remove all protection that there is: never for values that are stored or billed.

    A payload in the clear is returned as it is, also where it announces encryption or a key is given.

    Args:
        frame: as read.
        key: the meter's key: 8 octets for modes 2 and 3, else 16; or None.
        trace: collects the meaning of octets that decryption uncovers.
        has_des: whether modes 2 and 3 are opened too.

    Raises:
        KeyMissingError, KeyWrongError, UnsupportedError, TruncatedError: see ``open_frame``.

    """
    frame = open_link(frame, key, trace=trace)
    if frame.transport is None or not frame.transport.mode:
        return frame
    address = frame.link.address
    if has_des and frame.transport.mode in DES_MODES:
        payload = open_transport_insecurely(frame.transport, frame.payload, key, address, offset=frame.offset)
    else:
        payload = _open_leniently(
            frame.transport,
            frame.payload,
            key,
            address,
            afl=frame.afl,
            message=frame.message,
            offset=frame.offset,
        )
    return replace(frame, payload=payload)


def open_transport(header: TransportHeader, payload: bytes, key: bytes | None, *, offset: int = 0) -> bytes:
    """Decrypt the payload of a wired telegram behind its transport header; without a key, return a plain one as it is.

    Args:
        header: the transport header.
        payload: the application data behind it.
        key: the meter's AES-128 key, or None.
        offset: of the payload in the frame, for errors.

    Raises:
        SecurityError: a key is given and the payload is not encrypted.
        KeyMissingError, KeyWrongError, UnsupportedError, TruncatedError: see ``open_frame``.

    """
    if key is None:
        return _open_leniently(header, payload, None, offset=offset)
    return _open_protected(header, payload, key, offset=offset)


def _open_protected(
    header: TransportHeader,
    payload: bytes,
    key: bytes | None,
    link_address: DeviceAddress | None = None,
    *,
    afl: Afl | None = None,
    message: bytes = b"",
    offset: int = 0,
) -> bytes:
    """Decrypt what is encrypted and refuse everything else; arguments as ``_open_leniently``."""
    _check_mode(header, offset)
    size = header.encrypted_size
    if not header.mode or header.kind == HeaderKind.NONE or not size:
        raise SecurityError("is not encrypted, as its meter requires", offset, "configuration field", MODES)
    key = _checked_key(header, key, offset)
    if size > len(payload):
        raise TruncatedError(f"{size} octets are encrypted, {len(payload)} are here", offset, "payload")
    address = _address_of(header, link_address, offset)
    if header.mode == SecurityMode.AES_CBC_IV:
        plain, rest = cbc_decrypt(key, mode5_iv(address.octets, header.access_number), payload[:size]), b""
    else:
        _require_mac(header, afl)
        message_key = _message_key(header, key, address, afl, message)
        plain, rest = cbc_decrypt(message_key, mode7_iv(), payload[:size]), payload[size:]
    if plain[:2] != VERIFICATION:
        raise KeyWrongError("the key does not fit: decrypted octets do not begin with 2F2F", offset, "payload")
    return plain + rest


def _require_mac(header: TransportHeader, afl: Afl | None) -> None:
    """Check that a message in mode 7 has the counter and the MAC of its profile, before the MAC itself is checked."""
    if header.key_derivation != KEY_DERIVED or afl is None or afl.counter is None:
        raise SecurityError("mode 7 without derived keys and a message counter", None, "AFL", "EN 13757-7:2018, 9.6.2")
    if len(afl.mac) < MAC_OCTETS_MIN:
        reason = f"a MAC of {len(afl.mac)} octets, where at least {MAC_OCTETS_MIN} are required"
        raise SecurityError(reason, None, "AFL MAC", "EN 13757-7:2018, 6.3.9")


def _open_leniently(
    header: TransportHeader,
    payload: bytes,
    key: bytes | None,
    link_address: DeviceAddress | None = None,
    *,
    afl: Afl | None = None,
    message: bytes = b"",
    offset: int = 0,
) -> bytes:
    """Decrypt a payload in mode 5 or 7; one in the clear is returned as it is, whatever its header announces.

    Args:
        header: the transport header.
        payload: the application data behind it.
        key: the meter's AES-128 key, or None.
        link_address: of the wireless link layer, for short headers.
        afl: the authentication layer, for mode 7.
        message: the octets that a MAC covers behind the AFL.
        offset: of the payload in the frame, for errors.

    """
    if not header.mode or header.kind == HeaderKind.NONE:
        return payload
    if link_address is None and not header.announces_encryption:  # an old wired signature
        return payload
    _check_mode(header, offset)
    size = header.encrypted_size
    is_clear = payload[:2] == VERIFICATION
    if not size or (is_clear and (key is None or size > len(payload))):
        return payload
    key = _checked_key(header, key, offset)
    if size > len(payload):
        raise TruncatedError(f"{size} octets are encrypted, {len(payload)} are here", offset, "payload")
    address = _address_of(header, link_address, offset)
    if header.mode == SecurityMode.AES_CBC_IV:
        plain = cbc_decrypt(key, mode5_iv(address.octets, header.access_number), payload[:size])
    else:
        plain = cbc_decrypt(_message_key(header, key, address, afl, message), mode7_iv(), payload[:size])
    if plain[:2] == VERIFICATION:
        return plain + payload[size:]
    if is_clear:
        return payload
    raise KeyWrongError("the key does not fit: decrypted octets do not begin with 2F2F", offset, "payload")


def _check_mode(header: TransportHeader, offset: int) -> None:
    mode = header.mode
    if mode not in (SecurityMode.NONE, SecurityMode.AES_CBC_IV, SecurityMode.AES_CBC_DYNAMIC):
        name = _MODE_NAMES.get(mode, "reserved")
        why = "is not accepted: single DES protects nothing" if mode in DES_MODES else "is not handled"
        raise UnsupportedError(f"security mode {mode} ({name}) {why}", offset, "configuration field")


def _checked_key(header: TransportHeader, key: bytes | None, offset: int) -> bytes:
    if key is None:
        raise KeyMissingError(f"the payload is encrypted in mode {header.mode} and there is no key", offset, "payload")
    if len(key) != KEY_SIZE:
        raise KeyWrongError(f"a key has {KEY_SIZE} octets, this one {len(key)}", offset, "payload")
    return key


def _address_of(header: TransportHeader, link_address: DeviceAddress | None, offset: int) -> DeviceAddress:
    address = header.address or link_address
    if address is None:
        raise WireError("a short header needs the address of a wireless link", offset, "transport header")
    return address


def open_transport_insecurely(
    header: TransportHeader,
    payload: bytes,
    key: bytes | None,
    link_address: DeviceAddress | None = None,
    *,
    offset: int = 0,
    has_des: bool = True,
) -> bytes:
    """Decrypt the payload behind a transport header, also in modes 2 and 3, without an AFL; a plain one stays as it is.

    Args:
        header: the transport header.
        payload: the application data behind it.
        key: the meter's key: 8 octets for modes 2 and 3, else 16; or None.
        link_address: of the wireless link layer, for short headers.
        offset: of the payload in the frame, for errors.
        has_des: whether modes 2 and 3 are opened too.

    Raises:
        KeyMissingError, KeyWrongError, UnsupportedError, TruncatedError: see ``open_frame``.
        WireError: mode 3 without its date, or a size that is no whole blocks.

    """
    if not has_des or header.mode not in DES_MODES or header.kind == HeaderKind.NONE:
        return _open_leniently(header, payload, key, link_address, offset=offset)
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
    key: bytes = field(default=b"", repr=False)
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
