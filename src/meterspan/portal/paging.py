"""Lists of any length, searched and cut on the server: a page shows a bounded part and says how much there is."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar

from fastapi import Query

from meterspan.model.views import Home, MeterStatus

__all__ = [
    "PAGE_ROWS",
    "Listing",
    "PageNumber",
    "Search",
    "found_rows",
    "listing_of",
    "natural",
    "text_of_home",
    "text_of_meter",
]

RowT = TypeVar("RowT")

PAGE_ROWS = 50
"""Rows of a page: some screens of a desk, and far below 300 KB."""
QUERY_MAX = 200
"""Characters of a search: longer than any name of a meter or a home."""
_DIGITS = re.compile(r"([0-9]+)")
_DIGITS_MAX = 4_000
"""Python reads no longer number."""
Search = Annotated[str, Query(alias="q", max_length=QUERY_MAX, description="Only rows that hold these words.")]
PageNumber = Annotated[int, Query(ge=1, le=1_000_000)]


@dataclass(frozen=True, slots=True)
class Listing(Generic[RowT]):
    """A part of a list.

    Attributes:
        rows: what is shown.
        page: its number, from 1.
        pages: how many there are, at least 1.
        found: how many rows fit the search.
        total: how many rows there are.
        query: the search, "" for none.

    """

    rows: Sequence[RowT]
    page: int
    pages: int
    found: int
    total: int
    query: str

    @property
    def first(self) -> int:
        """Number of the first row shown, from 1; 0 where none is."""
        return (self.page - 1) * PAGE_ROWS + 1 if self.rows else 0

    @property
    def last(self) -> int:
        """Number of the last row shown."""
        return max(0, self.first + len(self.rows) - 1)


def natural(name: str) -> tuple[tuple[str, int], ...]:
    """Return the key that sorts names as people count: home-2 before home-10."""
    parts = _DIGITS.split(name.casefold())
    return tuple(
        (word, int(number[:_DIGITS_MAX]) if number else -1)
        for word, number in zip(parts[::2], (*parts[1::2], ""), strict=True)
    )


def listing_of(
    rows: Sequence[RowT], *, text: Callable[[RowT], str] = str, query: str = "", page: int = 1
) -> Listing[RowT]:
    """Return the rows of a page whose text holds every word of the query, whatever their case.

    Args:
        rows: all rows, in the order of the list.
        text: returns what of a row is searched.
        query: words.
        page: from 1; a number beyond the last is the last.

    """
    found = found_rows(rows, text, query)
    pages = max(1, -(-len(found) // PAGE_ROWS))
    page = min(max(1, page), pages)
    part = found[(page - 1) * PAGE_ROWS : page * PAGE_ROWS]
    return Listing(part, page, pages, len(found), len(rows), " ".join(query.split()))


def found_rows(rows: Sequence[RowT], text: Callable[[RowT], str], query: str) -> Sequence[RowT]:
    """Return the rows whose text holds every word of the query, whatever their case; all where it has no word."""
    words = query.casefold().split()
    return [row for row in rows if _holds(text(row), words)] if words else rows


def text_of_home(home: Home) -> str:
    """Return what a home is found by: its name, its id, its meters and usage points."""
    return " ".join((home.name, home.home_id, *(f"{point.meter} {point.usage_point}" for point in home.usage_points)))


def text_of_meter(meter: MeterStatus) -> str:
    """Return what a meter is found by: its name, its usage point with the home, and its network."""
    return f"{meter.device} {meter.usage_point} {meter.network}"


def _holds(text: str, words: Sequence[str]) -> bool:
    folded = text.casefold()
    return all(word in folded for word in words)
