"""An operator asks for a meter to be read now, and always learns what became of it."""

import asyncio

import httpx
import pytest

from meterspan.portal import create_app
from tests.portal.sample_views import METERS, NOW, SampleDesk, SampleHomes, SampleNetwork

PLACES = "/api/v1/operator/meters/DME220817004/orders"


@pytest.fixture
def desk() -> SampleDesk:
    return SampleDesk()


def ask(desk: SampleDesk | None, method: str, path: str, **more: object) -> httpx.Response:
    app = create_app(SampleHomes(), SampleNetwork(), clock=lambda: NOW, orders=desk)

    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.request(method, path, **more)

    return asyncio.run(run())


def test_an_order_is_accepted_at_once_and_answered_where_it_says(desk: SampleDesk) -> None:
    placed = ask(desk, "POST", PLACES, json={"deadline_s": 30})
    assert placed.status_code == 202
    assert placed.json()["state"] == "waiting"
    assert desk.asked == [("DME220817004", 30.0, "operator at 127.0.0.1")]
    answered = ask(desk, "GET", placed.headers["location"])
    assert answered.json()["state"] == "answered"
    assert answered.json()["values"] == [
        {"obis": "1-0:1.8.0", "value": "12345.678", "unit": "kWh", "name": "active energy import"}
    ]


@pytest.mark.finding("users A12")
@pytest.mark.parametrize("body", [{}, {"json": {}}, {"json": None}, {"content": b""}])
def test_an_order_without_a_body_has_the_defaults(desk: SampleDesk, body: dict[str, object]) -> None:
    placed = ask(desk, "POST", PLACES, **body)
    assert placed.status_code == 202
    assert desk.asked == [("DME220817004", 60.0, "operator at 127.0.0.1")]


def test_who_orders_is_said_with_the_address(desk: SampleDesk) -> None:
    placed = ask(desk, "POST", PLACES, json={"by": "anna\x1b[2J"})
    assert placed.json()["author"] == "anna[2J at 127.0.0.1"


def test_orders_are_listed_newest_first_and_of_one_meter(desk: SampleDesk) -> None:
    listed = ask(desk, "GET", "/api/v1/operator/orders?limit=3").json()
    assert [order["order_id"] for order in listed] == [8, 7, 6]
    (own,) = ask(desk, "GET", f"/api/v1/operator/orders?device={listed[1]['device']}").json()
    assert own == listed[1]


@pytest.mark.parametrize(
    ("request_line", "body", "status", "kind"),
    [
        ("POST /api/v1/operator/meters/NOBODY/orders", {}, 404, "unknown-meter"),
        ("GET /api/v1/operator/orders/99", None, 404, "unknown-order"),
        (f"POST /api/v1/operator/meters/{METERS[1][0]}/orders", {}, 409, "not-asked"),
        (f"POST {PLACES}", {"deadline_s": 1}, 422, ""),
        (f"POST {PLACES}", {"by": "a" * 81}, 422, ""),
        (f"POST {PLACES}", {"deadline_s": 1e9}, 422, ""),
    ],
)
def test_what_cannot_be_ordered_is_refused_in_words(
    desk: SampleDesk, request_line: str, body: dict[str, float] | None, status: int, kind: str
) -> None:
    refused = ask(desk, *request_line.split(), json=body)
    assert refused.status_code == status
    assert kind in refused.json()["type"]
    assert refused.json()["remedy"]


def test_without_a_head_end_nobody_can_be_asked() -> None:
    refused = ask(None, "POST", PLACES, json={})
    assert refused.status_code == 501
    assert "head end" in refused.json()["remedy"]
