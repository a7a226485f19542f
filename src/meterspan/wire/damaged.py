"""What a stream reader hands out for octets that are no frame: kept with the reason, never lost and never raised."""

from dataclasses import dataclass

from meterspan.wire.errors import WireError

__all__ = ["Damaged"]


@dataclass(frozen=True, slots=True)
class Damaged:
    """A run of octets between frames, and why it could not be read."""

    octets: bytes
    error: WireError
