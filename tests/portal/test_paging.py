"""A page of a list is bounded, the pages together are the list, and a search finds what holds every word."""

from hypothesis import given
from hypothesis import strategies as st

from meterspan.portal.paging import PAGE_ROWS, listing_of

names = st.lists(st.text("abAB 1", max_size=6), max_size=170)


@given(names, st.text("abAB 1", max_size=4))
def test_the_pages_are_together_every_row_that_holds_the_words_in_order(rows, query):
    wanted = [row for row in rows if all(word in row.casefold() for word in query.casefold().split())]
    first = listing_of(rows, text=str, query=query)
    pages = [listing_of(rows, text=str, query=query, page=number) for number in range(1, first.pages + 1)]
    assert [row for page in pages for row in page.rows] == wanted
    assert all(len(page.rows) <= PAGE_ROWS for page in pages)
    assert {(page.found, page.total) for page in pages} == {(len(wanted), len(rows))}
    for page in pages:
        assert list(page.rows) == wanted[max(0, page.first - 1) : page.last]


@given(st.integers(-5, 10**7), st.integers(0, 200))
def test_any_number_is_a_page_that_exists(number, length):
    page = listing_of(range(length), text=str, page=number)
    assert 1 <= page.page <= page.pages
    assert bool(page.rows) == bool(length)
    assert page.page == number or not 1 <= number <= page.pages
