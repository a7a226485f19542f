"""The decoder: any octets under any name get an answer; keys do not show; the recogniser can be overridden."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meterspan.engine.mbus_security import Protection
from meterspan.model.telegram import DecodedTelegram
from meterspan.readings import Decoder, Format
from meterspan.wire.sml import (
    Integer,
)
from meterspan.wire.sml import write_frame as write_sml_frame
from meterspan.wire.wmbus.frame import FrameFormat
from tests.readings.frames import (
    EXPECTED,
    KAMSTRUP,
    KEY,
    LLC,
    SELF_DESCRIBING,
    hdlc,
    notification,
    p1_text,
    sealed,
    sml_capture,
    values,
    wireless,
)

SAMPLES = (
    hdlc(LLC + notification(SELF_DESCRIBING)),
    p1_text(),
    write_sml_frame(sml_capture(Integer(1, 2, signed=True))),
    wireless(Protection(), form=FrameFormat.STRIPPED),
    sealed(notification(KAMSTRUP)),
)


def test_as_overrides_the_recogniser_and_an_unknown_name_is_an_error() -> None:
    apdu = notification(SELF_DESCRIBING)
    assert values(Decoder().decode(apdu, as_="dlms")) == EXPECTED
    assert Decoder().decode(apdu, as_="sml-file").error
    assert "no format is called" in (Decoder().decode(apdu, as_="morse").error or "")


def test_damaged_frames_always_give_an_answer() -> None:
    rng, decoder = random.Random(5), Decoder()  # noqa: S311 - seeded noise
    for sample in SAMPLES:
        for size in range(0, len(sample), 3):
            assert isinstance(decoder.decode(sample[:size], key=KEY), DecodedTelegram)
        for _ in range(150):
            octets = bytearray(sample)
            for _ in range(rng.randrange(1, 5)):
                octets[rng.randrange(len(octets))] = rng.randrange(256)
            assert isinstance(decoder.decode(bytes(octets), key=KEY), DecodedTelegram)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([None, *Format]))
def test_any_octets_under_any_name_give_an_answer(octets: bytes, kind: Format | None) -> None:
    assert isinstance(Decoder().decode(octets, key=KEY, as_=kind), DecodedTelegram)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200))
def test_any_text_gives_an_answer(text: str) -> None:
    assert isinstance(Decoder().decode(text), DecodedTelegram)


@pytest.mark.parametrize(
    "pattern", [b"\x7e\xa0\x20", b"\x7e", b"\x1b\x1b\x1b\x1b\x01\x01\x01\x01", b"\n/", b"/A\n!", b"\xe5"]
)
def test_long_patterns_take_time_in_proportion_to_their_length(pattern: bytes) -> None:
    octets = pattern * (200_000 // len(pattern))
    for kind in (None, *Format):
        assert isinstance(Decoder().decode(octets, as_=kind), DecodedTelegram)
