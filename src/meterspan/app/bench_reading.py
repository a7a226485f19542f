"""What ``meterspan read`` finds out about a meter: who it is, its clock, registers, view, rows and events.

Strategy: the association view lists the objects; each part is read by a script and is independent, so that a meter
that refuses one of them still shows the others (``BenchReading.troubles``).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, TypeVar

from meterspan.engine.association.agreement import Agreement
from meterspan.engine.association.records import Get
from meterspan.engine.links import LinkAddresses
from meterspan.engine.scripts import (
    ClockPolicy,
    ProfileRead,
    read_clock,
    read_last_rows,
    read_object_list,
    read_profile,
    read_registers,
)
from meterspan.engine.session import Script, fetch_each
from meterspan.model.cosem.classes import DataObject, DemandRegister, ExtendedRegister, Register, interface_class
from meterspan.model.cosem.view import ObjectListElement
from meterspan.quantities import ClockTime, Obis, Scaled
from meterspan.quantities.codes import (
    CLOCK,
    EQUIPMENT_IDENTIFIER,
    EVENT_LOG,
    FIRMWARE,
    FIRMWARE_CHECKSUM,
    LOGICAL_DEVICE_NAME,
    SERIAL_NUMBER,
)
from meterspan.readings.names import meaning_of
from meterspan.runtime.dlms_client import DlmsClient, DlmsError
from meterspan.wire.axdr import Data, IntegerColumn
from meterspan.wire.xdlms import DataAccessResult

__all__ = ["BenchReading", "Identity", "ProfileRequest", "ReadRequest", "RegisterLine", "object_name", "text_of"]

REGISTERS_MAX: Final = 500
"""Registers read at once; the fullest meters on the bench show some three hundred."""
_IDENTITIES: Final = (
    LOGICAL_DEVICE_NAME,
    SERIAL_NUMBER,
    EQUIPMENT_IDENTIFIER,
    FIRMWARE,
    FIRMWARE_CHECKSUM,
)
_IDENTITY_NAMES: Final = {
    LOGICAL_DEVICE_NAME: "logical device name",
    SERIAL_NUMBER: "serial number",
    EQUIPMENT_IDENTIFIER: "equipment identifier",
    FIRMWARE: "firmware",
    FIRMWARE_CHECKSUM: "firmware checksum",
}
_CLASSES: Final = (Register, ExtendedRegister, DemandRegister)

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class ProfileRequest:
    """Which rows of a profile to read, both bounds included, in UTC seconds."""

    logical_name: Obis
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """What to read beyond identification, clock and registers.

    Attributes:
        profile: rows of a load profile.
        events: how many of the newest events.
        registers: only these; empty for all that the view shows.
        policy: how the meter's clock is to be understood.

    """

    profile: ProfileRequest | None = None
    events: int = 0
    registers: tuple[Obis, ...] = ()
    policy: ClockPolicy = field(default_factory=ClockPolicy)


@dataclass(frozen=True, slots=True)
class Identity:
    """One identification of the meter."""

    obis: Obis
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class RegisterLine:
    """One register: its value, or why there is none."""

    obis: Obis
    quantity: str
    value: Scaled | None
    refused: str = ""


@dataclass(slots=True)
class BenchReading:
    """All that was read, in the order of reading.

    Attributes:
        terms: the association's.
        addresses: client and server address.
        view: the association view.
        identities: who the meter is.
        clock: its time, and ``clock_offset_s``, how far it is ahead of ours; None where it has no instant.
        registers: their values.
        profile: the rows asked for.
        events: the newest events.
        troubles: what could not be read, and why.

    """

    terms: Agreement
    addresses: LinkAddresses
    view: tuple[ObjectListElement, ...] = ()
    identities: list[Identity] = field(default_factory=list)
    clock: ClockTime | None = None
    clock_offset_s: float | None = None
    registers: list[RegisterLine] = field(default_factory=list)
    profile: ProfileRead | None = None
    events: ProfileRead | None = None
    troubles: list[str] = field(default_factory=list)

    @classmethod
    async def of(cls, client: DlmsClient, order: ReadRequest, on_step: Callable[[str], None]) -> "BenchReading":
        """Read a meter; ``on_step`` is called with a name for each step.

        Raises:
            DlmsError: the meter is gone.

        """
        reading = cls(client.terms, client.addresses)
        on_step("association view")
        reading.view = await reading._try(client, read_object_list(), "association view") or ()
        on_step("identification")
        await reading._identify(client)
        on_step("clock")
        await reading._look_at_clock(client, order.policy)
        await reading._read_registers(client, order, on_step)
        if order.profile is not None:
            asked = order.profile
            on_step(f"profile {asked.logical_name}")
            reading.profile = await reading._try(
                client, read_profile(asked.logical_name, asked.start, asked.end, policy=order.policy), "profile"
            )
        if order.events:
            on_step("events")
            reading.events = await reading._try(
                client, read_last_rows(EVENT_LOG, order.events, policy=order.policy), "event log"
            )
        return reading

    @property
    def name(self) -> str:
        """The identification of the meter."""
        return self.identities[0].text if self.identities else ""

    async def _try(self, client: DlmsClient, script: Script[ResultT], what: str) -> ResultT | None:
        try:
            return await client.run(script)
        except DlmsError as error:
            client.terms  # noqa: B018 - raises where the association is gone: then nothing more can be read
            self.troubles.append(f"{what}: {error}")
            return None

    async def _identify(self, client: DlmsClient) -> None:
        shown = {element.logical_name for element in self.view if element.class_id == DataObject.class_id}
        names = [name for name in _IDENTITIES if name in shown] if self.view else list(_IDENTITIES[:2])
        asked = [Get(DataObject.value.at(name)) for name in names]
        answers = await self._try(client, fetch_each(*asked), "identification") or ()
        for name, answer in zip(names, answers, strict=False):
            if isinstance(answer, Data):
                self.identities.append(Identity(name, _IDENTITY_NAMES[name], text_of(answer)))

    async def _look_at_clock(self, client: DlmsClient, policy: ClockPolicy) -> None:
        if self.view and not any(element.logical_name == CLOCK for element in self.view):
            return
        before = client.clock()
        self.clock = await self._try(client, read_clock(), "clock")
        middle = (before + client.clock()) / 2
        moment = None if self.clock is None else policy.to_utc(self.clock)
        if moment is not None:
            self.clock_offset_s = moment.timestamp() - middle

    async def _read_registers(self, client: DlmsClient, order: ReadRequest, on_step: Callable[[str], None]) -> None:
        for declared in _CLASSES:
            names = [element.logical_name for element in self.view if element.class_id == declared.class_id]
            if order.registers:
                names = [name for name in order.registers if name in names or (declared is Register and not self.view)]
            if not names:
                continue
            on_step(f"{len(names)} registers")
            values = await self._try(
                client, read_registers(names[:REGISTERS_MAX], class_id=declared.class_id), "registers"
            )
            self.registers += [_line(name, value) for name, value in (values or {}).items()]
        self.registers.sort(key=lambda line: line.obis)
        missing = set(order.registers) - {line.obis for line in self.registers}
        self.troubles += [f"{name}: the meter does not show it to this client" for name in sorted(missing)]


def object_name(element: ObjectListElement) -> tuple[str, str]:
    """Return class and meaning of an object in words."""
    declared = interface_class(element.class_id, element.version)
    meaning = _IDENTITY_NAMES.get(element.logical_name) or meaning_of(element.logical_name).quantity
    return declared.name if declared else f"class {element.class_id}", "" if meaning == "value" else meaning


def text_of(data: Data) -> str:
    """Write a value for people: text where octets are text, else numbers or hexadecimal digits."""
    value = data.value
    if isinstance(value, bytes):
        text = value.decode("ascii", "replace")
        return text if text.isprintable() and "\ufffd" not in text else value.hex()
    return str(data).partition(" ")[2] if value is not None else ""


def row_times(read: ProfileRead) -> list[datetime | None]:
    """Return the instants of a profile's rows."""
    return [None if second < 0 else datetime.fromtimestamp(second, UTC) for second in read.times.tolist()]


def column_texts(read: ProfileRead, index: int) -> list[str]:
    """Write one column of a profile, scaled exactly; "" where a row has no value."""
    column, layout = read.values.columns[index], read.layout.columns[index]
    if isinstance(column, IntegerColumn) and layout.scaler is not None:
        return [f"{Scaled(value, layout.scaler.exponent, layout.scaler.unit).decimal:f}" for value in column.to_list()]
    return [
        "" if value is None else value.hex() if isinstance(value, bytes) else str(value) for value in column.to_list()
    ]


def _line(name: Obis, value: Scaled | DataAccessResult) -> RegisterLine:
    quantity = meaning_of(name).quantity
    if isinstance(value, Scaled):
        return RegisterLine(name, quantity, value)
    return RegisterLine(name, quantity, None, value.text)
