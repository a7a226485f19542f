"""Any frame to readings: recognise, unwrap, decipher, name (the decode contract).

Strategy: a few octets tell the kind of frame; each kind has a module that turns it into readings. The decoder keeps
the layouts learnt from earlier frames of a meter (compact frames). Any octets give a ``DecodedTelegram``, with what is
wrong in its ``errors``.
"""

import re
from collections.abc import Callable
from importlib import import_module
from typing import Any

from meterspan.model.radio_protection import RadioProtection
from meterspan.model.telegram import DecodedTelegram
from meterspan.readings.job import DecodeJob, Learnt
from meterspan.readings.merge import merge
from meterspan.readings.recognise import Format, recognise
from meterspan.wire import Trace, UnsupportedError, WireError

__all__ = ["Decoder", "hex_digits", "octets_of"]

MAX_INPUT = 1 << 22
"""Octets of one input; a day's capture of an optical head is 2 MiB."""
MAX_LINES = 32_768
"""Lines of the P1 telegrams of one input: as many as the most telegrams of the longest kind have."""
MAX_GROUPS = 65_536
"""Groups in parentheses of the P1 telegrams of one input: two for each line, while three octets are enough for one."""
MAX_TELEGRAMS = 256
"""P1 telegrams of one input; split larger files."""


class Decoder:
    """Decodes frames of any meter; keep one for all frames of a network, so that compact frames find their layout.

    Args:
        fix_unsigned_power: works round SML meters that send unsigned power under a signed type.
        insecure: also opens M-Bus telegrams whose protection protects nothing (modes 2 and 3, the factory key of
            zeros) and says so in ``errors``: for a person to look at, never for values that are stored.

    """

    def __init__(self, *, fix_unsigned_power: bool = False, insecure: bool = False) -> None:
        self._learnt = Learnt(insecure=insecure)
        self._fix_unsigned_power = fix_unsigned_power
        self._insecure = insecure

    def decode(
        self,
        source: bytes | str,
        *,
        key: bytes | None = None,
        auth_key: bytes | None = None,
        meter_id: str | None = None,
        as_: str | None = None,
        trace: Trace | None = None,
        now: float | None = None,
        required: RadioProtection | None = None,
    ) -> DecodedTelegram:
        """Decode one input: a frame, several in a row, or the text of a P1 telegram or of hexadecimal digits.

        Args:
            source: octets, or text.
            key: the encryption key (GUEK, or the M-Bus application key).
            auth_key: the authentication key of DLMS (GAK); without it, tags are not checked.
            meter_id: the expected meter; a frame of another one is an error.
            as_: a name of ``Format``, where the frame is not to be recognised by itself.
            trace: collects what each octet means.
            required: the least protection of an M-Bus or DLMS telegram; values with less are not read, and the error
                says so. None reads also what nothing protects, for a person to look at.
            now: UTC seconds of reception; a P1 clock that is far from it is not believed. None where it is not known.

        """
        if as_ is not None and as_ not in _DECODERS:
            return _failed("unknown", UnsupportedError(f"no format is called {as_!r}; known: {', '.join(_DECODERS)}"))
        if len(source) > MAX_INPUT:
            return _failed("unknown", WireError(f"input is longer than {MAX_INPUT} octets"))
        job = DecodeJob(
            key, auth_key, meter_id, self._fix_unsigned_power, self._learnt, trace, insecure=self._insecure, now=now
        )
        job.required = job.learnt.required.value = required
        protocol = "unknown"
        try:
            octets = octets_of(source)
            kind = recognise(octets) if as_ is None else Format(as_)
            protocol, decode = _DECODERS[kind]
            return decode(octets, job)
        except WireError as error:
            return _failed(protocol, error)
        finally:
            if trace is not None:
                _loaded("explained.finish_trace")(trace)


def _failed(protocol: str, error: WireError) -> DecodedTelegram:
    return DecodedTelegram(protocol, errors=(error,))


