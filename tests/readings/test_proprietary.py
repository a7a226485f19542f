"""Makers' payloads: a seal is opened by the engine, and what is wrong with it is told by type."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.model.mbus_devices import GRAMMARS, Payload
from meterspan.model.mbus_devices.payload import Seal
from meterspan.readings.proprietary import read_proprietary
from meterspan.wire.errors import KeyMissingError, KeyWrongError, TruncatedError, WireError
from meterspan.wire.mbus import read_records
from meterspan.wire.mbus.address import DeviceAddress

SEALED = [grammar for grammar in GRAMMARS if grammar.seal is not Seal.NONE]


def payload(octets: bytes, maker: str = "APA", version: int = 0x14, medium: int = 0x07) -> Payload:
    address = DeviceAddress.of(maker, "11223344", version, medium).octets
    return Payload(maker, version, medium, address, 0xA0, octets, read_records(octets))


def test_there_are_sealed_grammars_and_none_of_them_deciphers_by_itself() -> None:
    assert {grammar.seal for grammar in SEALED} == {Seal.MODE_5, Seal.PRIOS}


@pytest.mark.parametrize(
    ("octets", "key", "kind"),
    [
        (bytes(18), None, KeyMissingError),
        (bytes(18), bytes(16), KeyWrongError),
        (bytes(18), b"short", KeyWrongError),
        (bytes(5), bytes(16), TruncatedError),
    ],
)
def test_the_fault_of_a_seal_keeps_its_type_and_names_the_family(
    octets: bytes, key: bytes | None, kind: type[WireError]
) -> None:
    decoded = read_proprietary(payload(octets), key)
    assert decoded is not None
    assert type(decoded.error) is kind
    assert str(decoded.error).startswith("Apator NA-1 ")


def test_a_maker_without_a_fitting_grammar_is_left_to_the_standard() -> None:
    assert read_proprietary(payload(bytes(8), maker="TST")) is None
    assert read_proprietary(payload(bytes(8), medium=0x37)) is None


@given(st.binary(max_size=70), st.sampled_from(GRAMMARS), st.none() | st.binary(min_size=16, max_size=16))
def test_no_octets_raise(octets: bytes, grammar: object, key: bytes | None) -> None:
    maker = min(getattr(grammar, "manufacturers", {"TST"}))
    version = min(getattr(grammar, "versions", None) or {1})
    medium = min(getattr(grammar, "media", None) or {7})
    decoded = read_proprietary(payload(octets, maker, version, medium), key)
    assert decoded is None or decoded.readings or decoded.error is not None or not decoded.replaces_records
