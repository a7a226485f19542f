"""The JSON of a view has the view's fields, exactly; nobody writes them twice."""

import json
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from meterspan.model import views
from meterspan.model.readings import EventSeverity
from meterspan.model.views import CompletenessCell, Home, OrderValue, StoryEntry, UsagePointView
from meterspan.portal import payloads
from meterspan.portal.payloads import RequestPayload, json_list, json_of, list_of, payload_of
from meterspan.quantities import Commodity, Quality

RECORDS = [known for name in views.__all__ if is_dataclass(known := getattr(views, name))]


def _requests() -> set[type[BaseModel]]:
    """Return the bodies of requests: all that are derived from the one base."""
    found, open_ends = set[type[BaseModel]](), [RequestPayload]
    while open_ends:
        kinds = open_ends.pop().__subclasses__()
        found.update(kinds)
        open_ends += kinds
    return found


@pytest.mark.parametrize("view", RECORDS, ids=[view.__name__ for view in RECORDS])
def test_every_view_has_a_payload_with_its_fields_in_its_order(view: type) -> None:
    payload = payload_of(view)
    names = [field.name for field in fields(view)]
    assert list(payload.model_fields)[: len(names)] == names
    assert all(field.is_required() for field in payload.model_fields.values())
    assert payload.__doc__ == view.__doc__ or "\n" in view.__doc__


def test_no_two_views_share_the_name_of_a_schema() -> None:
    assert len({payload_of(view).__name__ for view in RECORDS}) == len(RECORDS)


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_an_amount_is_a_plain_string_that_loses_no_digit(amount: Decimal) -> None:
    text = json.loads(json_of(OrderValue("1-0:1.8.0", amount, "Wh")))["value"]
    assert Decimal(text) == amount
    assert "e" not in text.lower()


@given(st.integers(0, 2**16 - 1).map(Quality))
def test_quality_is_the_names_of_its_flags(quality: Quality) -> None:
    point = views.IntervalPoint(*2 * [datetime(2026, 11, 21, tzinfo=UTC)], None, "night", None, quality)
    names = json.loads(json_of(point))["quality"]
    assert names == [flag.name.lower() for flag in quality]


def test_a_property_is_a_field_and_a_severity_a_word() -> None:
    cell = json.loads(json_of(CompletenessCell(datetime(2026, 11, 21, tzinfo=UTC).date(), 96, 90)))
    assert cell == {"day": "2026-11-21", "expected": 96, "received": 90, "missing": 6}
    entry = StoryEntry(datetime(2026, 11, 21, tzinfo=UTC), "read", "Read", severity=EventSeverity.ALARM)
    assert json.loads(json_of(entry))["severity"] == "alarm"


def test_a_field_can_be_left_out_of_an_event_mark() -> None:
    assert "obis" not in json.loads(json_of(OrderValue("1-0:1.8.0", Decimal(1), "Wh"), exclude=frozenset({"obis"})))


def test_records_of_one_view_are_an_array() -> None:
    point = UsagePointView("DE1", Commodity.GAS, "ELS1", "m3")
    home = Home("a", "A", "Europe/Berlin", (point,))
    octets, count = json_list(Home, [home, home])
    assert (json.loads(octets), count) == (2 * [json.loads(json_of(home))], 2)
    for octets_max in (1, len(octets) - 1):
        assert json_list(Home, [home, home], octets_max=octets_max)[1] == 1
    assert json.loads(json_of(home))["usage_points"] == [json.loads(json_of(point))]
    assert list_of(Home) == list[payload_of(Home)]


@dataclass(frozen=True)
class Odd:
    """A view with a field for which JSON has no rule."""

    numbers: tuple[int, int]


def test_a_type_without_a_rule_is_refused_when_the_payload_is_made() -> None:
    with pytest.raises(TypeError, match="no JSON is defined"):
        payload_of(Odd)


@pytest.mark.parametrize("request_type", sorted(_requests(), key=lambda kind: kind.__name__))
def test_a_body_with_an_unknown_field_is_refused(request_type: type[BaseModel]) -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        request_type.model_validate({"x": 1})


def test_every_body_of_a_request_is_one_that_refuses_unknown_fields() -> None:
    named = {getattr(payloads, name) for name in payloads.__all__ if name.endswith("Request")}
    assert named == _requests()
