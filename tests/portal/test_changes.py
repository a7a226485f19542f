"""Meters are added, exchanged, moved, removed and deleted at the API, with the author; a refusal has its words."""

import asyncio
from datetime import UTC, datetime

import httpx
import pytest

from meterspan.model.meter_changes import ChangeKind, ChangeRefusedError, ChangeView, ChangeWish, InstallationView
from meterspan.portal import create_app
from tests.portal.sample_views import NOW, SampleHomes, SampleNetwork

PLACE = "/api/v1/operator"
AT = "2026-11-21T09:30:00Z"


class Desk:
    """Notes wishes; refuses those about REFUSED."""

    def __init__(self) -> None:
        self.wishes: list[ChangeWish] = []

    def change(self, wish: ChangeWish) -> ChangeView:
        if wish.device == "REFUSED":
            raise ChangeRefusedError(["it is too early", "it has no key"])
        self.wishes.append(wish)
        return ChangeView(1, NOW, wish.author, wish.kind, wish.device, wish.at or NOW, "done")

    def changes(self, limit: int = 100) -> list[ChangeView]:
        return [ChangeView(1, NOW, "anna", ChangeKind.REMOVE, "M1", NOW, "M1 was removed")][:limit]

    def installations(self, device: str) -> list[InstallationView]:
        return [InstallationView("h1-E", "h1", device, NOW, None, ("1-0:1.8.0 7 kWh",))]


def ask(desk: Desk | None, method: str, path: str, **more: object) -> httpx.Response:
    app = create_app(SampleHomes(), SampleNetwork(), clock=lambda: NOW, meter_desk=desk)

    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.request(method, path, **more)

    return asyncio.run(run())


ENTRY = {"device": "M2", "endpoint": "tcp://127.0.0.1:1"}
FIRST, LAST = ["1-0:1.8.0 7 kWh"], ["1-0:1.8.0 9 kWh"]
AUTHOR, SOMEBODY = "anna at 127.0.0.1", "operator at 127.0.0.1"
WHEN = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
WISHES = [
    (
        ("POST", "/meters", {"entry": ENTRY, "opening": FIRST, "at": AT, "by": "anna"}),
        ChangeWish(ChangeKind.ADD, "M2", ENTRY, at=WHEN, opening=FIRST, author=AUTHOR),
    ),
    (
        ("POST", "/meters/M1/exchange", {"entry": ENTRY, "opening": FIRST, "closing": LAST, "at": AT, "by": "anna"}),
        ChangeWish(ChangeKind.EXCHANGE, "M1", ENTRY, at=WHEN, closing=LAST, opening=FIRST, author=AUTHOR),
    ),
    (
        ("POST", "/meters/M1/move", {"home": "h2", "closing": LAST, "by": "anna"}),
        ChangeWish(ChangeKind.MOVE, "M1", None, "h2", closing=LAST, author=AUTHOR),
    ),
    (("POST", "/meters/M1/removal", {"by": "anna"}), ChangeWish(ChangeKind.REMOVE, "M1", closing=[], author=AUTHOR)),
    (
        ("POST", "/meters/M2/removal", None),
        ChangeWish(ChangeKind.REMOVE, "M2", closing=[], author="operator at 127.0.0.1"),
    ),
    (("DELETE", "/meters/M1?by=anna", None), ChangeWish(ChangeKind.DELETE, "M1", author=AUTHOR)),
]


@pytest.mark.parametrize(("request_line", "wish"), WISHES, ids=[path for (_, path, _), _ in WISHES])
def test_each_change_reaches_the_desk_as_it_was_asked_for(request_line, wish):
    desk, (method, path, body) = Desk(), request_line
    answer = ask(desk, method, PLACE + path, json=body)
    assert (answer.status_code, answer.json()["text"]) == (200, "done")
    assert desk.wishes == [wish]


@pytest.mark.parametrize(
    ("path", "body", "status", "kind"),
    [
        ("/meters/REFUSED/removal", {}, 409, "change-refused"),
        ("/meters/M1/exchange", {}, 422, "invalid-request"),
        ("/meters/M1/move", {}, 422, "invalid-request"),
        ("/meters/M1/removal", {"at": "2026-11-21T09:30:00"}, 422, "invalid-request"),
        ("/meters/M1/removal", {"closed": []}, 422, "invalid-request"),
    ],
)
def test_what_cannot_be_changed_is_refused_in_words(path, body, status, kind):
    desk = Desk()
    answer = ask(desk, "POST", PLACE + path, json=body)
    assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (status, kind)
    assert answer.json()["remedy"]
    assert desk.wishes == []


def test_changes_and_installations_are_listed():
    (change,) = ask(Desk(), "GET", f"{PLACE}/changes").json()
    assert (change["kind"], change["text"]) == ("remove", "M1 was removed")
    (row,) = ask(Desk(), "GET", f"{PLACE}/meters/M1/installations").json()
    assert (row["end"], row["opening"]) == (None, ["1-0:1.8.0 7 kWh"])


def test_without_a_head_end_no_meter_is_changed():
    answer = ask(None, "POST", f"{PLACE}/meters/M1/removal")
    assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (501, "no-meter-desk")


def test_the_page_of_a_meter_shows_where_it_is_installed():
    html = ask(Desk(), "GET", "/operator/meters/DME220817004").text
    assert "First registers" in html
    assert "1-0:1.8.0 7 kWh" in html
    assert "still installed" in html
