import asyncio
import json
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal

import httpx
import pytest

from meterspan.portal import create_app
from meterspan.portal.headers import SECURITY_HEADERS
from meterspan.portal.sources import Sources
from meterspan.quantities import Commodity
from tests.portal.sample_views import NOW, SampleHomes, SampleNetwork

HOME = "/api/v1/homes/lindenhof-3"


def test_homes_are_listed_with_their_supplies(ask):
    homes = ask("/api/v1/homes").json()
    assert [home["home_id"] for home in homes] == ["lindenhof-3", "lindenhof-5", "muehlweg-12"]
    assert [point["commodity"] for point in homes[0]["usage_points"]] == ["electricity", "gas", "water", "heat"]
    assert homes[0]["usage_points"][1]["unit"] == "m3"
    assert homes[0]["zone"] == "Europe/Berlin"


def test_a_day_adds_up_exactly_to_its_register_difference(ask):
    day = ask(f"{HOME}/electricity/days/2026-11-20").json()
    total = sum(Decimal(point["value"]) for point in day["intervals"])
    assert total == Decimal(day["closing"]) - Decimal(day["opening"]) == Decimal(day["total"])
    assert len(day["intervals"]) == 96


@pytest.mark.parametrize(("day", "quarters"), [("2026-10-25", 100), ("2026-03-29", 92), ("2026-11-20", 96)])
def test_a_local_day_has_the_quarters_that_its_calendar_gives_it(ask, day, quarters):
    assert len(ask(f"{HOME}/electricity/days/{day}").json()["intervals"]) == quarters


def test_amounts_are_plain_decimal_strings_and_instants_are_utc(ask):
    day = ask(f"{HOME}/electricity/days/2026-11-20").json()
    for amount in (
        day["total"],
        day["unexplained"],
        day["intervals"][0]["value"],
        day["tariff"]["windows"][0]["price"],
    ):
        assert isinstance(amount, str)
        assert format(Decimal(amount), "f") == amount
    assert day["start"] == "2026-11-19T23:00:00Z"


def test_a_missing_quarter_is_null_and_its_energy_is_said_to_be_unexplained(ask):
    day = ask(f"{HOME}/electricity/days/2026-11-18").json()
    missing = [point for point in day["intervals"] if point["value"] is None]
    assert len(missing) == 5
    assert all(point["quality"] == ["missing"] and point["cost"] is None for point in missing)
    known = sum(Decimal(point["value"]) for point in day["intervals"] if point["value"] is not None)
    assert known + Decimal(day["unexplained"]) == Decimal(day["closing"]) - Decimal(day["opening"])
    assert day["notes"]


def test_quality_names_every_flag(ask):
    points = ask(f"{HOME}/electricity/days/2026-11-21").json()["intervals"]
    assert {tuple(point["quality"]) for point in points} == {(), ("spread", "estimated")}


def test_a_month_gives_days_by_tariff_band(ask):
    month = ask(f"{HOME}/electricity/months/2026-11").json()
    assert len(month["points"]) == 30
    first = month["points"][0]
    assert sum(Decimal(value) for value in first["by_band"].values()) == Decimal(first["value"])
    assert set(first["by_band"]) == {"night", "standard", "peak"}
    assert month["points"][29]["value"] is None


def test_live_is_now_with_band_price_and_cost(ask):
    live = ask(f"{HOME}/live").json()
    assert live["band"] == "peak"
    assert live["band_until"] == "2026-11-21T19:00:00Z"
    assert sum(Decimal(today["cost"]) for today in live["today"]) == Decimal(live["cost_today"])


