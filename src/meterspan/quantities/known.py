"""Sums of what is known: nothing known is None, never 0."""

from collections.abc import Iterable
from decimal import Decimal

__all__ = ["known_sum"]


def known_sum(amounts: Iterable[Decimal | None]) -> Decimal | None:
    """Return the exact sum of the known amounts, None where none is known."""
    known = [amount for amount in amounts if amount is not None]
    return sum(known, Decimal(0)) if known else None
