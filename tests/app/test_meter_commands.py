"""Commands about meters at a portal end in words, whatever answers there; at rest they make no folder."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.app import meter_commands
from meterspan.app.meter_commands import CommandFailedError, MeterPortal, change_at_rest
from meterspan.app.start_check import StartSource
from meterspan.model.meter_changes import ChangeKind, ChangeWish

METER = {"device": "M1", "state": "ok", "usage_point": "home", "reason": ""}
ORDER = {"order_id": 1, "state": "answered", "reason": "", "values": [{"name": "energy", "value": "1", "unit": "kWh"}]}
CHANGE = {"text": "removed", "notes": ["its readings stay"]}
REMOVAL = ChangeWish(ChangeKind.REMOVE, "M1", None, "", "", None, (), (), "anna")
ASKED = {
    "list": lambda portal: portal.meters(),
    "change": lambda portal: portal.change(REMOVAL),
    "read": lambda portal: portal.read("M1", 0, "anna"),
}


@contextmanager
def answering(body, status=200, *, cut=0):
    """Run a program that answers everything with some octets."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            if cut < 0:
                self.wfile.write(body)
                return
            self.send_response(status)
            self.send_header("Content-Length", str(len(body) + cut))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self):
            self.do_GET()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield MeterPortal(f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        server.server_close()


def test_what_a_portal_answers_is_returned_as_it_is():
    for asked, answer in (("list", [METER]), ("change", CHANGE), ("read", ORDER)):
        with answering(json.dumps(answer).encode()) as portal:
            assert ASKED[asked](portal) == answer


@pytest.mark.attack(3)
@pytest.mark.parametrize("asked", list(ASKED))
@pytest.mark.parametrize(
    "answer",
    [
        {},
        [],
        [[]],
        [{"device": 1}],
        None,
        "text",
        {"text": 1, "notes": []},
        {"text": "x", "notes": [1]},
        ORDER | {"values": [1]},
        ORDER | {"state": None},
        ORDER | {"order_id": "../x y"},
    ],
)
def test_another_json_is_no_answer_of_a_portal(asked, answer):
    if (asked, answer) == ("list", []):
        return
    with answering(json.dumps(answer).encode()) as portal, pytest.raises(CommandFailedError, match="no portal"):
        ASKED[asked](portal)


@pytest.mark.attack(3)
@pytest.mark.parametrize(
    ("body", "status", "cut"),
    [
        (b"", 200, 0),
        (b"\xff\xfe", 200, 0),
        (b"[" * 100_000, 200, 0),
        (b"{}", 200, 99),
        (b"{}", 500, 99),
        (b"[]", 404, 0),
        (b"[" * 100_000, 500, 0),
        (b"no HTTP at all\r\n\r\n", 200, -1),
        (b"", 200, -1),
    ],
)
@pytest.mark.parametrize("asked", list(ASKED))
def test_any_octets_that_answer_end_in_words(asked, body, status, cut):
    with answering(body, status, cut=cut) as portal, pytest.raises(CommandFailedError):
        ASKED[asked](portal)


def test_an_order_that_never_ends_is_given_up(monkeypatch):
    monkeypatch.setattr(meter_commands, "ANSWER_S", 0.3)
    monkeypatch.setattr(meter_commands, "POLL_S", 0.01)
    waiting = json.dumps(ORDER | {"state": "waiting"}).encode()
    with answering(waiting) as portal, pytest.raises(CommandFailedError, match="has not ended"):
        portal.read("M1", 0, "anna")


@pytest.mark.attack(3)
@pytest.mark.parametrize(
    "url",
    [
        "http://[::1",
        "http://a b",
        "http://",
        "ftp://x",
        "http://h:99999",
        "http://h:x",
        "http://h\n/",
        "http://\u00e4",
        "http://user:PLANTED@h",
        "http://user:PLANTED@[::1",
        "http://user:PLANTED@h:x/y",
    ],
)
def test_what_is_no_address_of_a_portal_is_refused_and_not_repeated(url):
    with pytest.raises(ValueError, match="is no address like") as refused:
        MeterPortal(url)
    assert "PLANTED" not in str(refused.value)


@given(st.text(max_size=30).map("http://".__add__) | st.text(max_size=30))
def test_any_text_is_refused_or_asked_in_words(text):
    with pytest.raises((ValueError, CommandFailedError)) as ended:
        asked_in_vain(text)
    assert str(ended.value)


def asked_in_vain(url):
    """Ask for the meters where nobody can be connected to."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("socket.create_connection", refusing)
        MeterPortal(url).meters()


def refusing(*_, **__):
    raise ConnectionRefusedError


@pytest.mark.parametrize("kind", ChangeKind)
def test_a_folder_on_which_no_program_has_run_is_refused_and_not_made(tmp_path: Path, kind: ChangeKind) -> None:
    source = StartSource(None, tmp_path / "none", lambda found: found, lambda _: {}, tmp_path / "keys" / "master.key")
    with pytest.raises(CommandFailedError, match="is no data folder of meterspan serve"):
        change_at_rest(source, ChangeWish(kind, "X", {"device": "X"}))
    assert list(tmp_path.iterdir()) == []
