"""The log of defects: an exception that nobody expects, at one place, with its trace once a minute.

An item, a connection or a service that meets a defect fails alone; what is beside it goes on.
"""

import logging
import time
from dataclasses import dataclass
from typing import Final

__all__ = ["note_defect"]

TRACED_EVERY_S: Final = 60.0
"""A defect at one place is logged with its trace so often: a peer that causes it again and again fills no disk."""
PLACES_KEPT: Final = 256

_log = logging.getLogger("meterspan.runtime")


@dataclass(slots=True)
class _DefectCount:
    traced_at: float
    left_out: int = 0


_places: dict[tuple[str, str], _DefectCount] = {}


def note_defect(what: str, error: BaseException, **fields: object) -> None:
    """Log a defect: with its trace where that was not done within the last minute, else it is counted.

    Args:
        what: the sentence, which names no item: defects of one sentence and one exception class are one place.
        error: the exception.
        fields: what it was about: device, peer, source.

    """
    key, now = (what, type(error).__name__), time.monotonic()
    place = _places.get(key)
    if place is not None and now - place.traced_at < TRACED_EVERY_S:
        place.left_out += 1
        return
    left_out = 0 if place is None else place.left_out
    _places.pop(key, None)
    while len(_places) >= PLACES_KEPT:
        del _places[next(iter(_places))]
    _places[key] = _DefectCount(now)
    extra = fields | ({"left_out": left_out} if left_out else {})
    _log.error(what, exc_info=error, extra=extra)
