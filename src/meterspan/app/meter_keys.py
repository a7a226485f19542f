"""The secrets of one meter, as programs hold them."""

from dataclasses import dataclass, field

__all__ = ["MeterKeys"]


@dataclass(frozen=True, slots=True)
class MeterKeys:
    """The secrets of one meter; unused ones are empty.

    Attributes:
        key: global unicast encryption key, or the AES key of a radio meter.
        auth_key: authentication key of DLMS.
        password: of low level security.

    """

    key: bytes = field(default=b"", repr=False)
    auth_key: bytes = field(default=b"", repr=False)
    password: bytes = field(default=b"", repr=False)

    def completed(self, other: "MeterKeys") -> "MeterKeys":
        """Return these secrets, with those of ``other`` where these are empty."""
        return MeterKeys(self.key or other.key, self.auth_key or other.auth_key, self.password or other.password)
