"""Pushes cross between meterspan and Gurux, each a program, over TCP, UDP and HDLC, by their push object lists."""

import json
import subprocess
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from meterspan.engine.links import TRANSPORTS
from meterspan.engine.security import SecurityContext, SecurityKeys
from meterspan.mdm import MeterDataManagement
from meterspan.model.readings import Source
from meterspan.quantities import Obis
from meterspan.wire.axdr import unsigned
from meterspan.wire.xdlms import (
    CosemAttributeDescriptor,
    DataNotificationConfirm,
    EventNotificationRequest,
    read_apdu,
    write_apdu,
)
from tests.cli.test_pushing import METERS, quarter, until
from tests.helpers_bench import read_json, running_meter
from tests.helpers_serve import HEAD_END_TITLE, free_port, running
from tests.interop.helpers import AUTH_KEY, CLIENT_TITLE, KEY, PASSWORD, PEERS
from tests.interop.matrix import Row
from tests.memory import MemoryState

pytestmark = [pytest.mark.interop, pytest.mark.timeout(180), pytest.mark.peer("Gurux")]

SERVICES = {"tcp": 0, "udp": 1, "hdlc+tcp": 5}
"""Transport services of a push destination (IEC 62056-6-2, 4.4.8)."""
SCHEMES = list(SERVICES)
TITLE, PLAIN = b"GRX\0\0\0\0\2", "GRXPLAIN01"
EVENT_CODE = Obis(0, 0, 96, 11, 0)
DISCONNECTED_REMOTELY = 62
PUSH_OBJECTS = ["1/0-0:42.0.0/2", "8/0-0:1.0.0/2", "3/1-0:1.8.0/2 kWh"]
START = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp())


@pytest.fixture(autouse=True)
def _secrets(monkeypatch):
    secrets = {"METERSPAN_KEY": KEY.hex(), "METERSPAN_AUTH_KEY": AUTH_KEY.hex(), "METERSPAN_PASSWORD": PASSWORD}
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)


def serve_config(folder, scheme, port):
    """Write the configuration of a head end with two Gurux meters, of which one pushes without protection."""
    keys = folder / "keys.toml"
    keys.touch(0o600)
    keys.write_text(f'[meters."GRX1"]\nkey = "{KEY.hex()}"\nauth_key = "{AUTH_KEY.hex()}"\n', "utf-8")
    place = f"{scheme}://127.0.0.1:{port}"
    meters = [("GRX1", [f'system_title = "{TITLE.hex()}"']), (PLAIN, ["insecure_plain_pushes = true"])]
    lines = [f'data = "{folder / "central"}"', f'keys = "{keys}"', "[portal]", "port = 0", "[push]", "port = 0"]
    lines += [f'places = ["{place}"]']
    for number, (device, more) in enumerate(meters):
        lines += ["[[homes]]", f'id = "home-{number}"', "[[meters]]", f'device = "{device}"', f'home = "home-{number}"']
        lines += ['endpoint = "tcp://127.0.0.1:9"', f"push_objects = {json.dumps(PUSH_OBJECTS)}", *more]
        lines += ['security = "none"'] if device == PLAIN else []
        lines += [f"installed_at = {datetime.fromtimestamp(START, UTC).isoformat()}"]
    path = folder / "serve.toml"
    path.write_text("\n".join(lines), "utf-8")
    return path


@pytest.mark.finding("dlms D4")
@pytest.mark.matrix(Row.THEIR_PUSH, Row.THEIR_PLAIN_PUSH, Row.THEIR_EVENT)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_serve_takes_the_pushes_of_a_gurux_meter(ask, tmp_path, scheme):
    port = free_port()
    keys = {"title": TITLE.hex(), "key": KEY.hex(), "auth_key": AUTH_KEY.hex()}
    pushes = [
        {"name": "GRX1", "what": "push", "lists_itself": True, "counter": 1, **keys},
        {"name": "GRX1", "what": "push", "lists_itself": False, "counter": 2, **keys},
        {"name": PLAIN, "what": "push", "lists_itself": False},
        {"name": "GRX1", "what": "event", "event": 65, "counter": 3, **keys},
    ]
    with running(tmp_path, "serve", str(serve_config(tmp_path, scheme, port))) as server:
        answers = []
        for number, push in enumerate(pushes):
            task = {"scheme": scheme, "port": port, "time": START + 900 * (number + 1), "value": 100 + number}
            answers.append(bytes.fromhex(ask("gurux_pusher.py", task | push)["answer"]))
        health = until(lambda: (told := server.get("/healthz"))["rows_pushed"] == 3 and told)
        assert health["quarantined"] == 0
        entries = server.get(f"{METERS}/GRX1")["entries"]
        assert "It reports event 65: limiter exceeded" in {entry["title"] for entry in entries}
    sender = SecurityContext(TITLE, SecurityKeys(KEY, AUTH_KEY), counters=MemoryState(), peer_title=HEAD_END_TITLE)
    confirmed = [confirmation(answer, scheme, sender) for answer in answers[:3]]
    assert [type(apdu) for apdu in confirmed] == [DataNotificationConfirm] * 3
    assert answers[3] == b"", "an event has no confirmation"
    assert stored(tmp_path) == {
        ("GRX1", START + 900, 100, 1),
        ("GRX1", START + 1_800, 101, 1),  # the scale that the meter itself has shown before
        (PLAIN, START + 2_700, 102, 3),
    }


