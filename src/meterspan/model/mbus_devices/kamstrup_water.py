"""Kamstrup MULTICAL 21 and flowIQ: standard records, and an information code in words.

The code is the record of VIF FF 20 (technical description of the meter, "Info codes"): four flags in bits 0 to 3, and
for each flag three bits that tell how long it was set within the last 30 days.
"""

from meterspan.model.mbus_devices.payload import Decoded, Grammar, Payload, reading

__all__ = ["GRAMMARS"]

_VIF = b"\xff\x20"
_FLAGS = ("dry", "reverse flow", "leak", "burst")
_DURATIONS = ("", "1 to 8 h", "9 to 24 h", "2 to 3 d", "4 to 7 d", "8 to 14 d", "15 to 21 d", "22 to 31 d")
_DURATION_BIT, _DURATION_SIZE = 4, 3


def _read(payload: Payload) -> Decoded | None:
    """Read the code; the register and everything else are standard records."""
    code = next((record.value for record in payload.records.records if record.vif == _VIF), None)
    if not isinstance(code, int):
        return None
    flags = [flag for bit, flag in enumerate(_FLAGS) if code >> bit & 1]
    spans = [code >> _DURATION_BIT + _DURATION_SIZE * place & 7 for place in range(len(_FLAGS))]
    readings = [reading("state", ", ".join(flags) or "ok")]
    readings += [
        reading(f"{flag} within 30 days", _DURATIONS[span]) for flag, span in zip(_FLAGS, spans, strict=True) if span
    ]
    return Decoded(tuple(readings), replaces_records=False)


GRAMMARS = (Grammar("Kamstrup water", frozenset({"KAM"}), _read, media=frozenset({0x06, 0x07, 0x16})),)
"""Cold and hot water meters."""
