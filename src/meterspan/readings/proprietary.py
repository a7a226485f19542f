"""Makers' payloads as readings: finds the grammar, opens what it seals, and reads."""

from dataclasses import replace

from meterspan.engine.mbus_security import open_sealed
from meterspan.model.mbus_devices import Decoded, Payload, grammars_of
from meterspan.wire import WireError

__all__ = ["read_proprietary"]


def read_proprietary(payload: Payload, key: bytes | None = None) -> Decoded | None:
    """Return what the first fitting grammar reads; None where none knows the layout. Damage is an answer too.

    Args:
        payload: of the telegram, unchanged.
        key: of the meter, for grammars whose payload is sealed.

    """
    for grammar in grammars_of(payload):
        try:
            plain = open_sealed(grammar.seal, payload.address, payload.ci, payload.octets, key)
            decoded = grammar.read(payload if plain is None else replace(payload, plain=plain))
        except WireError as error:
            named = type(error)(error.reason, error.offset, f"{grammar.name} {error.field}", error.clause)
            return Decoded(error=named)
        if decoded is not None:
            return decoded
    return None
