"""Secrets that are planted in the programs are in nothing that they print, serve, log or keep but key files."""

import base64
import re
import stat
import urllib.request
from datetime import datetime
from urllib.error import HTTPError
from urllib.parse import urljoin

import pytest

from tests.cli.test_home import BERLIN, telegram
from tests.cli.test_serve import until, write_config
from tests.helpers_bench import run, running_meter
from tests.helpers_serve import running

KEY = bytes.fromhex("c0ffee11c0ffee22c0ffee33c0ffee44")
AUTH_KEY = bytes.fromhex("d15ea5e1d15ea5e2d15ea5e3d15ea5e4")
RADIO_KEY = bytes.fromhex("fee1dead01fee1dead02fee1dead03ff")
PASSWORD = b"pl4nted-passw0rd"
METER = "MSP10000000042"
KEY_FILES = {"keys.toml", "master.key"}
PAGES_MAX = 40
PLACES = ("/", "/operator", "/operator/damage", "/healthz", "/api/v1/homes", "/api/v1/operator/meters")
LINK = re.compile(r"href=\"(/[^\"#?]*)")


def forms(secret):
    spaced = secret.hex(" ").upper()
    texts = (secret.hex(), secret.hex().upper(), spaced, spaced.lower(), repr(secret)[2:-1])
    return (secret, base64.b64encode(secret), *(text.encode() for text in texts))


def found_in(octets, secrets):
    octets = octets.encode() if isinstance(octets, str) else octets
    return [secret for secret in secrets if any(form in octets for form in forms(secret))]


def pages(base, places):
    """Fetch the places and what their pages link to."""
    waiting, seen = list(places), {}
    while waiting and len(seen) < PAGES_MAX:
        place = waiting.pop(0)
        if place in seen:
            continue
        try:
            with urllib.request.urlopen(urljoin(base, place), timeout=20) as answer:  # noqa: S310 - our own portal
                seen[place] = answer.read()
        except HTTPError as error:
            seen[place] = error.read()
        waiting += LINK.findall(seen[place].decode("utf-8", "replace"))
    return seen


def kept(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name not in KEY_FILES}


def loose(folder):
    return [
        path
        for path in (folder, *folder.rglob("*"))
        if stat.S_IMODE(path.stat().st_mode) & 0o077 and not path.is_symlink()
    ]


def plant(folder):
    path = folder / "keys.toml"
    path.touch(0o600)
    path.write_text(
        f'[meters."{METER}"]\nkey = "{KEY.hex()}"\nauth_key = "{AUTH_KEY.hex()}"\npassword = "{PASSWORD.decode()}"\n'
        f'[meters."MSP-12345678-03"]\nkey = "{RADIO_KEY.hex()}"\n'
    )
    return path


def order(server, device):
    """Read a meter now: a short session, whose first frame stays in the story."""
    body, kind = b'{"deadline_s": 20}', {"Content-Type": "application/json"}
    place = f"{server.told['portal']}/api/v1/operator/meters/{device}/orders"
    with urllib.request.urlopen(urllib.request.Request(place, body, kind), timeout=20) as answer:  # noqa: S310 - our own
        assert answer.status == 202


def test_the_search_finds_what_is_there():
    for text in (PASSWORD, f"x{KEY.hex()}", KEY.hex(" ").upper(), f"{KEY!r}", base64.b64encode(KEY)):
        assert found_in(text, (KEY, PASSWORD))
    assert not found_in("nothing", (KEY, PASSWORD))


@pytest.mark.attack(5)
def test_meter_and_read_show_and_keep_no_planted_secret(tmp_path):
    secrets, keys = (KEY, AUTH_KEY, PASSWORD), plant(tmp_path)
    with running_meter(tmp_path, "--wrapper", "0", "--history", "0") as meter:
        traces = {
            security: run(tmp_path, "read", meter.place("wrapper"), "--auth", security, "--keys", str(keys), "--trace")
            for security in ("lls", "hls5")
        }
    assert [done.returncode for done in traces.values()] == [0, 0]
    shown = {security: done.stdout + done.stderr for security, done in traces.items()}
    assert "2A 2A 2A" in shown["lls"]
    shown |= {"meter": meter.said, **kept(tmp_path)}
    assert {place: leaks for place, octets in shown.items() if (leaks := found_in(octets, secrets))} == {}
    assert loose(tmp_path / "state") == []


@pytest.mark.attack(5)
def test_serve_shows_and_keeps_no_planted_secret(tmp_path):
    secrets, story = (KEY, AUTH_KEY, PASSWORD), f"/operator/meters/{METER}"
    plant(tmp_path)
    with running_meter(tmp_path, "--wrapper", "0", "--history", "0") as meter:
        config = write_config(tmp_path, (METER, meter.place("wrapper")))
        config.write_text(f'{config.read_text()}\nsecurity = "lls"\nclient = 2\n')
        with running(tmp_path, "serve", str(config), "--verbose") as server:
            until(lambda: server.get("/healthz")["sessions_ok"])
            order(server, METER)
            until(lambda: server.get("/healthz")["sessions_ok"] > 1)
            seen = pages(server.told["portal"], (f"/api/v1{story}", story, *PLACES))
    assert (b"*" * len(PASSWORD)).hex().upper() in seen[f"/api/v1{story}"].decode()
    shown = seen | kept(tmp_path)
    assert {place: leaks for place, octets in shown.items() if (leaks := found_in(octets, secrets))} == {}
    assert loose(tmp_path / "central") == []


@pytest.mark.attack(5)
def test_home_shows_and_keeps_no_planted_secret(tmp_path, monkeypatch):
    monkeypatch.setenv("METERSPAN_KEY", KEY.hex())
    monkeypatch.setenv("METERSPAN_AUTH_KEY", AUTH_KEY.hex())
    secrets, keys = (KEY, AUTH_KEY, RADIO_KEY), plant(tmp_path)
    capture = tmp_path / "capture.txt"
    capture.write_bytes(telegram(datetime.now(BERLIN), 1_000))
    options = ["--p1", str(capture), "--radio", "0", "--keys", str(keys), "--push", "127.0.0.1:9", "--g1-port", "0"]
    data = tmp_path / "home"
    with running(tmp_path, "home", *options, "--data", str(data), "--port", "0") as server:
        seen = pages(server.told["portal"], PLACES)
    shown = {**seen, **kept(tmp_path)}
    assert {place: leaks for place, octets in shown.items() if (leaks := found_in(octets, secrets))} == {}
    assert loose(data) == []


@pytest.mark.finding("security low-8")
def test_a_meter_without_a_key_file_shows_no_key_that_it_makes_up(tmp_path):
    done = run(tmp_path, "meter", "--wrapper", "0", "--p1", "1", "--history", "0", "--host", "203.0.113.1")
    path = tmp_path / "state" / "meterspan" / "meters" / "keys.toml"
    made = [bytes.fromhex(digits) for digits in re.findall(r"\"(?:hex:)?([0-9a-f]{12,})\"", path.read_text())]
    assert len(made) == 3
    assert found_in(done.stdout + done.stderr, made) == []
    assert "export" not in done.stderr
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
