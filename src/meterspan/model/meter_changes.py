"""Changes of meters by command: what is ordered, what is answered, and the desk that takes orders.

A change is complete in itself, so that one that was cut off can be finished at the next start.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol, Self

__all__ = [
    "ChangeKind",
    "ChangeRefusedError",
    "ChangeView",
    "ChangeWish",
    "InstallationView",
    "MeterChange",
    "MeterDesk",
]


class ChangeKind(StrEnum):
    """What is done with a meter; the values are stored, so they are never renamed."""

    ADD = "add"
    EXCHANGE = "exchange"
    MOVE = "move"
    REMOVE = "remove"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class ChangeWish:
    """What somebody asks for.

    Attributes:
        kind: what is to be done.
        device: with which meter.
        entry: fields of a new meter, as under ``[[meters]]`` of the configuration; for an exchange those in which it
            differs from the old one, its ``device`` at least.
        home: where it moves.
        usage_point: there; "" is the home's own.
        at: when, aware; None is now.
        closing: last registers at the old place or of the old meter: ``1-0:1.8.0 6504.555 kWh``.
        opening: first registers of the new meter.
        author: who asks.

    """

    kind: ChangeKind
    device: str
    entry: Mapping[str, object] | None = None
    home: str = ""
    usage_point: str = ""
    at: datetime | None = None
    closing: Sequence[str] = ()
    opening: Sequence[str] = ()
    author: str = ""


@dataclass(frozen=True, slots=True)
class MeterChange:
    """What changes in the registry.

    Attributes:
        kind: what is done.
        device: with which meter.
        at: when, UTC seconds.
        usage_point: where it is, or where a new one comes.
        home: the home there, or the home that it moves to.
        new_device: the meter that takes its place.
        new_usage_point: where it moves.
        commodity: of the new or moved meter.
        period_s: its capture period.
        protocol: how it is read.
        interface: over which interface.
        network: in which network.
        closing: last registers, as text.
        opening: first registers, as text.
        notes: what is to be known about it.

    """

    kind: ChangeKind
    device: str
    at: int
    usage_point: str = ""
    home: str = ""
    new_device: str = ""
    new_usage_point: str = ""
    commodity: str = ""
    period_s: int = 900
    protocol: str = ""
    interface: str = ""
    network: str = ""
    closing: tuple[str, ...] = ()
    opening: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return it as values of JSON."""
        return asdict(self) | {"kind": str(self.kind)}

    @classmethod
    def of_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the change that ``as_json`` has written; raises ``ValueError``, ``TypeError`` or ``KeyError``."""
        known = {field.name for field in fields(cls)}
        kept = {name: value for name, value in values.items() if name in known}
        lists = {name: tuple(kept.get(name, ())) for name in ("closing", "opening", "notes")}
        arguments: dict[str, Any] = {**kept, **lists, "kind": ChangeKind(kept["kind"])}
        return cls(**arguments)


@dataclass(frozen=True, slots=True)
class ChangeView:
    """One change of a meter by command."""

    number: int
    ordered_at: datetime
    author: str
    kind: ChangeKind
    device: str
    at: datetime
    """When it holds from."""
    text: str
    """What was done, in English."""
    notes: tuple[str, ...] = ()
    """What is to be known about it: registers that were not given, an entry of the configuration that is to go."""


@dataclass(frozen=True, slots=True)
class InstallationView:
    """One meter at one usage point."""

    usage_point: str
    home: str
    device: str
    start: datetime
    end: datetime | None
    """Null while it is installed there."""
    opening: tuple[str, ...] = ()
    """Registers that were given for its start: OBIS code, value, unit."""
    closing: tuple[str, ...] = ()


class ChangeRefusedError(ValueError):
    """A change that cannot be made; nothing was changed.

    Attributes:
        reasons: everything that is against it.

    """

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = tuple(reasons)


class MeterDesk(Protocol):
    """Where an operator adds, exchanges, moves, removes and deletes meters."""

    def change(self, wish: ChangeWish) -> ChangeView:
        """Make a change; raises ``ChangeRefusedError`` or ``UnknownMeterError``, then nothing was changed."""
        ...

    def changes(self, limit: int = 100) -> Sequence[ChangeView]:
        """List the newest changes, newest first."""
        ...

    def installations(self, device: str) -> Sequence[InstallationView]:
        """List the installations at the usage points that a meter measures or measured, oldest first."""
        ...
