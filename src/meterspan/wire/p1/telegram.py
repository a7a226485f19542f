r"""P1 telegrams (DSMR P1 companion standard, 5.12 and 6; IEC 62056-21, 6.6 data readout).

Layout: ``/XXX5identification CR LF CR LF``, one line ``OBIS(value*unit)… CR LF`` per object, ``!CRC CR LF``; the
CRC-16/ARC runs from ``/`` to ``!``. Reading is line by line: a line that cannot be read becomes a fault with
its offset and costs no other line. Values keep the decimals of the text: ``000123.456*kWh`` is 123456 Wh.
"""

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeAlias, cast

from meterspan.quantities import ClockStatus, ClockTime, Obis, Scaled, Unit, parse_obis, parse_unit
from meterspan.quantities.codes import CLOCK
from meterspan.wire.checksum import crc_16_arc
from meterspan.wire.cursor import Span, Trace
from meterspan.wire.errors import ChecksumError, TruncatedError, WireError
from meterspan.wire.p1.profiles import GENERIC, PROFILES, CrcPolicy, P1Profile

__all__ = [
    "CONTINUED_MAX",
    "MAX_LINES",
    "MAX_TELEGRAM_SIZE",
    "P1Fault",
    "P1Object",
    "P1Telegram",
    "P1Value",
    "crc_of",
    "fixed",
    "p1_object",
    "p1_time",
    "read_telegram",
    "write_telegram",
]

MAX_LINES = 1_024
"""The longest telegram seen has under 100 lines, one for each object."""
MAX_TELEGRAM_SIZE = 16_384
"""The largest seen is about 3 KB (13 months of peaks and a 1,024-character message); four times that is damage."""

CONTINUED_MAX = 8
"""Lines that continue one: DSMR 2 and 3 have one for the value of a gas meter."""

P1Value: TypeAlias = Scaled | ClockTime | Obis | str
"""A number with a unit, a time stamp, an OBIS reference (in logs and DSMR 3 gas values), or text unchanged."""

_HEADS_KEPT = 4_096  # line heads repeat for ever; a meter has about 40, hostile input can't grow the cache past this
_MBUS_VALUES = 24  # value group C of an M-Bus device's values


@dataclass(frozen=True, slots=True)
class P1Object:
    """One line of a telegram.

    Attributes:
        obis: what it is.
        values: each parenthesised group as a typed value, in order.
        text: the groups unchanged, with their parentheses.

    """

    obis: Obis
    values: tuple[P1Value, ...]
    text: str

    def __str__(self) -> str:
        """Write the line."""
        return f"{self.obis}{self.text}"


@dataclass(frozen=True, slots=True)
class P1Fault:
    """A line that could not be read: where it starts in the telegram, its text, and why."""

    offset: int
    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class P1Telegram:
    """A telegram as it was read.

    Attributes:
        identification: the first line without ``/``.
        objects: the readable lines in order.
        profile: the companion standard it was recognised as.
        crc: the CRC after ``!``, None where there is none.
        crc_matches: whether it is right; None where there was none to check or the profile has none.
        faults: the lines that could not be read.
        octets: the telegram as it was received, up to the end of its ``!`` line; not compared.

    """

    identification: str
    objects: tuple[P1Object, ...]
    profile: P1Profile = GENERIC
    crc: int | None = None
    crc_matches: bool | None = None
    faults: tuple[P1Fault, ...] = ()
    octets: bytes = field(default=b"", repr=False, compare=False)

    def find(self, obis: Obis) -> P1Object | None:
        """Return the first object of that OBIS code, or None."""
        return next((item for item in self.objects if item.obis == obis), None)

    @property
    def time(self) -> ClockTime | None:
        """The telegram's own time stamp (0-0:1.0.0), where it has a readable one."""
        found = self.find(CLOCK)
        return found.values[0] if found is not None and isinstance(found.values[0], ClockTime) else None


