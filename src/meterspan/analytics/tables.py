"""Exact Arrow columns: integers with a power of ten as decimals, UTC seconds as time stamps, quality bits as words.

Strategy: an ``int64`` array becomes ``decimal128`` by a change of its scale, without a Python object per value.
"""

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from meterspan.quantities import Quality

__all__ = ["TIME", "exact_column", "exact_field", "quality_column", "time_column"]

TIME: Final = pa.timestamp("s", "UTC")
"""Type of every time column."""
_DIGITS: Final = 38
"""Digits of a decimal128: an int64 times 10^19 still fits."""


def exact_field(name: str, exponent: int, unit: str) -> Any:
    """Return the field of ``exact_column``, its unit as metadata ``unit``."""
    return pa.field(name, pa.decimal128(_DIGITS, max(0, -exponent)), metadata={"unit": unit})


def exact_column(values: NDArray[np.int64], exponent: int, *, missing: NDArray[np.bool_] | None = None) -> Any:
    """Return integers times 10^``exponent`` as decimals, exactly; null where ``missing`` is true.

    Raises:
        ValueError: the exponent is outside -18..18.

    """
    if not -18 <= exponent <= 18:
        raise ValueError(f"exponent {exponent} is outside -18..18")
    whole = pa.array(values, mask=missing).cast(pa.decimal128(_DIGITS, 0))
    scaled = pa.Array.from_buffers(pa.decimal128(_DIGITS, -exponent), len(whole), whole.buffers())
    return scaled if exponent <= 0 else scaled.cast(pa.decimal128(_DIGITS, 0))


def time_column(seconds: NDArray[np.int64], missing: int | None = None) -> Any:
    """Return UTC seconds as time stamps; null where they are ``missing``."""
    mask = None if missing is None else seconds == missing
    return pa.array(seconds, pa.int64(), mask=mask).cast(TIME)


def quality_column(quality: Iterable[int]) -> Any:
    """Return quality bits as lists of their names in lower case, empty where nothing is against a value."""
    words = {bits: [flag.name.lower() for flag in Quality(bits) if flag.name] for bits in set(quality)}
    return pa.array([words[bits] for bits in quality], pa.list_(pa.string()))
