"""One call from any frame of any meter to its readings."""

from meterspan.model.telegram import DecodedTelegram
from meterspan.readings import Decoder

__all__ = ["decode"]


def decode(
    frame: bytes | str,
    *,
    key: bytes | str | None = None,
    auth_key: bytes | str | None = None,
    meter_id: str | None = None,
    as_: str | None = None,
) -> DecodedTelegram:
    r"""Decode one frame: M-Bus, wireless M-Bus, P1, SML, or DLMS in HDLC, in the wrapper or bare.

    A damaged frame raises nothing: its faults are in ``errors`` of the answer, beside the readings that could be read.
    Keep a ``Decoder`` in place of this function where compact frames refer to earlier ones.

    Args:
        frame: octets, hexadecimal text, or the text of a P1 telegram.
        key: encryption key, as octets or 32 hexadecimal digits.
        auth_key: authentication key of DLMS; without it, tags are not checked.
        meter_id: the expected meter; a frame of another one is an error.
        as_: a format by name, where the frame is not to be recognised by itself.

    Raises:
        ValueError: a key is not hexadecimal text.

    >>> telegram = decode("/ISK5MT382\r\n\r\n1-0:1.8.0(000123.456*kWh)\r\n!\r\n")
    >>> telegram.protocol, telegram.error
    ('p1', None)
    >>> reading = telegram.find("1-0:1.8.0")
    >>> print(reading.value, reading.unit)
    123456 Wh

    """
    return Decoder().decode(frame, key=_key(key), auth_key=_key(auth_key), meter_id=meter_id, as_=as_)


def _key(key: bytes | str | None) -> bytes | None:
    return bytes.fromhex(key) if isinstance(key, str) else key
