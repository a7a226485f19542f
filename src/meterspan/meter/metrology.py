"""The protected metrological block (TR 50572, 5.2; MID Annex I, 7.6, 8.1 and 8.5): measures, and cannot be written.

Strategy: a flow that is constant over a span is integrated into exact integers of (milli-unit per hour) x ms; 3.6e9 of
them are one Wh, varh or litre, so remainders below the register's step are never lost. Measured values are
read as frozen ``Indication`` records; nothing public sets or lowers a register. State survives a power loss in a sealed
record whose seal is checked at construction, the only moment registers take values from outside. Measuring time is the
block's own and has nothing to do with the meter's calendar clock, so setting that clock changes no register.
"""

import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b, sha256
from typing import Final, Protocol

from meterspan.quantities import CATALOGUE, UNITS, Commodity, Obis, Scaled, Unit
from meterspan.quantities.codes import (
    EXPORT_POWER,
    HEAT_FLOW,
    HEAT_FLOW_TEMPERATURE,
    HEAT_POWER,
    HEAT_RETURN_TEMPERATURE,
    HEATING_WATER,
    IMPORT_POWER,
)

__all__ = [
    "BlockType",
    "CorruptStateError",
    "ElectricityFlow",
    "Flow",
    "HeatFlow",
    "Indication",
    "Metrology",
    "Part",
    "RegisterSpec",
    "RegisterValue",
    "SoftwareIdentity",
    "StateMemory",
    "VolumeFlow",
    "electricity_block",
    "gas_block",
    "heat_block",
    "identify_software",
    "water_block",
]

VERSION: Final = "1.0"
"""Version of the legally relevant software (MID Annex I, 8.3); raised with every change of this module."""


class Part(StrEnum):
    """Which part of a flow a register integrates."""

    ACTIVE_IMPORT = "active import"
    ACTIVE_EXPORT = "active export"
    REACTIVE_IMPORT = "reactive import"
    REACTIVE_EXPORT = "reactive export"
    VOLUME = "volume"
    HEAT = "heat"