def octets_of(source: bytes | str) -> bytes:
    """Return the octets of an input: hexadecimal text (spaces, colons and line ends allowed), else the text itself.

    A last digit without its other half is left out; the frame will then miss an octet, and say so.
    """
    if isinstance(source, bytes):
        text = source.decode("latin-1") if _HEX_OCTETS.fullmatch(source[:4096]) else ""
    else:
        text = "" if source.startswith("/") else source
    digits = hex_digits(text)
    if digits:
        return bytes.fromhex(digits[: len(digits) & ~1])
    return source if isinstance(source, bytes) else source.encode("latin-1", "replace")


def hex_digits(text: str) -> str:
    """Return the digits of hexadecimal text, without ``0x`` and what separates them; "" of any other text."""
    digits = _SEPARATORS.sub("", text.removeprefix("\ufeff"))
    return digits if len(digits) > 1 and _DIGITS.fullmatch(digits) else ""


_HEX_OCTETS = re.compile(rb"[0-9A-Fa-f\s:,|_#x]{8,}")
_SEPARATORS = re.compile(r"[\s:,|_#]+|0x")
_DIGITS = re.compile(r"[0-9A-Fa-f]+")


def _p1(octets: bytes, job: DecodeJob) -> DecodedTelegram:
    """Decode telegrams in a row: each from its ``/`` to the ``!`` that ends it."""
    if octets.count(b"\n") > MAX_LINES:
        raise WireError(f"more than {MAX_LINES} lines in one input; split it", 0, "lines")
    if octets.count(b"(") > MAX_GROUPS:
        raise WireError(f"more than {MAX_GROUPS} groups in one input; split it", 0, "groups")
    decode_p1 = _loaded("p1_decode.decode_p1")
    telegrams: list[DecodedTelegram] = []
    start = octets.find(b"/")
    while start >= 0 and len(telegrams) < MAX_TELEGRAMS:
        try:
            telegrams.append(decode_p1(octets[start:], job))
        except WireError as error:
            telegrams.append(_failed("p1", error))
        end = octets.find(b"\n!", start)
        start = octets.find(b"/", end) if end >= 0 else -1
    return merge(telegrams)


def _sml(octets: bytes, job: DecodeJob) -> DecodedTelegram:
    telegram: DecodedTelegram = _loaded("sml.decode_sml")(
        octets, fix_unsigned_power=job.fix_unsigned_power, trace=job.trace
    )
    return telegram


def _loaded(name: str) -> Any:
    """Return a decoding function; its module is imported at the first frame of its kind."""
    module, _, function = name.partition(".")
    return getattr(import_module(f"meterspan.readings.{module}"), function)


def _lazy(name: str) -> Callable[[bytes, DecodeJob], DecodedTelegram]:
    def decode(octets: bytes, job: DecodeJob) -> DecodedTelegram:
        telegram: DecodedTelegram = _loaded(name)(octets, job)
        return telegram

    return decode


_DECODERS: dict[str, tuple[str, Callable[[bytes, DecodeJob], DecodedTelegram]]] = {
    Format.P1: ("p1", _p1),
    Format.P1_LINES: ("p1", _lazy("p1_decode.decode_p1_line")),
    Format.SML: ("sml", _sml),
    Format.SML_FILE: ("sml", lambda octets, job: _loaded("sml.decode_sml_file")(octets, trace=job.trace)),
    Format.HDLC: ("dlms-push", _lazy("dlms.decode_hdlc")),
    Format.WRAPPER: ("dlms-push", _lazy("dlms.decode_wrapper")),
    Format.DLMS: ("dlms-push", _lazy("dlms.decode_apdus")),
    Format.COSEM: ("dlms-push", _lazy("dlms.decode_cosem")),
    Format.MBUS: ("mbus", _lazy("mbus_decode.decode_mbus")),
    Format.WMBUS: ("wmbus", _lazy("mbus_decode.decode_wmbus")),
}
"""Per kind of input: the protocol's name in the answer, and its decoder."""
