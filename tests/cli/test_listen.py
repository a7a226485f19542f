import json
import os
import pty
import select
import socket
import subprocess

import pytest

from meterspan.app.listening import METERS_MAX, Fate, Listener
from meterspan.meter.metrology import VolumeFlow
from meterspan.meter.radio import RadioMedium, RadioMeter, RadioMeterConfig
from meterspan.wire.mbus.transport import SecurityMode
from meterspan.wire.p1 import P1Damage, P1Reader
from tests.helpers_bench import MAIN, environment, run, running_meter

KEY = bytes(range(16))
START = 1_790_000_000.0


class Counters:
    def __init__(self):
        self.last = 0

    def reserve(self, name, count):
        self.last += count
        return self.last - count + 1

    def accept(self, name, value):
        return True

    def accepted(self, name):
        return 0


def telegram(number="10000001", *, medium=RadioMedium.WATER, key=KEY, mode=SecurityMode.AES_CBC_IV):
    meter = RadioMeter(RadioMeterConfig(medium, "MSP", number, key, mode, opening=123_456), START, Counters())
    meter.advance(VolumeFlow(0) if medium is not RadioMedium.HEAT else None, START + 1)
    return meter.telegram(START + 1)


def test_each_telegram_has_one_fate():
    listener = Listener({"MSP-10000001-07": KEY, "10000003": bytes(16)})
    assert listener.hear(telegram(), "air", START).fate is Fate.READ
    assert listener.hear(telegram("10000002"), "air", START).fate is Fate.NO_KEY
    assert listener.hear(telegram("10000003"), "air", START).fate is Fate.WRONG_KEY
    assert listener.hear(telegram("10000003", mode=SecurityMode.AES_CBC_DYNAMIC), "air", START).fate is Fate.WRONG_KEY
    assert listener.hear(telegram("10000004", mode=SecurityMode.NONE), "air", START).fate is Fate.READ
    assert listener.hear(telegram()[:20], "air", START).fate is Fate.DAMAGED
    assert listener.hear(b"", "air", START).fate is Fate.DAMAGED
    assert listener.fates == {Fate.READ: 2, Fate.NO_KEY: 1, Fate.WRONG_KEY: 2, Fate.DAMAGED: 2}
    assert set(listener.meters) == {f"MSP-1000000{number}-07" for number in (1, 2, 3, 4)}
    volume = listener.meters["MSP-10000001-07"].read.telegram.readings[0]
    assert (str(volume.value), volume.unit) == ("123.456", "m3")


def test_every_damage_of_a_telegram_is_heard_and_none_raises():
    listener = Listener({"10000001": KEY})
    whole = telegram()
    for bit in range(0, len(whole) * 8, 3):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        listener.hear(bytes(damaged), "air", START)
    for size in range(len(whole)):
        listener.hear(whole[:size], "air", START)
    assert listener.fates[Fate.DAMAGED] > len(whole)
    assert sum(listener.fates.values()) == len(range(0, len(whole) * 8, 3)) + len(whole)


def test_meters_are_bounded_and_the_longest_silent_goes_first():
    listener = Listener()
    for number in range(METERS_MAX + 5):
        listener.hear(telegram(f"{number:08d}", mode=SecurityMode.NONE), "air", START)
    assert len(listener.meters) == METERS_MAX
    assert "MSP-00000004-07" not in listener.meters
    assert "MSP-00000005-07" in listener.meters


@pytest.mark.parametrize("line", ["{}", "2026-10-25 12:00:01 -67dBm {} ok", "T1;1;1;{};", "b{}"])
def test_lines_of_receivers_are_read_whatever_stands_around_the_digits(line):
    hearing = Listener({"10000001": KEY}).hear_text(line.format(telegram().hex()), "stick", START)
    assert (hearing.fate is Fate.READ) == (not line.startswith("b")), "an odd digit before them makes it ambiguous"


def test_lines_without_a_telegram_are_damage():
    listener = Listener()
    for line in ("hello", "zz", "\x00\xff", "a" * 5):
        assert listener.hear_text(line, "stick", START).fate is Fate.DAMAGED


def test_a_damaged_p1_telegram_is_counted():
    reader = P1Reader()
    reader.receive(b"/MSP5x\r\n\r\n1-0:1.8.1(000001.000*kWh)\r\n!0000\r\n")
    damage = reader.next_telegram()
    assert isinstance(damage, P1Damage)
    assert Listener().hear_p1(damage, "p1", START).fate is Fate.DAMAGED


def test_a_gas_meter_is_heard_over_the_radio_among_damage(tmp_path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--medium", "gas", "--interval", "1", "--radio", f"127.0.0.1:{port}"]
    with running_meter(tmp_path, *options) as meter:
        ear = subprocess.Popen(
            [*MAIN, "listen", f"udp://:{port}", "--keys", str(tmp_path / "keys.toml"), "--json"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(tmp_path),
        )  # fmt: skip
        assert "listening at UDP port" in ear.stderr.readline()
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


def test_p1_is_heard_on_a_serial_line_and_over_tcp(tmp_path):
    controller, line = pty.openpty()
    with running_meter(tmp_path, "--p1", "0", "--history", "0") as meter:
        done = run(tmp_path, "listen", meter.place("p1"), "--json", "--for", "2.5")
        heard = [json.loads(text) for text in done.stdout.splitlines()]
        assert {entry["meter"] for entry in heard} == {meter.name}
        ear = subprocess.Popen(
            [*MAIN, "listen", f"serial://{os.ttyname(line)}?baud=115200", "--json"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(tmp_path),
        )  # fmt: skip
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