@dataclass(frozen=True, slots=True)
class ElectricityFlow:
    """The sensor values of an electricity meter; all tuples have one entry per phase, L1 first.

    Attributes:
        active_mw: active power in mW, positive from the network; phases are summed before import and export part.
        voltage_mv: voltage in mV.
        current_ma: current in mA.
        reactive_mvar: reactive power in mvar, positive inductive; empty where not measured.

    """

    active_mw: tuple[int, ...]
    voltage_mv: tuple[int, ...] = ()
    current_ma: tuple[int, ...] = ()
    reactive_mvar: tuple[int, ...] = ()

    def parts(self) -> dict[Part, int]:
        """Return mW and mvar by part; both directions of a pair are there, one of them 0."""
        active, reactive = sum(self.active_mw), sum(self.reactive_mvar)
        return {
            Part.ACTIVE_IMPORT: max(0, active),
            Part.ACTIVE_EXPORT: max(0, -active),
            Part.REACTIVE_IMPORT: max(0, reactive),
            Part.REACTIVE_EXPORT: max(0, -reactive),
        }

    def instants(self) -> tuple[tuple[Obis, Scaled], ...]:
        """Return power, and voltage and current per phase."""
        parts = self.parts()
        values = [
            (IMPORT_POWER, Scaled(parts[Part.ACTIVE_IMPORT] // 1000, 0, UNITS["W"])),
            (EXPORT_POWER, Scaled(parts[Part.ACTIVE_EXPORT] // 1000, 0, UNITS["W"])),
        ]
        for code, voltage in zip(_VOLTAGES, self.voltage_mv, strict=False):
            values.append((code, Scaled(voltage // 100, -1, UNITS["V"])))
        for code, current in zip(_CURRENTS, self.current_ma, strict=False):
            values.append((code, Scaled(current // 10, -2, UNITS["A"])))
        return tuple(values)


@dataclass(frozen=True, slots=True)
class VolumeFlow:
    """The sensor values of a gas or water meter.

    Attributes:
        volume_ml_h: flow in mL/h; never negative, a non-return valve is fitted before the meter.

    """

    volume_ml_h: int

    def __post_init__(self) -> None:
        if self.volume_ml_h < 0:
            raise ValueError(f"a volume meter does not count backwards: {self.volume_ml_h} mL/h")

    def parts(self) -> dict[Part, int]:
        """Return mL/h."""
        return {Part.VOLUME: self.volume_ml_h}

    def instants(self) -> tuple[tuple[Obis, Scaled], ...]:
        """Return nothing: simple volume meters indicate no flow."""
        return ()


@dataclass(frozen=True, slots=True)
class HeatFlow:
    """The sensor values of a heat meter.

    Attributes:
        power_mw: heat taken by the premises in mW; never negative.
        volume_ml_h: heating water in mL/h; never negative.
        flow_c100: flow temperature in 0.01 °C.
        return_c100: return temperature in 0.01 °C.

    """

    power_mw: int
    volume_ml_h: int
    flow_c100: int
    return_c100: int

    def __post_init__(self) -> None:
        if self.power_mw < 0 or self.volume_ml_h < 0:
            raise ValueError(f"a heat meter does not count backwards: {self.power_mw} mW, {self.volume_ml_h} mL/h")

    def parts(self) -> dict[Part, int]:
        """Return mW of heat and mL/h of water."""
        return {Part.HEAT: self.power_mw, Part.VOLUME: self.volume_ml_h}

    def instants(self) -> tuple[tuple[Obis, Scaled], ...]:
        """Return power, flow and both temperatures."""
        return (
            (HEAT_POWER, Scaled(self.power_mw // 1000, 0, UNITS["W"])),
            (HEAT_FLOW, Scaled(self.volume_ml_h // 1000, 0, UNITS["L/h"])),
            (HEAT_FLOW_TEMPERATURE, Scaled(self.flow_c100, -2, UNITS["°C"])),
            (HEAT_RETURN_TEMPERATURE, Scaled(self.return_c100, -2, UNITS["°C"])),
        )


Flow = ElectricityFlow | VolumeFlow | HeatFlow


@dataclass(frozen=True, slots=True)
class RegisterSpec:
    """One cumulative register as built.

    Attributes:
        obis: the quantity that it holds.
        unit: Wh, varh or L.
        exponent: power of ten of one step, -3 or more.
        digits: decimal digits; the register rolls over at 10^digits steps.
        part: the part of the flow that it integrates.
        tariff: 0 counts always, n only while tariff n is selected.

    """

    obis: Obis
    unit: Unit
    exponent: int
    digits: int
    part: Part
    tariff: int = 0

    @property
    def width(self) -> int:
        """The register counts modulo this many steps."""
        return int(10**self.digits)

    @property
    def step(self) -> int:
        """One step in (milli-unit per hour) x ms."""
        return int(10 ** (self.exponent + 3)) * _MS_PER_HOUR


@dataclass(frozen=True, slots=True)
class BlockType:
    """A type of metrological block: its registers, and how many tariffs may be selected (1..tariffs)."""

    name: str
    registers: tuple[RegisterSpec, ...]
    tariffs: int = 1


@dataclass(frozen=True, slots=True)
class RegisterValue:
    """A register as indicated, with the data needed for differences of it."""

    obis: Obis
    value: Scaled
    width: int


@dataclass(frozen=True, slots=True)
class Indication:
    """All that the block indicates at one instant of measuring time (UTC seconds since 1970)."""

    time: float
    registers: tuple[RegisterValue, ...]
    instants: tuple[tuple[Obis, Scaled], ...]

    def __getitem__(self, obis: Obis) -> Scaled:
        """Return the register or instantaneous value.

        Raises:
            KeyError: the block has none of that code.

        """
        for register in self.registers:
            if register.obis == obis:
                return register.value
        for code, value in self.instants:
            if code == obis:
                return value
        raise KeyError(str(obis))


@dataclass(frozen=True, slots=True)
class SoftwareIdentity:
    """Identification of the legally relevant software (MID Annex I, 8.3; WELMEC 7.2, P2)."""

    name: str
    version: str
    checksum: str
    """SHA-256 over the shipped octets, hex."""


class StateMemory(Protocol):
    """Non-volatile memory; ``model.ports.StateStore`` fits."""

    def load(self, name: str) -> bytes | None:
        """Return what was saved last, or None."""
        ...

    def save(self, name: str, octets: bytes) -> None:
        """Replace the named state durably and atomically."""
        ...


class CorruptStateError(Exception):
    """The kept state is damaged, forged or of another type of block; the meter must not go on measuring with it."""


class Metrology:
    """Integrates flows into registers.

    Args:
        block: the type of block.
        start: measuring time of construction, UTC seconds; kept state has its own and wins.
        opening: register steps at manufacture (a test bench leaves a few Wh); ignored where state was kept.
        state: memory that survives power loss; None keeps nothing.
        seal_key: key of the seal over kept state, of at most 64 octets; with b"" the seal only finds accidents.
        former_seal_key: opens state that an earlier release sealed, until it was sealed once with ``seal_key``.

    Raises:
        CorruptStateError: state was kept, and its seal or form is wrong.
        ValueError: an opening value is negative, or not of this block.

    """

    __slots__ = ("__block", "__counted", "__flow", "__seal_key", "__state", "__time_ms")

    def __init__(
        self,
        block: BlockType,
        start: float,
        *,
        opening: Mapping[Obis, int] | None = None,
        state: StateMemory | None = None,
        seal_key: bytes = b"",
        former_seal_key: bytes | None = None,
    ) -> None:
        self.__block = block
        self.__state = state
        self.__seal_key = seal_key
        self.__flow: Flow | None = None
        kept = state.load(_STATE_NAME) if state is not None else None
        if kept is None:
            self.__time_ms = round(start * 1000)
            self.__counted = _opening_counts(block, opening or {})
        else:
            self.__time_ms, self.__counted = _unseal(block, kept, self.__fitting_key(kept, former_seal_key))
        if state is not None and former_seal_key is not None and state.load(_IS_RESEALED) is None:
            self.preserve()
            state.save(_IS_RESEALED, b"\1")

    def __fitting_key(self, kept: bytes, former: bytes | None) -> bytes:
        """Return the key that kept state is sealed with: the former one only before the first seal with the new."""
        if former is None or self.__state is None or self.__state.load(_IS_RESEALED) is not None:
            return self.__seal_key
        return former if _is_sealed(kept, former) else self.__seal_key

    @property
    def block(self) -> BlockType:
        """The type of block."""
        return self.__block

    @property
    def time(self) -> float:
        """Measuring time reached, UTC seconds."""
        return self.__time_ms / 1000

    def advance(self, flow: Flow | None, until: float, *, tariff: int = 1) -> None:
        """Measure ``flow``, constant from the time reached until ``until``, under the selected tariff.

        None is a span without flow (no power, no water). Fractions below a millisecond are left for the next span.

        Raises:
            ValueError: time runs backwards, or there is no such tariff; nothing was counted then.

        """
        until_ms = round(until * 1000)
        span_ms = until_ms - self.__time_ms
        if span_ms < 0:
            raise ValueError(f"measuring time does not run backwards ({span_ms} ms)")
        if not 1 <= tariff <= self.__block.tariffs:
            raise ValueError(f"no tariff {tariff} in a block of {self.__block.tariffs}")
        if flow is not None:
            parts = flow.parts()
            for index, spec in enumerate(self.__block.registers):
                if spec.tariff in {0, tariff}:
                    self.__counted[index] += parts.get(spec.part, 0) * span_ms
        self.__time_ms = until_ms
        self.__flow = flow

    def indicate(self) -> Indication:
        """Return all registers and instantaneous values, frozen."""
        registers = tuple(
            RegisterValue(
                spec.obis,
                Scaled(counted // spec.step % spec.width, spec.exponent, spec.unit),
                spec.width,
            )
            for counted, spec in zip(self.__counted, self.__block.registers, strict=True)
        )
        return Indication(self.time, registers, () if self.__flow is None else self.__flow.instants())

    def preserve(self) -> None:
        """Save the state under its seal: on the power-fail signal, and from time to time."""
        if self.__state is not None:
            octets = _seal(self.__block, self.__time_ms, self.__counted, self.__seal_key)
            self.__state.save(_STATE_NAME, octets)


def identify_software(*shipped: bytes) -> SoftwareIdentity:
    """Identify the legally relevant software by the octets of its shipped modules, in a fixed order."""
    digest = sha256()
    for octets in shipped:
        digest.update(len(octets).to_bytes(8, "big"))
        digest.update(octets)
    return SoftwareIdentity("meterspan-metrology", VERSION, digest.hexdigest())


def electricity_block(tariffs: int = 2, *, reactive: bool = False) -> BlockType:
    """Active energy import and export in Wh, total and per tariff (9 digits); reactive energy where wished."""
    pairs = [(Part.ACTIVE_IMPORT, 1, "Wh"), (Part.ACTIVE_EXPORT, 2, "Wh")]
    if reactive:
        pairs += [(Part.REACTIVE_IMPORT, 3, "varh"), (Part.REACTIVE_EXPORT, 4, "varh")]
    registers = tuple(
        RegisterSpec(Obis(1, 0, quantity, 8, tariff), UNITS[unit], 0, 9, part, tariff)
        for part, quantity, unit in pairs
        for tariff in range(tariffs + 1)
    )
    return BlockType("electricity", registers, tariffs)


def gas_block() -> BlockType:
    """Unconverted volume in steps of 10 L (EN 1359 diaphragm meter, 0.01 m3 pulses), 7 digits."""
    return BlockType("gas", (RegisterSpec(CATALOGUE[Commodity.GAS].register, UNITS["L"], 1, 7, Part.VOLUME),))


def water_block(medium: int = 8) -> BlockType:
    """Volume in litres, 8 digits; ``medium`` is 8 for cold, 9 for hot water."""
    return BlockType("water", (RegisterSpec(Obis(medium, 0, 1, 0, 0), UNITS["L"], 0, 8, Part.VOLUME),))


def heat_block() -> BlockType:
    """Heat in Wh (10 digits) and volume of heating water in litres (8 digits)."""
    return BlockType(
        "heat",
        (
            RegisterSpec(CATALOGUE[Commodity.HEAT].register, UNITS["Wh"], 0, 10, Part.HEAT),
            RegisterSpec(HEATING_WATER, UNITS["L"], 0, 8, Part.VOLUME),
        ),
    )


_MS_PER_HOUR = 3_600_000
_VOLTAGES = tuple(Obis(1, 0, 32 + 20 * phase, 7, 0) for phase in range(3))
_CURRENTS = tuple(Obis(1, 0, 31 + 20 * phase, 7, 0) for phase in range(3))
_STATE_NAME = "metrology"
_IS_RESEALED = "metrology sealed by a secret"
_SEAL_SIZE = 16


def _opening_counts(block: BlockType, opening: Mapping[Obis, int]) -> list[int]:
    known = {spec.obis for spec in block.registers}
    for obis, steps in opening.items():
        if obis not in known or steps < 0:
            raise ValueError(f"{obis} cannot open at {steps}")
    return [opening.get(spec.obis, 0) * spec.step for spec in block.registers]


def _mac(body: bytes, key: bytes) -> bytes:
    return blake2b(body, digest_size=_SEAL_SIZE, key=key, person=b"metrology").digest()


def _seal(block: BlockType, time_ms: int, counted: Sequence[int], key: bytes) -> bytes:
    state = {
        "type": block.name,
        "time_ms": time_ms,
        "counted": {str(spec.obis): count for spec, count in zip(block.registers, counted, strict=True)},
    }
    body = json.dumps(state, sort_keys=True).encode()
    return _mac(body, key) + body


def _is_sealed(octets: bytes, key: bytes) -> bool:
    return hmac.compare_digest(octets[:_SEAL_SIZE], _mac(octets[_SEAL_SIZE:], key))


def _unseal(block: BlockType, octets: bytes, key: bytes) -> tuple[int, list[int]]:
    if not _is_sealed(octets, key):
        raise CorruptStateError("the seal of the kept registers does not fit")
    state = json.loads(octets[_SEAL_SIZE:])
    counted = state["counted"]
    if state["type"] != block.name or counted.keys() != {str(spec.obis) for spec in block.registers}:
        raise CorruptStateError(f"the kept registers are of another block than {block.name}")
    return int(state["time_ms"]), [int(counted[str(spec.obis)]) for spec in block.registers]
