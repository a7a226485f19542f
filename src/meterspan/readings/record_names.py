"""The name of an M-Bus record: computed once per maker and record header, as meters repeat them."""

from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from meterspan.model.mbus_devices import RecordRule, record_rule
from meterspan.quantities import CATALOGUE, Commodity, Direction, Obis
from meterspan.wire.mbus.profile import VIFES
from meterspan.wire.mbus.records import RecordHeader
from meterspan.wire.mbus.values import LVAR
from meterspan.wire.mbus.vif import VIF_PLAIN_TEXT, Quantity

__all__ = ["NAMES", "Maker", "Named", "Names"]

MAX_NAMES = 8_192
"""Headers whose names are kept: some hundred device types with some ten records each."""
_FUNCTIONS = ("instantaneous", "maximum", "minimum", "error")


class Maker(NamedTuple):
    """Whose record it is.

    Attributes:
        manufacturer: three letters.
        commodity: that the device measures; None where it bills nothing.

    """

    manufacturer: str
    commodity: Commodity | None


@dataclass(frozen=True, slots=True)
class Named:
    """What all records of one header have in common.

    Attributes:
        name: the quantity of a number, by the maker's rule where there is one.
        quantity: the quantity by the standard, for texts and dates.
        unit: symbol of a number's unit.
        exponent: power of ten onto the unit.
        addend: constant to add to the scaled number.
        function: instantaneous, maximum, minimum or error.
        rule: the maker's rule.
        is_profile: the record packs many values.
        register: the OBIS code of the register that bills the device's commodity, where the record is one.

    """

    name: str
    quantity: str
    unit: str
    exponent: int
    addend: Decimal
    function: str
    rule: RecordRule | None
    is_profile: bool
    register: Obis | None = None


class Names:
    """Names by maker and header; emptied when they are too many, because working one out again costs little."""

    def __init__(self) -> None:
        self._names: dict[tuple[Maker, bytes, bytes], Named] = {}

    def find(self, maker: Maker, header: RecordHeader) -> Named:
        """Return the names of a header."""
        key = (maker, header.dif, header.vif)
        named = self._names.get(key)
        if named is None:
            named = _named(maker, header)
            if header.vif and header.vif[0] & 0x7F != VIF_PLAIN_TEXT:  # there, the text is not part of the octets
                if len(self._names) >= MAX_NAMES:
                    self._names.clear()
                self._names[key] = named
        return named


NAMES = Names()
"""The names that every reader shares: a cache, which holds nothing of any meter's values."""


def _named(maker: Maker, header: RecordHeader) -> Named:
    meaning, rule = header.meaning, record_rule(maker.manufacturer, header)
    quantity = f"{meaning.name} ({', '.join(meaning.modifiers)})" if meaning.modifiers else meaning.name
    name, unit, exponent, addend = quantity, _unit(meaning), meaning.exponent, meaning.addend
    if rule is not None:
        name, unit = rule.quantity, rule.unit or unit
        if rule.exponent is not None:
            exponent, addend = rule.exponent, Decimal(0)
    is_profile = header.data_field == LVAR and any(octet & 0x7F in VIFES for octet in header.vif[1:])
    register = None if rule is not None or maker.commodity is None else _register(maker.commodity, header)
    return Named(name, quantity, unit, exponent, addend, _FUNCTIONS[header.function], rule, is_profile, register)


def _register(commodity: Commodity, header: RecordHeader) -> Obis | None:
    """Return the code of the billing register: the instantaneous energy or volume of the whole device, else None."""
    supply, meaning = CATALOGUE[commodity], header.meaning
    if header.function or header.tariff or header.subunit or meaning.name not in _REGISTERS or meaning.unit is None:
        return None
    direction = _DIRECTIONS.get(meaning.modifiers)
    if direction is None or meaning.unit.dimension != supply.billed[0]:
        return None
    return supply.registers.get(direction)


_REGISTERS = frozenset({"energy", "volume"})
_DIRECTIONS: dict[tuple[str, ...], Direction] = {(): Direction.IMPORT, ("backward flow",): Direction.EXPORT}
"""By the combinable VIFEs of a register: flow towards the network is "backward" (EN 13757-3:2018, table 15)."""


def _unit(meaning: Quantity) -> str:
    """Return the symbol; plain-text units that begin with # count something."""
    if meaning.unit is None or meaning.unit.symbol.startswith("#"):
        return "1"
    return meaning.unit.symbol
