"""An APDU in one line of text, for logs of frames and the operator's story of a meter; keys are left out."""

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass

from meterspan.quantities import ClockTime, Obis
from meterspan.wire.axdr import Data
from meterspan.wire.open_enum import OpenIntEnum
from meterspan.wire.xdlms.apdu import Apdu
from meterspan.wire.xdlms.codes import ApduTag, Conformance, SecurityControl
from meterspan.wire.xdlms.common import (
    CosemAttributeDescriptor,
    CosemMethodDescriptor,
    InvokeIdAndPriority,
    LongInvokeIdAndPriority,
)

__all__ = ["apdu_name", "apdu_text"]

SHOWN_CHARACTERS = 160
"""Of one field: a load profile would fill a page."""
_SECRET = frozenset({"dedicated_key", "payload", "ciphered"})
_WORD = re.compile(r"(?<=[a-z])(?=[A-Z])")


def apdu_name(apdu: Apdu) -> str:
    """Return the standard's name of an APDU's kind: ``get-request-normal``."""
    return _WORD.sub("-", type(apdu).__name__).lower()


def apdu_text(apdu: Apdu, *, whole: bool = False) -> str:
    """Write kind and fields: ``get-request-normal #1 high priority, class 3 1-0:1.8.0 attribute 2``.

    Args:
        apdu: what is written.
        whole: long fields too, as for a file; else they are cut, and the text is a line.

    """
    return ", ".join([apdu_name(apdu), *_field_texts(apdu, None if whole else SHOWN_CHARACTERS)])


def _field_texts(record: object, size_max: int | None) -> Iterator[str]:
    if not is_dataclass(record):
        return
    for field in fields(record):
        value = getattr(record, field.name)
        name = field.name.replace("_", "-")
        if value is None or value is False or value in ((), b""):
            continue
        if field.name in _SECRET:
            yield f"{name} of {len(value)} octets"
        elif value is True:
            yield name
        elif isinstance(value, _SELF_EXPLAINING):
            yield _cut(str(value), size_max)
        else:
            yield f"{name} {_cut(_value_text(value, size_max), size_max)}"


def _value_text(value: object, size_max: int | None) -> str:
    match value:
        case OpenIntEnum() | ApduTag() | Conformance() | SecurityControl():
            return value.text
        case bytes():
            return value.hex()
        case tuple():
            return f"[{'; '.join(_value_text(item, size_max) for item in value)}]"
        case Data() | Obis() | ClockTime() | CosemAttributeDescriptor() | CosemMethodDescriptor():
            return str(value)
        case _ if is_dataclass(value):
            return f"({', '.join(_field_texts(value, size_max))})"
        case _:
            return str(value)


def _cut(text: str, size_max: int | None) -> str:
    return text if size_max is None or len(text) <= size_max else f"{text[:size_max]}…"


_SELF_EXPLAINING = (InvokeIdAndPriority, LongInvokeIdAndPriority, CosemAttributeDescriptor, CosemMethodDescriptor, Data)