def read_telegram(octets: bytes, *, crc: CrcPolicy | None = None, trace: Trace | None = None) -> P1Telegram:
    """Read one telegram from ``/`` to ``!`` and its CRC; what follows is left alone.

    Args:
        octets: the telegram.
        crc: overrides the policy of the recognised profile; NONE reads on and only reports ``crc_matches``.
        trace: collects the meaning of each line.

    Raises:
        TruncatedError: there is no ``!`` line.
        ChecksumError: the CRC differs, or is missing where the profile requires it.
        WireError: it does not start with ``/``, is longer than ``MAX_TELEGRAM_SIZE`` or has more than ``MAX_LINES``.

    """
    if octets[:1] != b"/":
        raise WireError("does not start with '/'", 0, "identification", "IEC 62056-21, 6.3.2")
    end = octets.find(b"\n!") + 1 or octets.find(b"!")
    if end <= 0:
        raise TruncatedError("has no '!' line", len(octets), "end of telegram", "DSMR P1, 6.2")
    if end > MAX_TELEGRAM_SIZE:
        raise WireError(f"is longer than {MAX_TELEGRAM_SIZE} octets", MAX_TELEGRAM_SIZE, "telegram")
    if octets.count(b"\n", 0, end) > MAX_LINES:
        raise WireError(f"has more than {MAX_LINES} lines", end, "telegram")
    text = octets[:end].decode("latin-1")
    identification, _, body = text.partition("\n")
    profile = _profile(identification[1:], text)
    stated = _CRC.match(octets, end)
    policy = profile.crc if crc is None else crc
    value = int(stated[1], 16) if stated else None
    matches = None if value is None or profile.crc is CrcPolicy.NONE else crc_of(octets[: end + 1]) == value
    _check(policy, value, end, matches=matches)
    objects, faults = _read_body(body, len(identification) + 1, profile.standard_deviation_min, trace)
    if trace is not None:
        verdict = {True: "right", False: "wrong", None: "not checked"}[matches]
        trace.spans.insert(
            0, Span(0, octets[: len(identification)], "identification", f"maker and model; {profile.title}")
        )
        trace.add(end, stated[0] if stated else b"!", "CRC" if stated else "end", verdict)
    received = octets[: octets.find(b"\n", end) + 1 or None]
    return P1Telegram(identification[1:].strip(), tuple(objects), profile, value, matches, tuple(faults), received)


def write_telegram(
    identification: str, objects: "tuple[P1Object, ...] | list[P1Object]", *, profile: P1Profile
) -> bytes:
    """Write a telegram; the CRC is appended where the profile has one."""
    lines = "".join(f"{item}\r\n" for item in objects)
    octets = f"/{identification}\r\n\r\n{lines}!".encode("latin-1")
    return octets + (b"\r\n" if profile.crc is CrcPolicy.NONE else b"%04X\r\n" % crc_of(octets))


def crc_of(octets: bytes) -> int:
    """Compute the CRC-16/ARC over ``/`` to ``!`` inclusive (DSMR P1, 6.2)."""
    return crc_16_arc(octets)


def p1_object(obis: Obis, *groups: str, standard_deviation_min: int = -60) -> P1Object:
    """Build a line from the texts of its groups, typed as a reader would.

    Raises:
        ValueError: a group holds a parenthesis or a line end.

    """
    if any(set("()\r\n") & set(group) for group in groups) or not groups:
        raise ValueError("a P1 group is text without parentheses and line ends")
    values = tuple(_value(group, standard_deviation_min) for group in groups)
    return P1Object(obis, values, "".join(f"({group})" for group in groups))


def fixed(value: Scaled, unit: str, *, digits: int, decimals: int) -> str:
    """Write a number in the fixed width of the port: F9(3,3) kWh is ``digits=9, decimals=3`` -> ``000123.456*kWh``.

    The value is cut (never rounded up) to the decimals of the port, as a register display does.

    Args:
        value: the exact number.
        unit: the unit to write.
        digits: digits in all.
        decimals: digits after the point.

    Raises:
        ValueError: the unit has another dimension, or the number does not fit.

    """
    target, exponent = parse_unit(unit)
    exact, power = value.to(target), decimals - exponent
    number = exact.numerator * 10 ** max(0, power) // (exact.denominator * 10 ** max(0, -power))
    if number < 0 or number >= 10**digits:
        raise ValueError(f"{value} does not fit into F{digits}({decimals},{decimals}) {unit}")
    text = f"{number:0{digits}d}"
    return (f"{text[:-decimals]}.{text[-decimals:]}" if decimals else text) + f"*{unit}"


