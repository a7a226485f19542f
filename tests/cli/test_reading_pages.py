import re
from datetime import UTC
from decimal import Decimal

import pytest

from meterspan.cli.reading_pages import _exact, _exact_text, _span, trace_lines
from meterspan.engine.frame_trace import FrameDirection, TracedFrame
from meterspan.quantities import parse_obis
from meterspan.readings.names import meaning_of


@pytest.mark.parametrize(
    ("seconds", "text"), [(3.4, "3 s"), (119, "119 s"), (180, "3.0 min"), (7_300, "2.0 h"), (22_737_500, "263.2 days")]
)
def test_a_clock_offset_is_told_in_a_unit_that_people_read(seconds, text):
    assert _span(seconds) == text


def test_numbers_keep_all_their_digits_and_texts_stay_texts():
    assert _exact_text("12") == 12
    assert bytes(_exact_text("0.10")) == b"0.10"
    assert _exact_text("4d53") == "4d53"
    assert _exact_text("") is None
    assert _exact_text("nan") is None
    assert _exact(Decimal("1E+3")) == 1000


@pytest.mark.finding("users B8")
def test_a_trace_is_whole_in_a_file_and_fills_no_terminal():
    frame = TracedFrame(0.0, FrameDirection.SENT, bytes(range(256)) * 4, "1 -> 16", "get-response " + "word " * 400)

    def shown(*, whole):
        return re.sub(r"\[/?[a-z ]+\]", "", "\n".join(trace_lines(frame, UTC, whole=whole)))

    assert frame.octets.hex(" ").upper() in shown(whole=True)
    assert shown(whole=True).count("word") == 400
    short = shown(whole=False)
    assert "1024 octets" in short
    assert len(short) < 1_200
    assert short.endswith("word …"), "cut between two words"


@pytest.mark.finding("users B9")
@pytest.mark.parametrize("code", ["0-0:43.1.0", "0-0:96.11.0", "0-0:14.0.0", "0-0:99.98.0", "1-0:99.1.0", "0-0:13.0.0"])
def test_the_objects_of_a_view_have_names(code):
    assert meaning_of(parse_obis(code)).quantity not in ("", "value")
