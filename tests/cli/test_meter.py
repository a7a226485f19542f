import shutil
import signal
import socket
import stat
import time

import pytest

from meterspan.wire.p1 import P1Reader, P1Telegram
from tests.helpers_bench import read_json, register, run, run_here, running_meter
from tests.nonce_record import FOLDER_VARIABLE, repeated_in

TOTAL = "1-0:1.8.0"


def hls(folder, meter, *more):
    return read_json(folder, meter.place("wrapper"), "--auth", "hls5", "--keys", str(folder / "keys.toml"), *more)


def test_after_kill_9_registers_and_counters_go_on_and_never_backwards(tmp_path):
    with running_meter(tmp_path, "--wrapper", "0", "--history", "6h", "--speed", "60") as meter:
        time.sleep(1.2)
        before = hls(tmp_path, meter, "--profile", "1-0:99.1.0", "--from", "2020-01-01")
        meter.process.send_signal(signal.SIGKILL)
        meter.process.wait()
    with running_meter(tmp_path, "--wrapper", "0", "--speed", "60") as meter:
        again = hls(
            tmp_path, meter, "--events", "5", "--profile", "1-0:99.1.0", "--from", "2020-01-01", "--to", "2100-01-01"
        )
    assert register(again, TOTAL) >= register(before, TOTAL)
    assert register(before, TOTAL) > 2_500_000
    rows, earlier = again["profile"]["rows"], before["profile"]["rows"]
    assert rows[: len(earlier)] == earlier
    assert len(earlier) >= 23
    assert [row[TOTAL] for row in rows] == sorted(row[TOTAL] for row in rows)
    assert [event["0-0:96.11.0"] for event in again["events"]] == [2], "power up, without a power down before"


@pytest.mark.attack(4)
@pytest.mark.finding("security H6")
def test_what_was_restored_starts_with_after_restore_alone_and_then_repeats_no_counter(tmp_path, marks, monkeypatch):
    (nonces := tmp_path / "nonces").mkdir()
    monkeypatch.setenv(FOLDER_VARIABLE, str(nonces))
    with running_meter(tmp_path, "--wrapper", "0", "--history", "0") as meter:
        hls(tmp_path, meter)
    shutil.rmtree(marks)  # another machine, to which the states were copied
    refused = run(tmp_path, "meter", "--wrapper", "0", "--keys", str(tmp_path / "keys.toml"))
    assert refused.returncode == 1
    assert "start once with --after-restore" in " ".join(refused.stderr.split())
    with running_meter(tmp_path, "--wrapper", "0", "--after-restore") as meter:
        place = (meter.place("wrapper"), "--auth", "hls5", "--keys", str(tmp_path / "keys.toml"))
        refused = run(tmp_path, "read", *place)
        assert refused.returncode == 1
        assert "start once with --after-restore" in " ".join(refused.stderr.split())
        assert read_json(tmp_path, *place, "--after-restore")["registers"]
    assert len([path for path in nonces.iterdir() if path.stat().st_size]) == 4, "two meters and two readers have sent"
    assert repeated_in(nonces) == []


def test_total_and_tariff_registers_agree(tmp_path):
    with running_meter(tmp_path, "--wrapper", "0", "--history", "3h") as meter:
        found = hls(tmp_path, meter)
    for quantity in (1, 2):
        parts = register(found, f"1-0:{quantity}.8.1") + register(found, f"1-0:{quantity}.8.2")
        assert parts <= register(found, f"1-0:{quantity}.8.0") <= parts + 1


def test_a_signal_ends_it_in_order_and_the_next_start_tells_of_both(tmp_path):
    with running_meter(tmp_path, "--wrapper", "0", "--history", "0") as meter:
        started = time.monotonic()
        meter.process.terminate()
        assert meter.process.wait(timeout=5) == 0
        assert time.monotonic() - started < 3
    with running_meter(tmp_path, "--wrapper", "0") as meter:
        events = [event["0-0:96.11.0"] for event in hls(tmp_path, meter, "--events", "9")["events"]]
    assert events == [1, 2]


def test_one_meter_is_not_run_twice(tmp_path):
    with running_meter(tmp_path, "--wrapper", "0", "--history", "0"):
        second = run(tmp_path, "meter", "--wrapper", "0", "--keys", str(tmp_path / "keys.toml"))
    assert second.returncode == 1
    assert "is running already" in second.stderr


def test_made_up_keys_are_for_their_owner_only_and_stay(tmp_path):
    for _ in range(2):
        with running_meter(tmp_path, "--wrapper", "0", "--history", "0") as meter:
            hls(tmp_path, meter)
    keys = tmp_path / "keys.toml"
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    assert keys.read_text().count("[meters.") == 1


def test_a_silent_client_is_cut_off_and_does_not_block_others(tmp_path):
    with running_meter(tmp_path, "--wrapper", "0", "--hdlc", "0", "--history", "0", "--timeout", "1") as meter:
        idle = socket.create_connection(("127.0.0.1", meter.ports["hdlc"]), timeout=8)
        half_open = socket.create_connection(("127.0.0.1", meter.ports["wrapper"]), timeout=8)
        half_open.sendall(b"\x00\x01\x00\x10\x00\x01\x00\x40half a PDU")
        hls(tmp_path, meter)
        assert idle.recv(10) == b""
        assert half_open.recv(10) == b""
        idle.close()
        half_open.close()


def test_the_p1_port_writes_telegrams_and_hears_nothing(tmp_path):
    reader = P1Reader()
    with running_meter(tmp_path, "--p1", "0", "--history", "0") as meter:
        with socket.create_connection(("127.0.0.1", meter.ports["p1"]), timeout=5) as port:
            port.sendall(b"/?!\r\n")
            telegram = None
            while telegram is None:
                reader.receive(port.recv(4096))
                telegram = reader.next_telegram()
        assert isinstance(telegram, P1Telegram)
        assert telegram.crc_matches
        assert telegram.identification.startswith("MSP5")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--medium", "gas", "--wrapper", "0"], "a radio meter has no DLMS or P1 port"),
        (["--history", "soon"], "is no span like 3d"),
        (["--zone", "Mars/Olympus"], "is no time zone"),
        (["--key", "123"], "a key is 32 hexadecimal digits"),
        (["--medium", "gas", "--mode", "8"], "security mode 0, 5 or 7"),
    ],
)
def test_what_makes_no_sense_is_said_in_words(options, words):
    done = run_here("meter", *options)
    assert done.exit_code == 2
    assert words in " ".join(done.stderr.replace("│", " ").split())


def test_keys_on_the_command_line_are_warned_of(tmp_path):
    done = run(tmp_path, "meter", "--medium", "gas", "--key", "00" * 16, "--radio", "127.0.0.1:bad")
    assert "visible to every user" in " ".join(done.stderr.split())
    assert "00" * 16 not in done.stderr
