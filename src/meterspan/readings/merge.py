"""Several frames in one input: one answer with the readings of all, in order."""

from collections.abc import Sequence

from meterspan.model.telegram import DecodedTelegram, DeviceIdentity
from meterspan.wire.errors import WireError

__all__ = ["merge"]

MAX_ERRORS = 4


def merge(telegrams: Sequence[DecodedTelegram]) -> DecodedTelegram:
    """Join the answers: identity and time of the first that has one, readings of all, the first errors."""
    if len(telegrams) == 1:
        return telegrams[0]
    if not telegrams:
        return DecodedTelegram("unknown", errors=(WireError("there is nothing to decode"),))
    errors = {str(error): error for telegram in telegrams for error in telegram.errors}
    return DecodedTelegram(
        next((telegram.protocol for telegram in telegrams if telegram.readings), telegrams[0].protocol),
        next((telegram.device for telegram in telegrams if telegram.device.id), DeviceIdentity()),
        next((telegram.time for telegram in telegrams if telegram.time), None),
        tuple(reading for telegram in telegrams for reading in telegram.readings),
        tuple(errors.values())[:MAX_ERRORS],
    )