def p1_time(moment: ClockTime) -> str:
    """Write a time stamp as ``YYMMDDhhmmss`` with S (daylight saving) or W.

    Raises:
        ValueError: a field is not specified.

    """
    fields = (moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second)
    if any(field is None for field in fields):
        raise ValueError(f"{moment} leaves fields open that P1 needs")
    summer = moment.status is not None and bool(moment.status & ClockStatus.DAYLIGHT_SAVING_ACTIVE)
    return "".join(f"{(field or 0) % 100:02d}" for field in fields) + ("S" if summer else "W")


_CRC = re.compile(rb"!([0-9A-Fa-f]{1,4})(?=\s|\Z)")  # some meters print the number without leading zeros
_TIME = re.compile(r"(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)([SW]?)")
_PLAIN = re.compile(r"([^(]+)(\((\d{1,18})(?:\.(\d{0,12}))?\*([^()*]{1,8})\))$")
_NO_HEAD = "has no OBIS code"
_NUMBER = re.compile(r"-?\d{1,18}(?:\.\d{0,12})?")


def _check(policy: CrcPolicy, value: int | None, end: int, *, matches: bool | None) -> None:
    if matches is False and policy is not CrcPolicy.NONE:
        raise ChecksumError("CRC differs", end + 1, "CRC", "DSMR P1, 6.2")
    if value is None and policy is CrcPolicy.REQUIRED:
        raise ChecksumError("CRC is missing", end + 1, "CRC", "DSMR P1, 6.2")


def _profile(identification: str, text: str) -> P1Profile:
    for profile, marks in _MARKS:
        if any(mark in text for mark in marks):
            return profile
        if profile.identifications and identification.startswith(profile.identifications):
            return profile
    return GENERIC


_MARKS = tuple((profile, [f"\n{mark}({start}" for mark, start in profile.marks]) for profile in PROFILES)


def _read_body(body: str, base: int, deviation_min: int, trace: Trace | None) -> tuple[list[P1Object], list[P1Fault]]:
    lines = body.split("\n")
    found = [(_known_line if len(line) <= _LINE_KEPT_SIZE else _read_line)(line, deviation_min) for line in lines]
    if trace is None and str not in set(map(type, found)):
        return cast("list[P1Object]", [item for item in found if item is not None]), []
    objects: list[P1Object] = []
    faults: list[P1Fault] = []
    offset, continued = base, 0
    for line, item in zip(lines, found, strict=True):
        text, read = line.strip(), item
        if isinstance(read, P1Object):
            continued = 0
        elif read == _NO_HEAD and text[0] == "(" and objects and continued < CONTINUED_MAX:
            continued += 1
            read = _continued(objects.pop(), text, deviation_min)
        if isinstance(read, str):
            faults.append(P1Fault(offset, text, read))
        elif read is not None:
            objects.append(read)
        if trace is not None and read is not None:
            _explain(trace, offset, line, read)
        offset += len(line) + 1
    return objects, faults


def _read_line(raw: str, deviation_min: int) -> P1Object | str | None:
    """Read one line; return in words what is wrong with it where it is not an object, None where it is empty."""
    line = raw.strip()
    if not line:
        return None
    plain = _PLAIN.match(line)
    if plain is not None:
        head, text, whole, fraction, symbol = plain.groups("")
        obis, unit = _obis(head), _unit(symbol)
        if obis is not None and unit is not None:
            return P1Object(obis, (Scaled(int(whole + fraction), unit[1] - len(fraction), unit[0]),), text)
    head, paren, rest = line.partition("(")
    if not paren:
        return "is not a data line"
    if rest[-1:] != ")":
        return "the line breaks off"
    groups = rest[:-1].split(")(")
    if any("(" in group or ")" in group for group in groups):
        return "parentheses do not pair"
    if not head:
        return _NO_HEAD
    obis = _obis(head)
    if obis is None:
        return f"{head!r} is not an OBIS code"
    values = tuple(_value(group, deviation_min) for group in groups)
    return P1Object(obis, _local_times(obis, values, deviation_min), paren + rest)


