"""Devices whose M-Bus payload is not (only) data records: grammars and profiles as data."""

from meterspan.model.mbus_devices.apator import GRAMMARS as _APATOR
from meterspan.model.mbus_devices.diehl import GRAMMARS as _DIEHL
from meterspan.model.mbus_devices.others import GRAMMARS as _OTHERS
from meterspan.model.mbus_devices.payload import Decoded, Grammar, Payload, first_match
from meterspan.model.mbus_devices.profiles import SHIPPED_FORMATS, RecordRule, record_rule
from meterspan.model.mbus_devices.qundis import GRAMMARS as _QUNDIS
from meterspan.model.mbus_devices.techem import GRAMMARS as _TECHEM

__all__ = [
    "GRAMMARS",
    "SHIPPED_FORMATS",
    "Decoded",
    "Grammar",
    "Payload",
    "RecordRule",
    "has_grammars",
    "read_payload",
    "record_rule",
]

GRAMMARS: tuple[Grammar, ...] = (*_APATOR, *_DIEHL, *_OTHERS, *_QUNDIS, *_TECHEM)
"""Every grammar."""

_BY_MAKER = {
    maker: tuple(grammar for grammar in GRAMMARS if maker in grammar.manufacturers)
    for maker in {maker for grammar in GRAMMARS for maker in grammar.manufacturers}
}


def has_grammars(manufacturer: str) -> bool:
    """Whether any grammar is of this maker."""
    return manufacturer in _BY_MAKER


def read_payload(payload: Payload) -> Decoded | None:
    """Read a proprietary payload, or give None where no grammar knows it. Never raises a ``WireError``."""
    grammars = _BY_MAKER.get(payload.manufacturer)
    return first_match(grammars, payload) if grammars else None
