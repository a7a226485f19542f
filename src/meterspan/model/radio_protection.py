"""How well a radio meter's telegrams must be protected before anything of them is believed (EN 13757-7:2018, 7.7).

The required protection belongs to the installed meter, never to the telegram: what a sender leaves out cannot lower it.
"""

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from meterspan.quantities import Scaled

__all__ = ["RadioPrecedence", "RadioProtection", "RadioSettings", "required_of"]


class RadioProtection(StrEnum):
    """The least protection of a telegram; the values stand in key files, so they are never renamed."""

    INSECURE_PLAIN = "insecure-plain"
    """None: anybody in radio range can forge the meter's readings. Only for a meter that has no key."""
    ENCRYPTED = "encrypted"
    """Decrypted correctly in mode 5, or by the extended link layer; or authenticated. Encryption alone does not
    authenticate: a telegram that was recorded can be altered and sent again, within what is plausible."""
    AUTHENTICATED = "authenticated"
    """Mode 7 with a MAC of at least eight octets: neither altered nor sent again."""


class RadioPrecedence(IntEnum):
    """Whose telegrams are processed first where more arrive than can be."""

    PROVED = 0
    """Of an installed meter, and its key opens it."""
    INSTALLED = 1
    """It names an installed meter, and proves nothing: anybody can send it."""
    UNKNOWN = 2
    """It names no installed meter."""


@dataclass(frozen=True, slots=True)
class RadioSettings:
    """How an installed radio meter is configured.

    Attributes:
        key: AES-128 key of its telegrams; b"" where it is not known, or the meter has none.
        protection: the least protection of a telegram that is believed.
        hourly_max: the most by which its register can rise in an hour, by the size of the connection; None: the
            most of any building.

    Raises:
        ValueError: the protection does not fit to the key.

    """

    key: bytes = field(default=b"", repr=False)
    protection: RadioProtection = RadioProtection.ENCRYPTED
    hourly_max: Scaled | None = None

    def __post_init__(self) -> None:
        required_of(self.protection, has_key=bool(self.key))


def required_of(protection: RadioProtection, *, has_key: bool) -> RadioProtection:
    """Return the protection of an installed meter, if it fits to whether its key is known.

    Raises:
        ValueError: a meter with a key would be believed without it, or an authenticated one has no key.

    """
    if has_key and protection is RadioProtection.INSECURE_PLAIN:
        raise ValueError("a meter whose key is known cannot be insecure-plain: anybody could forge its readings")
    if not has_key and protection is RadioProtection.AUTHENTICATED:
        raise ValueError("an authenticated meter needs a key")
    return protection
