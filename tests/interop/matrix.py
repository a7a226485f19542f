"""The interoperability matrix: what each peer was tried with, made of the marks and results of the tests themselves.

``@pytest.mark.matrix(Row.…)`` names the rows that a test proves, ``@pytest.mark.peer("…")`` on it or its module the
peer, and a parameter the link. A test that skips gives its reason to its cell. Both marks and the results travel in the
tests' own reports, so that parallel runs give the same table.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

import pytest

__all__ = ["Cell", "MatrixPlugin", "Row", "matrix_lines", "note_cells"]

PROPERTY = "interoperability"
_LINKS = {"wrapper": "wrapper", "hdlc": "HDLC", "tcp": "wrapper", "udp": "UDP", "hdlc+tcp": "HDLC"}
_LINK_PARAMETERS = ("our_meter", "gurux_meter", "link", "scheme")


class Row(StrEnum):
    """The rows, in the order in which they are printed."""

    ASSOCIATION = "our meter: no security, LLS, HLS-GMAC ciphered"
    REFUSED = "our meter: wrong password, key, counter refused"
    OBJECTS = "our meter: clock, registers, scalers, object list"
    PROFILE = "our meter: profile whole, by range"
    ENTRIES = "our meter: profile by entry"
    COLUMNS = "our meter: selection of columns"
    BLOCKS = "our meter: long GET in blocks, PDU 128 and 256"
    PDU_64 = "our meter: PDU 64"
    LIST = "our meter: GET with list, also in blocks"
    WRITE = "our meter: SET clock, limiter; ACTION"
    DENIED = "our meter: denied, unknown OBIS, wrong class"
    RELEASE = "our meter: RLRQ, plain and protected"
    DISCONNECT = "our meter: DISC"
    DEDICATED = "our meter: dedicated key, general and service-specific ciphering"
    WEAKER = "our meter: authenticated only, encrypted only: refused"
    BLOCK_TRANSFER = "our meter: general block transfer: negotiated off"
    ACCESS = "our meter: ACCESS: refused"
    SHORT_NAMES = "our meter: short names: refused"
    INFORMATION = "our meter: HDLC information field of 16 to 2030"
    WINDOW = "our meter: HDLC window above 1"
    ADDRESS = "our meter: HDLC server address of 1, 2, 4 octets"
    COMPACT_ARRAY = "compact-array as we write it"
    PUSH_SETUP = "our meter: push setup, method push"
    OUR_PUSH = "a push of our meter by its push object list"
    OUR_EVENT = "an event notification of our meter"
    THEIR_PUSH = "serve takes a push, ciphered: own list, known list"
    THEIR_PLAIN_PUSH = "serve takes a push without protection"
    THEIR_EVENT = "serve takes an event notification"
    THEIR_METER = "we read a meter: clock, registers, profile, object list"
    PROGRAMS = "the commands meter and read"
    P1 = "P1 telegrams of our meter"
    WIRED = "wired M-Bus frames of ours"
    WIRELESS = "wireless M-Bus telegrams of ours"
    BUS = "wired M-Bus: as master of our slaves, as slaves of ours"


class Cell:
    """The outcomes of one cell: how many tests passed and failed, and the reasons of those that were skipped."""

    def __init__(self) -> None:
        self.passed = 0
        self.failed = 0
        self.reasons: list[str] = []

    def text(self, footnotes: list[str]) -> str:
        """Return the text of the cell; reasons become footnotes."""
        for reason in self.reasons:
            if reason not in footnotes:
                footnotes.append(reason)
        notes = "".join(f"[{footnotes.index(reason) + 1}]" for reason in dict.fromkeys(self.reasons))
        state = "FAIL" if self.failed else "pass" if self.passed else ""
        return f"{state} {notes}".strip()


def note_cells(items: Iterable[pytest.Item]) -> None:
    """Write the cells of each marked test into its report."""
    for item in items:
        peers = [mark.args[0] for mark in item.iter_markers("peer")][:1]
        rows = [row for mark in item.iter_markers("matrix") for row in mark.args]
        item.user_properties += [(PROPERTY, [str(row), _column(peer, item)]) for row in rows for peer in peers]


class MatrixPlugin:
    """Collects the reports of marked tests, and prints the matrix at the end."""

    def __init__(self) -> None:
        self.cells: dict[tuple[str, str], Cell] = defaultdict(Cell)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count one report."""
        if report.when != "call" and report.passed:
            return
        for row, column in (value for name, value in report.user_properties if name == PROPERTY):
            cell = self.cells[row, column]
            if report.failed:
                cell.failed += 1
            elif report.skipped:
                cell.reasons.append(_reason(report))
            else:
                cell.passed += 1

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the matrix."""
        terminalreporter.section("interoperability")
        for line in matrix_lines(self.cells):
            terminalreporter.write_line(line)


def matrix_lines(tried: Mapping[tuple[str, str], Cell]) -> list[str]:
    """Return the matrix as lines: peers over a link, then readers of what we write, then the reasons."""
    footnotes: list[str] = []
    cells = defaultdict(Cell, tried)
    columns = sorted({column for _, column in cells})
    linked = [column for column in columns if column.endswith(tuple(_LINKS.values()))]
    lines = []
    for group in (linked, [column for column in columns if column not in linked]):
        if group:
            lines += [*_table(cells, group, footnotes), ""]
    return [*lines, *(f"[{number}] {reason}" for number, reason in enumerate(footnotes, 1))]


def _table(cells: defaultdict[tuple[str, str], Cell], columns: Sequence[str], footnotes: list[str]) -> list[str]:
    rows = [row for row in Row if any((row, column) in cells for column in columns)]
    table = [["", *columns]]
    table += [[row, *(cells[row, column].text(footnotes) for column in columns)] for row in rows]
    widths = [max(len(line[place]) for line in table) for place in range(len(table[0]))]
    return ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in table]


def _column(peer: str, item: pytest.Item) -> str:
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    link = next((parameters[name] for name in _LINK_PARAMETERS if name in parameters), None)
    return f"{peer} {_LINKS[link]}" if link in _LINKS else peer


def _reason(report: pytest.TestReport) -> str:
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")
