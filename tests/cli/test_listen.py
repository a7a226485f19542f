import json
import os
import pty
import select
import socket
import subprocess
import time
from datetime import UTC, datetime, timedelta

import pytest

from meterspan.wire.mbus.transport import SecurityMode
from tests.helpers_bench import MAIN, environment, run, running_meter
from tests.helpers_radio import KEY
from tests.helpers_radio import radio_telegram as telegram
from tests.helpers_serve import free_port


def test_a_gas_meter_is_heard_over_the_radio_among_damage(tmp_path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--medium", "gas", "--interval", "1", "--radio", f"127.0.0.1:{port}"]
    with running_meter(tmp_path, *options) as meter:
        ear = subprocess.Popen(
            [*MAIN, "listen", f"udp://:{port}", "--keys", str(tmp_path / "keys.toml"), "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(tmp_path),
        )
        assert "listening at port" in ear.stderr.readline()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as noise:
            noise.sendto(b"\xff" * 40, ("127.0.0.1", port))
        heard = [json.loads(ear.stdout.readline()) for _ in range(4)]
        ear.terminate()
        assert ear.wait(timeout=5) == 0
        ear.communicate()
    read = [line for line in heard if line["status"] == "read"]
    assert {line["meter"] for line in read} == {meter.name}
    assert len(read) >= 2
    assert read[0]["device"]["medium"] == "gas"
    volumes = [reading for reading in read[0]["readings"] if reading["quantity"] == "volume"]
    assert {reading["storage"] for reading in volumes} == {0, 1}, "now, and at the last due mark"
    assert volumes[0]["value"] > 1_000
    assert "damaged" in {line["status"] for line in heard}


@pytest.mark.finding("dlms D4")
@pytest.mark.parametrize("scheme", ["tcp", "udp", "hdlc+tcp"])
def test_ciphered_pushes_of_a_meter_are_opened_with_the_keys_of_the_key_file(tmp_path, scheme):
    port, keys = free_port(), tmp_path / "keys.toml"
    keys.touch(0o600)
    keys.write_text(f'[meters."MSP10000000042"]\nkey = "{"5a" * 16}"\nauth_key = "{"c3" * 16}"\npassword = "x"\n')
    place = f"udp://:{port}" if scheme == "udp" else f"push+{scheme}://:{port}"
    ear = subprocess.Popen(
        [*MAIN, "listen", place, "--keys", str(keys), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(tmp_path),
    )
    assert "listening at port" in ear.stderr.readline()
    start = f"{datetime.now(UTC) - timedelta(hours=3):%Y-%m-%dT%H:%M:%S}"
    pushing = ("--push", f"{scheme}://127.0.0.1:{port}?confirm=no", "--speed", "900", "--start", start)
    with running_meter(tmp_path, "--wrapper", "0", "--history", "0", *pushing) as meter:
        heard = json.loads(ear.stdout.readline())
    ear.terminate()
    assert ear.wait(timeout=5) == 0
    ear.communicate()
    assert (heard["meter"], heard["status"]) == (meter.name, "read")
    found = {item["obis"]: item for item in heard["readings"]}
    assert (found["1-0:1.8.0"]["unit"], found["1-0:1.8.0"]["value"] > 0) == ("Wh", True)


def test_lines_from_standard_input_end_with_it(tmp_path):
    lines = "\n".join([telegram(mode=SecurityMode.NONE).hex(), "noise", telegram("10000002").hex()])
    done = run(tmp_path, "listen", "-", "--json", stdin=lines + "\n")
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["status"] for line in done.stdout.splitlines()] == ["read", "damaged", "no key"]


def test_people_get_a_table(tmp_path):
    lines = "\n".join([telegram(mode=SecurityMode.NONE).hex(), telegram("10000002").hex()])
    done = run(tmp_path, "listen", "-", stdin=lines + "\n")
    for words in ("MSP-10000001-07", "123.456 m3", "1 read", "1 no key", "its key is not in the key file"):
        assert words in done.stdout


@pytest.mark.finding("users B1")
def test_the_table_at_the_end_fits_eighty_columns_and_cuts_nothing(tmp_path):
    lines = "\n".join([telegram(mode=SecurityMode.NONE).hex(), telegram("10000002").hex()])
    done = run(tmp_path, "listen", "-", stdin=lines + "\n", columns=80)
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "…" not in done.stdout
    for words in ("MSP-10000001-07", "123.456 m3"):
        assert words in done.stdout


@pytest.mark.finding("users B11")
def test_a_key_that_is_added_while_it_listens_opens_the_next_telegram(tmp_path):
    keys = tmp_path / "keys.toml"
    keys.touch(0o600)
    ear = subprocess.Popen(
        [*MAIN, "listen", "-", "--json", "--keys", str(keys)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(tmp_path),
    )

    def heard():
        ear.stdin.write(telegram().hex() + "\n")
        ear.stdin.flush()
        return json.loads(ear.stdout.readline())["status"]

    assert heard() == "no key"
    keys.write_text("[meters.")
    assert "is no TOML file" in ear.stderr.readline()
    keys.write_text(f'[meters."MSP-10000001-07"]\nkey = "{KEY.hex()}"\n')
    assert "read" in (found := [(time.sleep(0.2), heard())[1] for _ in range(15)]), found
    ear.communicate()
    assert ear.returncode == 0


def test_p1_is_heard_on_a_serial_line_and_over_tcp(tmp_path):
    controller, line = pty.openpty()
    with running_meter(tmp_path, "--p1", "0", "--history", "0") as meter:
        done = run(tmp_path, "listen", meter.place("p1"), "--json", "--for", "2.5")
        heard = [json.loads(text) for text in done.stdout.splitlines()]
        assert {entry["meter"] for entry in heard} == {meter.name}
        ear = subprocess.Popen(
            [*MAIN, "listen", f"serial://{os.ttyname(line)}?baud=115200", "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(tmp_path),
        )
        told = json.loads(_first_line(ear, controller))
        ear.terminate()
        ear.communicate(timeout=5)
    os.close(controller)
    os.close(line)
    assert told["protocol"] == "p1"
    assert told["source"].startswith("serial://")


def _first_line(ear, controller):
    """Write a telegram each half second, as a meter does, until the ear has told of one."""
    telegram = b"/MSP5serial\r\n\r\n0-0:96.1.1(4D53503432)\r\n1-0:1.7.0(00.500*kW)\r\n!\r\n"
    for _ in range(60):
        os.write(controller, telegram)
        if select.select([ear.stdout], [], [], 0.5)[0]:
            return ear.stdout.readline()
    ear.kill()
    raise AssertionError(f"nothing was heard: {ear.communicate()[1]}")


def test_a_port_that_is_taken_is_said(tmp_path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        done = run(tmp_path, "listen", f"udp://:{other.getsockname()[1]}", "--for", "3")
    assert done.returncode == 1
    assert "cannot listen at udp://" in done.stderr


def test_state_of_a_radio_meter_goes_on_under_another_key(tmp_path):
    for key in ("00", "11"):
        with running_meter(tmp_path, "--medium", "heat", "--key", key * 16, "--interval", "600"):
            pass
