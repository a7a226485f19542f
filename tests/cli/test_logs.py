"""Log lines: one per event with its fields, for people or as JSON."""

import io
import json
import logging
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.cli.logs import log_to_stderr

words = st.text(st.characters(codec="utf-8"), max_size=20)
fields = st.dictionaries(st.sampled_from(["meter", "rows", "peer"]), st.one_of(words, st.integers(), st.none()))


@pytest.fixture(autouse=True)
def _restored():
    log = logging.getLogger("meterspan")
    kept = log.handlers[:], log.level, log.propagate
    yield
    log.handlers[:], log.propagate = kept[0], kept[2]
    log.setLevel(kept[1])


def logged(say, *, as_json, verbose=False):
    """What ``say`` logs, as it stands on standard error."""
    log_to_stderr(as_json=as_json, verbose=verbose)
    log = logging.getLogger("meterspan")
    log.handlers[0].setStream(stream := io.StringIO())
    say(logging.getLogger("meterspan.test"))
    return stream.getvalue()


@given(words.filter(lambda text: "%" not in text), fields)
def test_a_json_line_holds_event_level_time_and_every_field(event, extra):
    before = datetime.now(UTC).replace(microsecond=0)
    (line,) = logged(lambda log: log.warning(event, extra=extra), as_json=True).split("\n")[:-1]
    told = json.loads(line)
    assert told.pop("event") == event
    assert told.pop("level") == "warning"
    assert datetime.fromisoformat(told.pop("time")) >= before
    assert told == extra


def test_a_line_for_people_is_time_level_event_and_fields():
    line = logged(lambda log: log.info("read", extra={"meter": "M1", "rows": 4}), as_json=False)
    assert line[2] == line[5] == ":"
    assert line[8:] == "  info     read  meter=M1  rows=4\n"


@pytest.mark.parametrize("as_json", [True, False])
def test_a_fault_of_the_program_is_logged_with_its_traceback_in_one_record(as_json):
    def fail(log):
        try:
            int("none")
        except ValueError:
            log.exception("failed")

    said = logged(fail, as_json=as_json)
    text = json.loads(said)["fault"] if as_json else said
    assert "Traceback" in text
    assert "ValueError: invalid literal" in text


@pytest.mark.parametrize(("verbose", "count"), [(False, 1), (True, 2)])
def test_details_are_logged_only_where_they_are_asked_for(verbose, count):
    def say(log):
        log.debug("detail")
        log.info("event")

    assert logged(say, as_json=True, verbose=verbose).count("\n") == count


def test_asking_twice_does_not_log_twice():
    log_to_stderr(as_json=False, verbose=False)
    assert logged(lambda log: log.info("once"), as_json=True).count("once") == 1
