"""What an M-Bus record is called: worked out once per maker and record header, for meters repeat themselves."""

from dataclasses import dataclass
from decimal import Decimal

from meterspan.model.mbus_devices import RecordRule, record_rule
from meterspan.wire.mbus.profile import VIFES
from meterspan.wire.mbus.records import LVAR, RecordHeader
from meterspan.wire.mbus.vif import VIF_PLAIN_TEXT, Quantity

__all__ = ["Named", "Names"]

MAX_NAMES = 8_192
"""Headers whose names are kept: some hundred device types with some ten records each."""
_FUNCTIONS = ("instantaneous", "maximum", "minimum", "error")


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

    """

    name: str
    quantity: str
    unit: str
    exponent: int
    addend: Decimal
    function: str
    rule: RecordRule | None
    is_profile: bool


class Names:
    """Names by maker and header; emptied where they are too many, because to work one out again costs little."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, bytes, bytes], Named] = {}

    def find(self, manufacturer: str, header: RecordHeader) -> Named:
        """Give the names of a header."""
        key = (manufacturer, header.dif, header.vif)
        named = self._names.get(key)
        if named is None:
            named = _named(manufacturer, header)
            if header.vif and header.vif[0] & 0x7F != VIF_PLAIN_TEXT:  # there, the text is not part of the octets
                if len(self._names) >= MAX_NAMES:
                    self._names.clear()
                self._names[key] = named
        return named


def _named(manufacturer: str, header: RecordHeader) -> Named:
    meaning, rule = header.meaning, record_rule(manufacturer, header)
    quantity = f"{meaning.name} ({', '.join(meaning.modifiers)})" if meaning.modifiers else meaning.name
    name, unit, exponent, addend = quantity, _unit(meaning), meaning.exponent, meaning.addend
    if rule is not None:
        name, unit = rule.quantity, rule.unit or unit
        if rule.exponent is not None:
            exponent, addend = rule.exponent, Decimal(0)
    is_profile = header.data_field == LVAR and any(octet & 0x7F in VIFES for octet in header.vif[1:])
    return Named(name, quantity, unit, exponent, addend, _FUNCTIONS[header.function], rule, is_profile)


def _unit(meaning: Quantity) -> str:
    """Give the symbol; plain-text units that begin with # count something."""
    if meaning.unit is None or meaning.unit.symbol.startswith("#"):
        return "1"
    return meaning.unit.symbol
