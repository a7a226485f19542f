"""The one error tree of octets that are not what they should be.

WireError                any octets give a record or one of these; nothing else
├── TruncatedError       the octets end before the field does (a stream reader may wait for more)
├── ChecksumError        CRC, FCS, HCS, checksum or length check differs
├── UnsupportedError     well-formed, but of a kind that this reader does not know
│   └── UnknownLayoutError  plain values in an order that is not known
├── ImplausibleError     well-formed, but the values cannot be those of this device
└── SecurityError        the protection could not be removed
    ├── KeyMissingError  no key was given for this device
    ├── KeyWrongError    a key was given and does not fit
    └── ReplayError      the invocation counter was seen before
"""

import re

__all__ = [
    "ChecksumError",
    "ImplausibleError",
    "KeyMissingError",
    "KeyWrongError",
    "ReplayError",
    "SecurityError",
    "TruncatedError",
    "UnknownLayoutError",
    "UnsupportedError",
    "WireError",
]


_ONE = re.compile(r"(?<![\d.,])\b1 (attribute|column|element|frame|item|line|method|object|octet|value)s\b")
_WORD = re.compile(r"[^\W_]+")


class WireError(Exception):
    """Octets that cannot be read: the peer's fault, never ours.

    Attributes:
        reason: what is wrong, in words.
        offset: octets from the start of what was read, or None where no single place is at fault.
        field: the standard's name of the field, or "".
        clause: the standard's clause that was broken, or "".

    """

    def __init__(self, reason: str, offset: int | None = None, field: str = "", clause: str = "") -> None:
        super().__init__(reason, offset, field, clause)
        self.reason = reason
        self.offset = offset
        self.field = field
        self.clause = clause

    def __str__(self) -> str:
        """Write ``field: reason, at octet n (clause)``; a field whose words the reason has is not said twice."""
        reason = _ONE.sub(r"1 \1", self.reason)
        said = set(_WORD.findall(self.reason))
        subject = "" if said.issuperset(_WORD.findall(self.field)) else f"{self.field}: "
        where = "" if self.offset is None else f", at octet {self.offset}"
        clause = f" ({self.clause})" if self.clause else ""
        return f"{subject}{reason}{where}{clause}"


class TruncatedError(WireError):
    """The octets end before the field does."""


class ChecksumError(WireError):
    """A check over the octets differs."""


class UnsupportedError(WireError):
    """Well-formed octets of a kind that this reader does not know."""


class UnknownLayoutError(UnsupportedError):
    """Values without names, and no list is known that names them by their order."""


class ImplausibleError(WireError):
    """Well-formed octets whose values cannot be those of their device."""


class SecurityError(WireError):
    """The protection could not be removed."""


class KeyMissingError(SecurityError):
    """The payload is encrypted and no key is at hand for this device.

    Attributes:
        system_title: by which it is encrypted, b"" where it has none. Anybody can write one.

    """

    def __init__(
        self, reason: str, offset: int | None = None, field: str = "", clause: str = "", *, system_title: bytes = b""
    ) -> None:
        super().__init__(reason, offset, field, clause)
        self.system_title = system_title


class KeyWrongError(SecurityError):
    """A key is at hand, and it does not fit these octets."""


class ReplayError(SecurityError):
    """The invocation counter is not above the last accepted one.

    Attributes:
        expected: the least counter that would be accepted, or None where that is not known.

    """

    def __init__(
        self, reason: str, offset: int | None = None, field: str = "", clause: str = "", *, expected: int | None = None
    ) -> None:
        super().__init__(reason, offset, field, clause)
        self.expected = expected
