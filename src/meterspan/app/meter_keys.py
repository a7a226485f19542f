"""The secrets of one meter, as programs hold them."""

from dataclasses import dataclass, field, replace

from meterspan.model.radio_protection import RadioProtection
from meterspan.quantities import Scaled

__all__ = ["MeterKeys"]


@dataclass(frozen=True, slots=True)
class MeterKeys:
    """The secrets of one meter; unused ones are empty.

    Attributes:
        key: global unicast encryption key, or the AES key of a radio meter.
        auth_key: authentication key of DLMS.
        password: of low level security.
        protection: the least protection of a radio meter's telegrams.
        hourly_max: the most by which a radio meter's register can rise in an hour; None: the most of any
            building.

    """

    key: bytes = field(default=b"", repr=False)
    auth_key: bytes = field(default=b"", repr=False)
    password: bytes = field(default=b"", repr=False)
    protection: RadioProtection = RadioProtection.ENCRYPTED
    hourly_max: Scaled | None = None

    def completed(self, other: "MeterKeys") -> "MeterKeys":
        """Return these secrets, with those of ``other`` where these are empty."""
        key, auth_key = self.key or other.key, self.auth_key or other.auth_key
        return replace(self, key=key, auth_key=auth_key, password=self.password or other.password)
