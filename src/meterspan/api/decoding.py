"""One call from any frame of any meter to its readings."""

from meterspan.api.octets import octets_of, plain_octets
from meterspan.model.telegram import DecodedTelegram
from meterspan.readings import Decoder

__all__ = ["decode"]


def decode(
    frame: bytes | bytearray | memoryview | str,
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
        TypeError: the frame or a key is neither octets nor text.
        ValueError: a key is not hexadecimal text.

    >>> telegram = decode("/ISK5MT382\r\n\r\n1-0:1.8.0(000123.456*kWh)\r\n!\r\n")
    >>> telegram.protocol, telegram.error
    ('p1', None)
    >>> reading = telegram.find("1-0:1.8.0")
    >>> print(reading.value, reading.unit)
    123456 Wh

    """
    source = frame if isinstance(frame, str) else plain_octets(frame)
    keys = [None if given is None else octets_of(given) for given in (key, auth_key)]
    return Decoder().decode(source, key=keys[0], auth_key=keys[1], meter_id=meter_id, as_=as_)