def test_the_operator_sees_summary_meters_story_map_and_quarantine(ask):
    summary = ask("/api/v1/operator/summary").json()
    assert summary["meters"] == sum(summary["by_state"].values()) == 30
    assert summary["completeness_today"] == "0.9867"
    assert summary["completeness_yesterday"] == "0.9987"
    meters = ask("/api/v1/operator/meters").json()
    assert meters[0]["state"] == "failing"
    assert [meter["state"] for meter in ask("/api/v1/operator/meters?state=late&state=unknown").json()] == [
        "late",
        "late",
        "unknown",
    ]
    story = ask(f"/api/v1/operator/meters/{meters[0]['device']}").json()
    assert story["status"] == meters[0]
    assert story["entries"][3]["severity"] == "alarm"
    assert story["frames"][0]["spans"][2] == {"offset": 2, "octets": "A511", "field": "manufacturer", "meaning": "DME"}
    rows = ask("/api/v1/operator/completeness?first=2026-11-01&last=2026-11-07").json()
    assert len(rows) == 30
    assert [cell["day"] for cell in rows[0]["cells"]] == [f"2026-11-0{day}" for day in range(1, 8)]
    cell = rows[0]["cells"][0]
    assert cell["missing"] == cell["expected"] - cell["received"]
    assert len(ask("/api/v1/operator/quarantine?limit=2").json()) == 2


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        ("/api/v1/homes/nobody", 404, "unknown-home"),
        ("/api/v1/homes/nobody/live", 404, "unknown-home"),
        ("/api/v1/homes/lindenhof-5/gas/days/2026-11-20", 404, "no-such-supply"),
        (f"{HOME}/electricity/days/2026-02-30", 422, "invalid-request"),
        (f"{HOME}/electricity/days/1712-02-03", 422, "date-out-of-range"),
        (f"{HOME}/electricity/months/2026-13", 422, "invalid-request"),
        (f"{HOME}/electricity/months/0000-01", 422, "date-out-of-range"),
        (f"{HOME}/steam/days/2026-11-20", 422, "invalid-request"),
        ("/api/v1/operator/meters/NONE", 404, "unknown-meter"),
        ("/api/v1/operator/completeness?first=2026-11-02&last=2026-11-01", 422, "span-out-of-range"),
        ("/api/v1/operator/completeness?first=2020-11-02&last=2026-11-01", 422, "span-out-of-range"),
        ("/api/v1/operator/completeness?last=0001-01-01", 200, ""),
        ("/api/v1/operator/quarantine?limit=0", 422, "invalid-request"),
        ("/api/v1/nothing", 404, "unknown-path"),
    ],
)
def test_errors_are_problem_documents_that_say_what_to_do(ask, path, status, kind):
    response = ask(path)
    assert response.status_code == status
    if status == 200:
        return
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["type"] == f"urn:meterspan:problem:{kind}"
    assert problem["status"] == status
    assert problem["instance"] == path.partition("?")[0]
    assert len(problem["remedy"]) > 20
    assert response.headers["cache-control"] == "no-store"


def test_a_fault_of_a_view_is_a_problem_without_its_insides():
    class Broken(SampleNetwork):
        def summary(self, now: datetime, network: str = ""):
            raise RuntimeError("secret insides")

    app = create_app(SampleHomes(), Broken(), clock=lambda: NOW)

    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.get("/api/v1/operator/summary")

    response = asyncio.run(run())
    assert response.status_code == 500
    assert response.json()["type"] == "urn:meterspan:problem:fault"
    assert "secret" not in response.text


def test_an_unchanged_answer_is_304_and_a_changed_one_is_not(ask):
    path = f"{HOME}/electricity/days/2026-11-20"
    first = ask(path)
    tag = first.headers["etag"]
    again = ask(path, headers={"If-None-Match": f'"other", {tag}'})
    assert again.status_code == 304
    assert not again.content
    assert again.headers["etag"] == tag
    assert ask(f"{HOME}/electricity/days/2026-11-19").headers["etag"] != tag
    assert ask(f"{HOME}/live").headers["vary"].startswith("Accept")


