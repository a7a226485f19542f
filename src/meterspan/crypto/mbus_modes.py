"""Protection of M-Bus payloads: modes 2, 3, 5 and 7 (EN 13757-7:2018, 7.7) and AES-CTR of the extended link layer.

CBC is done as one ECB run and one XOR over the whole payload: the AES context of a key is then kept between
telegrams, which is most of the cost of a 16-octet payload. Nothing here knows a frame: octets in, octets out. Modes 2
and 3 are single DES, whose keys are found by trial within days: their functions have ``insecure`` in the name.
"""

from dataclasses import dataclass, field
from functools import lru_cache

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.constant_time import bytes_eq

__all__ = [
    "DerivedKeys",
    "cbc_decrypt",
    "cbc_encrypt",
    "derive_keys",
    "ell_crypt",
    "ell_iv",
    "insecure_des_cbc_decrypt",
    "insecure_des_cbc_encrypt",
    "mac_matches",
    "message_mac",
    "mode2_iv",
    "mode3_iv",
    "mode5_iv",
    "mode7_iv",
]

BLOCK = 16
DES_BLOCK = 8
CACHED_KEYS = 16_384
"""AES contexts kept, of about 1 KiB each: the meters that one collector hears."""
KDF_PADDING = b"\x07" * 7


@dataclass(frozen=True, slots=True)
class DerivedKeys:
    """The ephemeral keys of one message counter (EN 13757-7:2018, 9.6.2)."""

    encryption: bytes = field(repr=False)
    mac: bytes = field(repr=False)


def mode2_iv() -> bytes:
    """Return the IV of mode 2: zero (EN 13757-7:2018, 7.7)."""
    return bytes(DES_BLOCK)


def mode3_iv(number: bytes, manufacturer: bytes, date: bytes) -> bytes:
    """Return the IV of mode 3 (EN 13757-7:2018, 7.7).

    Args:
        number: the identification number, 4 octets as transmitted.
        manufacturer: 2 octets as transmitted.
        date: the date of the telegram, type G, 2 octets as transmitted.

    """
    return number + manufacturer + date


def mode5_iv(address: bytes, access_number: int) -> bytes:
    """Return the IV of mode 5: manufacturer, id, version and medium (8 octets), then the access number 8 times."""
    return address + bytes((access_number,)) * 8


def mode7_iv() -> bytes:
    """Return the IV of mode 7: the key is never used twice, so the IV is zero."""
    return bytes(BLOCK)


def cbc_decrypt(key: bytes, iv: bytes, octets: bytes) -> bytes:
    """Decrypt whole blocks of AES-128-CBC.

    Raises:
        ValueError: the octets are no whole blocks, or the key is no AES key.

    """
    size = len(octets)
    if size % BLOCK:
        raise ValueError(f"{size} octets are no whole blocks")
    plain = int.from_bytes(_decryptor(key).update(octets), "big") ^ int.from_bytes((iv + octets)[:size], "big")
    return plain.to_bytes(size, "big")


def cbc_encrypt(key: bytes, iv: bytes, octets: bytes) -> bytes:
    """Encrypt whole blocks of AES-128-CBC.

    Raises:
        ValueError: the octets are no whole blocks, or the key is no AES key.

    """
    context = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    return context.update(octets) + context.finalize()


def insecure_des_cbc_decrypt(key: bytes, iv: bytes, octets: bytes) -> bytes:
    """Decrypt whole blocks of DES-CBC (FIPS 46-3, FIPS 81), for a person to look at: it protects nothing.

    Raises:
        ValueError: the octets are no whole blocks, or the key has not 8 octets.

    """
    context = _insecure_des(key, iv, octets).decryptor()
    return context.update(octets) + context.finalize()


def insecure_des_cbc_encrypt(key: bytes, iv: bytes, octets: bytes) -> bytes:
    """Encrypt whole blocks of DES-CBC (FIPS 46-3, FIPS 81), as old meters do: it protects nothing.

    Raises:
        ValueError: the octets are no whole blocks, or the key has not 8 octets.

    """
    context = _insecure_des(key, iv, octets).encryptor()
    return context.update(octets) + context.finalize()


def derive_keys(key: bytes, counter: int, meter_id: bytes, *, to_meter: bool = False) -> DerivedKeys:
    """Derive the keys of one message with the CMAC-based function of EN 13757-7:2018, 9.6.2 (OMS volume 2, 9.6).

    Args:
        key: the meter's individual master key.
        counter: the message counter C of the AFL.
        meter_id: the identification number, 4 octets as transmitted.
        to_meter: the message goes to the meter, so that other derivation constants hold.

    """
    constant = 0x10 if to_meter else 0x00
    tail = counter.to_bytes(4, "little") + meter_id + KDF_PADDING
    return DerivedKeys(_cmac(key, bytes((constant,)) + tail), _cmac(key, bytes((constant + 1,)) + tail))


def message_mac(key: bytes, octets: bytes, size: int) -> bytes:
    """Return the AES-CMAC of a message, cut to its first ``size`` octets."""
    return _cmac(key, octets)[:size]


def mac_matches(key: bytes, octets: bytes, mac: bytes) -> bool:
    """Return, in constant time, whether ``mac`` is the (cut) AES-CMAC of the message; an empty one never is."""
    return bool(mac) and bytes_eq(_cmac(key, octets)[: len(mac)], mac)


def ell_iv(address: bytes, communication_control: int, session_number: bytes) -> bytes:
    """Return the first counter block of the extended link layer (EN 13757-4:2019, 13.2.9): frame and block number 0."""
    return address + bytes((communication_control,)) + session_number + bytes(3)


def ell_crypt(key: bytes, iv: bytes, octets: bytes) -> bytes:
    """Encrypt or decrypt with AES-128-CTR."""
    context = Cipher(algorithms.AES(key), modes.CTR(iv)).encryptor()
    return context.update(octets) + context.finalize()


def _insecure_des(key: bytes, iv: bytes, octets: bytes) -> Cipher[modes.CBC]:
    """Return single DES, which is triple DES with the same key three times."""
    if len(key) != DES_BLOCK:
        raise ValueError(f"a DES key has {DES_BLOCK} octets, this one {len(key)}")
    if len(octets) % DES_BLOCK:
        raise ValueError(f"{len(octets)} octets are no whole blocks")
    return Cipher(TripleDES(key * 3), modes.CBC(iv))


@lru_cache(maxsize=CACHED_KEYS)
def _decryptor(key: bytes) -> CipherContext:
    return Cipher(algorithms.AES(key), modes.ECB()).decryptor()  # noqa: S305 - the chaining is done by cbc_decrypt


def _cmac(key: bytes, octets: bytes) -> bytes:
    cmac = CMAC(algorithms.AES(key))
    cmac.update(octets)
    return cmac.finalize()