# A meter repeats most of its lines from one telegram to the next: what they mean is kept, for short ones.
_LINES_KEPT, _LINE_KEPT_SIZE = 8_192, 128
_known_line = lru_cache(maxsize=_LINES_KEPT)(_read_line)


def _continued(last: P1Object, text: str, deviation_min: int) -> P1Object:
    """Join a line without a code to the one before: so DSMR 2 and 3 send the value of a gas meter."""
    values = tuple(_value(group, deviation_min) for group in text[1:-1].split(")("))
    return P1Object(last.obis, last.values + values, last.text + text)


@lru_cache(maxsize=_HEADS_KEPT)
def _obis(head: str) -> Obis | None:
    try:
        return parse_obis(head)
    except ValueError:
        return _short_obis(head.strip())


def _short_obis(head: str) -> Obis | None:
    """Read the short form ``1.8.0`` of IEC 62056-21 readouts as electricity of channel 0."""
    match = re.fullmatch(r"(\d{1,3})\.(\d{1,3})(?:\.(\d{1,3}))?(?:\*(\d{1,3}))?", head)
    if match is None:
        return None
    c, d, e, f = (
        int(group) if group else default for group, default in zip(match.groups(), (0, 0, 0, 255), strict=True)
    )
    return Obis(1, 0, c, d, e, f) if max(c, d, e, f) <= 0xFF else None


@lru_cache(maxsize=_HEADS_KEPT)
def _unit(symbol: str) -> tuple[Unit, int] | None:
    try:
        return parse_unit(symbol.strip())
    except ValueError:
        pass
    try:
        return parse_unit(_normal(symbol.strip()))
    except ValueError:
        return None


def _normal(symbol: str) -> str:
    """Bring spellings of the field (kVAr, KWH, M3) onto the table's."""
    prefix, rest = (symbol[:1].lower(), symbol[1:]) if symbol[:1] in {"k", "K"} else ("", symbol)
    known = {
        "var": "var",
        "varh": "varh",
        "va": "VA",
        "vah": "VAh",
        "w": "W",
        "wh": "Wh",
        "m3": "m3",
        "a": "A",
        "v": "V",
    }
    return prefix + known.get(rest.lower(), rest)


def _value(text: str, deviation_min: int) -> P1Value:
    number, star, symbol = text.partition("*")
    if star:
        unit = _unit(symbol)
        whole, _, fraction = number.partition(".")
        if unit is not None and _NUMBER.fullmatch(number):
            return Scaled(int(whole + fraction), unit[1] - len(fraction), unit[0])
        return text
    if len(text) == 13 and (match := _TIME.fullmatch(text)) is not None:
        return _time(match, deviation_min)
    if "-" in text and ":" in text:
        return _obis(text) or text
    return text


def _local_times(obis: Obis, values: tuple[P1Value, ...], deviation_min: int) -> tuple[P1Value, ...]:
    """Read times without S or W, which DSMR 2 and 3 write for M-Bus values; elsewhere twelve digits are a number."""
    if obis != CLOCK and obis.c != _MBUS_VALUES:
        return values
    matches = [(_TIME.fullmatch(value) if isinstance(value, str) else None) for value in values]
    return tuple(_time(match, deviation_min) if match else value for match, value in zip(matches, values, strict=True))


def _time(match: re.Match[str], deviation_min: int) -> ClockTime:
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    summer = match[7] == "S"
    return ClockTime(
        # DSMR logs hold times before 2000 as year 00; the century is the one that smart meters live in
        2000 + year,
        month,
        day,
        None,
        hour,
        minute,
        second,
        None,
        (deviation_min - 60 if summer else deviation_min) if match[7] else None,
        (ClockStatus.DAYLIGHT_SAVING_ACTIVE if summer else ClockStatus(0)) if match[7] else None,
    )


def _explain(trace: Trace, offset: int, line: str, found: P1Object | str) -> None:
    octets = line.rstrip("\r").encode("latin-1")
    if isinstance(found, str):
        trace.add(offset, octets, "line", f"unreadable: {found}")
    else:
        trace.add(offset, octets, str(found.obis), ", ".join(map(str, found.values)))
