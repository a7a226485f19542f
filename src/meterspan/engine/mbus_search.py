"""The search of a wired M-Bus segment for its slaves (EN 13757-2:2018, 5.7.5 and EN 13757-3:2018, 12.4).

Strategy: a ``MbusMaster`` does the asking. By primary address each slave is initialised (SND_NKE), and one that
acknowledges is read: its first telegram identifies it, and a damaged one shows that several answer. By secondary
address the master narrows wildcards digit by digit until each answer is of one slave.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from meterspan.engine.mbus_link import (
    HEX_DIGITS,
    ID_DIGITS,
    Acknowledged,
    Collision,
    DataRead,
    Failed,
    Found,
    LineFault,
    LineSettings,
    MasterEvent,
    Probing,
    RequestKind,
    SearchFinished,
)
from meterspan.engine.mbus_machine import MasterMachine
from meterspan.model.failures import Failure, FailureKind
from meterspan.wire.mbus.address import DeviceAddress

__all__ = [
    "PRIMARY_ADDRESSES",
    "BusSearch",
    "SearchEnded",
    "SearchEvent",
    "SearchProgress",
    "SlaveFound",
    "SlavesCollided",
    "primary_search",
    "secondary_search",
]

PRIMARY_ADDRESSES: Final = range(251)
"""The addresses that slaves can have; 0 is a slave that was given none yet (EN 13757-2:2018, 5.7.5)."""


@dataclass(frozen=True, slots=True)
class SlaveFound:
    """A slave answers.

    Attributes:
        primary: its primary address.
        identity: its secondary address; None where it gives no data, or data without one.

    """

    primary: int
    identity: DeviceAddress | None


@dataclass(frozen=True, slots=True)
class SlavesCollided:
    """Several slaves answer at once and this search cannot tell them apart.

    Attributes:
        primary: the primary address that they share; None in a search by secondary address.
        digits: the identification number that they share; "" in a search by primary address.

    """

    primary: int | None = None
    digits: str = ""


@dataclass(frozen=True, slots=True)
class SearchProgress:
    """What is asked for now (a primary address, or the beginning of a number), and the share that was searched."""

    asking: str
    share: Fraction


@dataclass(frozen=True, slots=True)
class SearchEnded:
    """The search ended; ``failure`` says why it is not complete, None where it is."""

    failure: Failure | None = None


SearchEvent = SlaveFound | SlavesCollided | SearchProgress | SearchEnded


class BusSearch(MasterMachine[SearchEvent]):
    """One search; a ``Machine`` of ``SearchEvent`` that ends with exactly one ``SearchEnded``.

    Args:
        addresses: the primary addresses to ask; None searches by secondary address.
        digits: how the identification numbers begin that a search by secondary address is for.
        settings: timing of the segment, and whether numbers have hexadecimal digits.

    Raises:
        ValueError: an address is not a primary address, or a digit is not a digit.

    """

    def __init__(self, addresses: Sequence[int] | None, digits: str, settings: LineSettings | None = None) -> None:
        if any(address not in PRIMARY_ADDRESSES for address in addresses or ()):
            raise ValueError(f"a slave's primary address is 0 to {PRIMARY_ADDRESSES[-1]}")
        if len(digits) > ID_DIGITS or any(digit not in HEX_DIGITS for digit in digits):
            raise ValueError(f"{digits!r} is not the beginning of an identification number")
        super().__init__(settings)
        self._digits = digits
        self._addresses = None if addresses is None else deque(dict.fromkeys(addresses))
        self._count = len(self._addresses or ())
        self._has_begun = False

    def start(self, now: float) -> None:
        """Begin; call it when the medium is there."""
        if self._has_begun or self._is_over:
            return
        self._has_begun = True
        if self._addresses is None:
            self._master.search(now, self._digits)
            self._pump(now)
        else:
            self._ask_next(self._addresses, now)

    def _take(self, event: MasterEvent, now: float) -> None:
        if self._addresses is None:
            self._note_secondary(event)
        else:
            self._note_primary(event, self._addresses, now)

    def _failed(self, failure: Failure) -> SearchEvent:
        return SearchEnded(failure)

    def _note_secondary(self, event: MasterEvent) -> None:
        match event:
            case Probing():
                self._events.append(SearchProgress(event.digits, event.share))
            case Found():
                self._events.append(SlaveFound(event.primary, event.address))
            case Collision():
                self._events.append(SlavesCollided(digits=event.digits))
            case SearchFinished():
                failure = Failure(FailureKind.DAMAGED, "every answer was damaged, or of a slave that was not selected")
                self._end(SearchEnded(None if event.is_complete else failure))
            case _:
                pass

    def _note_primary(self, event: MasterEvent, addresses: deque[int], now: float) -> None:
        match event:
            case Acknowledged():
                self._master.read(event.request.address, now, is_first_only=True)
                return
            case DataRead():
                self._events.append(SlaveFound(event.address, event.messages[0].transport.address))
            case Failed() if event.fault is LineFault.DAMAGED:
                self._events.append(SlavesCollided(event.request.address))
            case Failed() if event.request.kind is RequestKind.READ:
                self._events.append(SlaveFound(event.request.address, None))
            case _:
                pass
        self._ask_next(addresses, now)

    def _ask_next(self, addresses: deque[int], now: float) -> None:
        if not addresses:
            self._end(SearchEnded(None))
            return
        address = addresses.popleft()
        self._events.append(SearchProgress(str(address), 1 - Fraction(len(addresses) + 1, self._count)))
        self._master.initialise(address, now)


def primary_search(addresses: Sequence[int], settings: LineSettings | None = None) -> BusSearch:
    """Return a search that asks primary addresses one after the other.

    Raises:
        ValueError: one of them is no slave's address.

    """
    return BusSearch(addresses, "", settings)


def secondary_search(digits: str = "", settings: LineSettings | None = None) -> BusSearch:
    """Return a search for all slaves whose identification number begins with these digits.

    Raises:
        ValueError: they are not the beginning of an identification number.

    """
    return BusSearch(None, digits, settings)