def test_every_answer_carries_the_security_headers(ask):
    for path in ("/", "/api/v1/homes", "/nothing", "/homes/lindenhof-3"):
        headers = ask(path).headers
        assert {name: headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS
    assert "unsafe" not in SECURITY_HEADERS["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("host", "status"), [("localhost:8080", 200), ("[::1]:80", 200), ("evil.example", 421), ("[", 421)]
)
def test_only_allowed_host_names_are_answered(ask, host, status):
    assert ask("/api/v1/homes", headers={"Host": host}).status_code == status


def test_the_openapi_document_is_valid_and_every_reference_resolves(ask):
    document = ask("/api/v1/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert len([path for path in document["paths"] if path.startswith("/api/v1/")]) == len(document["paths"]) == 21
    for reference in _references(document):
        place = document
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]
    for operations in document["paths"].values():
        for operation in operations.values():
            assert operation["summary"]
            assert operation["responses"]["404"]["content"]["application/problem+json"]
    assert document["components"]["schemas"]["PeriodPayload"]["properties"]["total"]["anyOf"][0]["type"] == "string"
    assert len({operation["operationId"] for item in document["paths"].values() for operation in item.values()}) == 23


def test_answers_have_the_shape_that_the_openapi_document_promises(ask):
    document = ask("/api/v1/openapi.json").json()
    operators = {"{home_id}": "lindenhof-3", "{commodity}": "gas", "{day}": "2026-11-20", "{month}": "2026-11"}
    operators["{device}"] = "DME220817004"
    for template, item in document["paths"].items():
        if template.endswith(("/events", "/changes", "/installations")) or "orders" in template or "get" not in item:
            continue
        path = template
        for name, value in operators.items():
            path = path.replace(name, value)
        schema = item["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        _check(ask(path).json(), schema, document)


def _references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def _check(value: object, schema: dict, document: dict) -> None:
    if "$ref" in schema:
        _check(value, document["components"]["schemas"][schema["$ref"].rpartition("/")[2]], document)
    elif "anyOf" in schema:
        if value is None:
            assert {"type": "null"} in schema["anyOf"]
        else:
            _check(value, schema["anyOf"][0], document)
    elif schema.get("type") == "object" and "properties" in schema:
        assert set(value) == set(schema["properties"])
        for name, inner in schema["properties"].items():
            _check(value[name], inner, document)
    elif schema.get("type") == "array":
        assert isinstance(value, list)
        for item in value[:3]:
            _check(item, schema["items"], document)
    else:
        kinds = {"string": str, "integer": int, "boolean": bool, "object": dict}
        assert isinstance(value, kinds[schema["type"]])
        json.dumps(value)


def test_views_are_asked_for_the_very_day_and_commodity():
    asked = []

    class Recording(SampleHomes):
        def day(self, home_id: str, commodity: Commodity, day: date):
            asked.append((home_id, commodity, day))
            return super().day(home_id, commodity, day)

    Sources(Recording(), SampleNetwork(), lambda: NOW).day("lindenhof-3", Commodity.HEAT, date(2026, 11, 3))
    assert asked == [("lindenhof-3", Commodity.HEAT, date(2026, 11, 3))]


def test_the_sentences_of_an_answer_are_in_the_readers_language_and_its_codes_are_not(ask):
    def failing(**headers):
        response = ask("/api/v1/operator/meters?state=failing", headers=headers)
        assert "Accept-Language" in response.headers["vary"]
        return response.headers["content-language"], response.json()[0]

    language, english = failing()
    assert (language, english["failure"]) == ("en", "key-wrong")
    assert english["reason"].startswith("Not reached: wrong key: the meter's message could not be opened")
    language, german = failing(**{"Accept-Language": "de"})
    assert (language, german["failure"]) == ("de", "key-wrong")
    assert german["reason"].startswith("Nicht erreicht: falscher Schlüssel")
    assert german["reason"].endswith("(the tags of 14 frames differ)"), "what an expert looks for is not translated"


def test_damage_at_rest_is_listed_with_its_kind_span_loss_and_remedy(ask):
    batch, segment, *_ = ask("/api/v1/operator/damage").json()
    assert (batch["item"], batch["kind"], batch["readings"]) == ("batch 4711", "batch", 1_536)
    assert (batch["first"], batch["last"]) == ("2026-11-20T00:00:00Z", "2026-11-20T03:00:00Z")
    assert segment["found_at"] is None
    assert batch["loss"].startswith("Its readings are missing")
    german = ask("/api/v1/operator/damage?limit=1", headers={"Accept-Language": "de"}).json()
    assert [item["remedy"].split()[0] for item in german] == ["Ein"]
    summary = ask("/api/v1/operator/summary").json()
    assert (summary["damaged"], summary["left_out"]) == (5, ["batch 4711", "2026-03-01-00000017.parquet"])


@pytest.mark.parametrize("path", ["/homes", "/operator/meters", "/operator/completeness"])
def test_a_list_is_answered_in_parts_that_lead_to_the_next(ask, path):
    whole = ask(f"/api/v1{path}").json()
    place, found = f"/api/v1{path}?limit=2", []
    while place:
        response = ask(place)
        assert len(response.json()) <= 2
        found += response.json()
        place = response.links["next"]["url"] if "next" in response.links else ""
    assert found == whole