def confirmation(octets, scheme, sender):
    """Read the confirmation that came back over a link, ciphered or not."""
    link = TRANSPORTS[scheme].push_sender()
    link.connect(0.0)
    link.receive(octets, 0.0)
    apdu = next(event.octets for event in iter(link.next_event, None) if hasattr(event, "numbered"))
    return read_apdu(sender.unprotect(apdu).octets if apdu[0] == 0xDB else apdu)


def stored(folder):
    """Return what the head end has stored: device, time, integer, exponent."""
    with MeterDataManagement(folder / "central" / "data") as data:
        series = {item.series_id: item for item in data.series()}
        bounds = [datetime.fromtimestamp(START + 86_400 * day, UTC) for day in (0, 1)]
        kept = data.readings(sorted(series), *bounds)
        assert set(kept.source.tolist()) == {int(Source.PUSH)}
        rows = zip(kept.series.tolist(), kept.time.tolist(), kept.value.tolist(), strict=True)
        return {(series[number].device, time, value, series[number].exponent) for number, time, value in rows}


@contextmanager
def listening(peer_python, scheme):
    """Run a Gurux receiver of pushes; yields its port and a function that returns the next push."""
    task = {"scheme": scheme, "title": CLIENT_TITLE.hex(), "key": KEY.hex(), "auth_key": AUTH_KEY.hex()}
    command = [peer_python, PEERS / "gurux_listener.py", json.dumps(task)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as peer:
        try:
            yield json.loads(peer.stdout.readline())["port"], lambda: json.loads(peer.stdout.readline())
        finally:
            peer.stdin.close()
            peer.terminate()


@pytest.mark.finding("dlms D4")
@pytest.mark.matrix(Row.OUR_PUSH, Row.OUR_EVENT, Row.PUSH_SETUP)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_gurux_receiver_reads_what_the_command_meter_pushes(ask, peer_python, tmp_path, scheme):
    begin = quarter(timedelta(hours=6))
    past = ("--history", "0", "--start", f"{begin:%Y-%m-%dT%H:%M:%S}", "--speed", "900", "--pv", "3")
    with listening(peer_python, scheme) as (port, next_push):
        place = f"{scheme}://127.0.0.1:{port}"
        with running_meter(tmp_path, "--wrapper", "0", *past, "--push", f"{place}?confirm=no") as meter:
            pushed = [next_push() for _ in range(3)]
            task = {"link": "wrapper", "port": meter.ports["wrapper"], "client": 1, "authentication": "gmac"}
            task |= {"title": CLIENT_TITLE.hex(), "key": KEY.hex(), "auth_key": AUTH_KEY.hex(), "counter": 1}
            told = ask("gurux_client.py", task | {"do": ["push_setup", "push", "disconnect"]})
            later = [next_push()]
            while "event" not in later[-1]:
                later.append(next_push())
            options = (
                "--auth",
                "hls5",
                "--keys",
                str(tmp_path / "keys.toml"),
                "--profile",
                "1-0:99.1.0",
                "--zone",
                "UTC",
            )
            bounds = ("--from", f"{begin:%Y-%m-%dT%H:%M}", "--to", f"{begin + timedelta(hours=6):%Y-%m-%dT%H:%M}")
            read = read_json(tmp_path, meter.place("wrapper"), *options, "--zone", "UTC", *bounds)
    setup = told["push_setup"]
    assert setup["service"] == SERVICES[scheme]
    assert setup["destination"] in {f"127.0.0.1:{port}", f"127.0.0.1:{port}".encode().hex(" ").upper()}
    assert (setup["retries"], setup["delay"]) == (255, 5)
    listed = [[item[0], item[1], item[2]] for item in pushed[0]["values"]]
    assert listed == [entry[:3] for entry in setup["objects"]][1:]
    rows = {row["time"]: [row["1-0:1.8.0"], row["1-0:2.8.0"]] for row in read["profile"]["rows"]}
    for number, push in enumerate(pushed, 1):
        name, clock, status, energy, scaler, export, export_scaler = (item[3] for item in push["values"])
        assert bytes.fromhex(name).decode() == meter.name
        assert clock == begin.timestamp() + 900 * number
        assert [energy, export] == rows[datetime.fromtimestamp(clock, UTC).isoformat().replace("+00:00", "Z")]
        assert (scaler, export_scaler, status & 0x80) == ([1.0, 30], [1.0, 30], 0)
    assert told["push"] is True
    asked = [item["values"][1][3] for item in later if "values" in item]
    assert any(clock % 900 for clock in asked), "the push that was asked for is not at a mark"
    plain = write_apdu(
        EventNotificationRequest(CosemAttributeDescriptor(1, EVENT_CODE, 2), unsigned(DISCONNECTED_REMOTELY))
    )
    octets = bytes.fromhex(later[-1]["event"])
    assert octets.endswith(plain[2:]), "behind the tag and the time, octet by octet"
