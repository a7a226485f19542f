"""Devices whose M-Bus payload is not (only) data records: grammars and profiles as data."""

from collections.abc import Iterator

from meterspan.model.mbus_devices.apator import GRAMMARS as _APATOR
from meterspan.model.mbus_devices.diehl import GRAMMARS as _DIEHL
from meterspan.model.mbus_devices.kamstrup_water import GRAMMARS as _KAMSTRUP_WATER
from meterspan.model.mbus_devices.others import GRAMMARS as _OTHERS
from meterspan.model.mbus_devices.payload import Decoded, Grammar, Payload, Seal
from meterspan.model.mbus_devices.profiles import SHIPPED_FORMATS, RecordRule, record_rule
from meterspan.model.mbus_devices.qundis import GRAMMARS as _QUNDIS
from meterspan.model.mbus_devices.techem import GRAMMARS as _TECHEM
from meterspan.quantities import Commodity, commodity_of_mbus_medium

__all__ = [
    "GRAMMARS",
    "SHIPPED_FORMATS",
    "Decoded",
    "Grammar",
    "Payload",
    "RecordRule",
    "Seal",
    "commodity_of_device",
    "grammars_of",
    "has_grammars",
    "record_rule",
]

GRAMMARS: tuple[Grammar, ...] = (*_APATOR, *_DIEHL, *_KAMSTRUP_WATER, *_OTHERS, *_QUNDIS, *_TECHEM)
"""Every grammar."""

_BY_MAKER = {
    maker: tuple(grammar for grammar in GRAMMARS if maker in grammar.manufacturers)
    for maker in {maker for grammar in GRAMMARS for maker in grammar.manufacturers}
}


def has_grammars(manufacturer: str) -> bool:
    """Whether any grammar is of this maker."""
    return manufacturer in _BY_MAKER


def grammars_of(payload: Payload) -> Iterator[Grammar]:
    """Iterate over the grammars that fit a payload, the narrower first."""
    return (grammar for grammar in _BY_MAKER.get(payload.manufacturer, ()) if grammar.matches(payload))


def commodity_of_device(manufacturer: str, medium: int) -> Commodity | None:
    """Return what a device measures, by its device type: the maker's own meaning first, then the standard's.

    None where it bills nothing: sensors, allocators, radio converters.
    """
    own = _COMMODITIES.get((manufacturer, medium))
    return commodity_of_mbus_medium(medium) if own is None else own


_COMMODITIES = {
    (maker, medium): commodity
    for grammar in GRAMMARS
    for maker in grammar.manufacturers
    for medium, commodity in grammar.commodities.items()
}
