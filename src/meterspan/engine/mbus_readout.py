"""One readout of a wired M-Bus slave: address it and read all its telegrams (EN 13757-3:2018, clause 12).

Strategy: a ``MbusMaster`` does the asking. A slave with a primary address is initialised (SND_NKE) and read; one with a
secondary address is selected and read at 253. A slave that leaves SND_NKE unanswered is read all the same.
"""

from dataclasses import dataclass
from typing import Final

from meterspan.engine.mbus_link import (
    ID_DIGITS,
    Acknowledged,
    DataRead,
    Failed,
    LineFault,
    LineSettings,
    MasterEvent,
    RequestKind,
)
from meterspan.engine.mbus_machine import MasterMachine
from meterspan.model.failures import Failure, FailureKind
from meterspan.wire.mbus.application import Selection
from meterspan.wire.mbus.link import Address

__all__ = ["MbusReadout", "ReadoutDone", "ReadoutEvent", "ReadoutFailed", "SlaveAddress", "parse_slave"]

PRIMARY_MAX: Final = 250
SECONDARY_DIGITS: Final = 16


@dataclass(frozen=True, slots=True)
class SlaveAddress:
    """Which slave is meant.

    Attributes:
        primary: 0 to 250, or 254, which every slave answers to; not used where there is a secondary address.
        secondary: selects a slave by its identification.

    """

    primary: int = Address.TEST
    secondary: Selection | None = None


def parse_slave(address: str | None, secondary: str | None) -> SlaveAddress:
    """Read a slave's address as a user writes it.

    Args:
        address: the primary address; None where the bus has one slave only.
        secondary: eight digits of the identification number, or sixteen hexadecimal digits: these, then manufacturer,
            version and medium as transmitted. F stands for any digit.

    Raises:
        ValueError: it is no address; the message names the accepted forms.

    """
    if secondary:
        digits = secondary.ljust(SECONDARY_DIGITS, "F") if len(secondary) == ID_DIGITS else secondary
        try:
            octets = bytes.fromhex(digits)
        except ValueError:
            octets = b""
        if len(octets) * 2 != SECONDARY_DIGITS:
            raise ValueError(f"{secondary!r} is no secondary address: 8 or 16 digits, F for any")
        return SlaveAddress(Address.NETWORK_LAYER, Selection(octets[3::-1] + octets[4:]))
    if not address:
        return SlaveAddress()
    if not address.isdecimal() or not (int(address) <= PRIMARY_MAX or int(address) == Address.TEST):
        raise ValueError(f"{address!r} is no primary address: 0 to {PRIMARY_MAX}, or {int(Address.TEST)} for any slave")
    return SlaveAddress(int(address))


@dataclass(frozen=True, slots=True)
class ReadoutDone:
    """A slave was read.

    Attributes:
        frames: its long frames, in order.
        is_complete: False where the slave repeated a telegram and never ended the readout.

    """

    frames: tuple[bytes, ...]
    is_complete: bool


@dataclass(frozen=True, slots=True)
class ReadoutFailed:
    """A slave could not be read; ``octets`` is a damaged answer, as far as it is kept."""

    failure: Failure
    octets: bytes = b""


ReadoutEvent = ReadoutDone | ReadoutFailed


class MbusReadout(MasterMachine[ReadoutEvent]):
    """One readout; a ``Machine`` of ``ReadoutEvent`` that ends with exactly one event.

    Args:
        slave: who is read.
        settings: timing of the segment.

    """

    def __init__(self, slave: SlaveAddress, settings: LineSettings | None = None) -> None:
        super().__init__(settings)
        self._slave = slave

    def start(self, now: float) -> None:
        """Begin; call it when the medium is there."""
        if self._slave.secondary is None:
            self._master.initialise(self._slave.primary, now)
        else:
            self._master.select(self._slave.secondary, now)

    def _take(self, event: MasterEvent, now: float) -> None:
        match event:
            case DataRead():
                self._end(self._checked(event))
            case Acknowledged():
                self._master.read(self._slave.primary, now)
            case Failed() if event.request.kind is RequestKind.INITIALISE and event.fault is LineFault.SILENCE:
                self._master.read(self._slave.primary, now)
            case Failed():
                self._end(ReadoutFailed(self._failure(event), event.octets))
            case _:
                pass

    def _checked(self, read: DataRead) -> ReadoutEvent:
        """Return the readout, or the failure that a slave with another identification answered the selection."""
        selection = self._slave.secondary
        for message, frame in zip(read.messages, read.frames, strict=True):
            address = message.transport.address
            if selection is not None and address is not None and not selection.matches(address):
                failure = Failure(FailureKind.UNKNOWN_DEVICE, f"{address} answers, which was not selected")
                return ReadoutFailed(failure, frame)
        return ReadoutDone(read.frames, read.is_complete)

    def _failure(self, event: Failed) -> Failure:
        kind = FailureKind.TIMEOUT if event.fault is LineFault.SILENCE else FailureKind.DAMAGED
        who = "the selected slave" if self._slave.secondary is not None else f"address {self._slave.primary}"
        return Failure(kind, f"{event.fault.value} of {who} to {event.request.kind.value}")

    def _failed(self, failure: Failure) -> ReadoutEvent:
        return ReadoutFailed(failure)
