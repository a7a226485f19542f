"""``meterspan serve`` as an operator meets it: it reads a real meter process, and says what is wrong with a file."""

import json
import signal
import time
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from meterspan.app.start_check import read_source
from meterspan.cli.serve import source_of
from meterspan.runtime.config import ServeConfig, read_config
from meterspan.runtime.declared import ConfigError, annotated_example
from tests.helpers_bench import run, running_meter
from tests.helpers_serve import running

PATIENCE_S = 25


def write_config(folder, *meters, more=""):
    path = folder / "serve.toml"
    since = (datetime.now(UTC) - timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    lines = [
        f'data = "{folder / "central"}"',
        f'keys = "{folder / "keys.toml"}"',
        more,
        "[portal]",
        "port = 0",
        "[push]",
        "port = 0",
        "[reading]",
        "spread_s = 1",
        "settle_s = 1",
        "[[homes]]",
        'id = "home-1"',
    ]
    for device, endpoint in meters:
        lines += [
            "[[meters]]",
            f'device = "{device}"',
            'home = "home-1"',
            f'endpoint = "{endpoint}"',
            f"installed_at = {since.isoformat()}",
        ]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def until(question, timeout_s=PATIENCE_S):
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        answer = question()
        if answer:
            return answer
        time.sleep(0.2)
    raise AssertionError("it did not come about in time")


@pytest.mark.finding("users A9")
@pytest.mark.parametrize("link", ["wrapper", "hdlc"])
def test_a_meter_process_is_read_into_the_portal_and_again_after_a_restart(tmp_path, link):
    with running_meter(tmp_path, f"--{link}", "0", "--history", "3d") as meter:
        config = write_config(tmp_path, (meter.name, meter.place(link)))
        with running(tmp_path, "serve", str(config)) as server:
            status = until(lambda: [m for m in server.get("/api/v1/operator/meters") if m["received"]])[0]
            assert (status["missing"], status["state"], status["interface"]) == (0, "ok", "G1")
            yesterday = (datetime.now(UTC) - timedelta(days=1)).date()
            day = server.get(f"/api/v1/homes/home-1/electricity/days/{yesterday}")
            assert sum(item["value"] is not None for item in day["intervals"]) >= 80
            assert float(day["total"]) > 0
            installed = datetime(yesterday.year, yesterday.month, yesterday.day, tzinfo=UTC)
            known = [datetime.fromisoformat(item["start"]) for item in day["intervals"] if item["value"] is not None]
            assert min(known) == installed, "the register of the very instant opens the first interval"
            story = server.get(f"/api/v1/operator/meters/{meter.name}")
            assert "read" in {entry["kind"] for entry in story["entries"]}
            assert {frame["direction"] for frame in story["frames"]} == {"sent", "received"}
            assert server.get("/healthz")["sessions_ok"] == 1
            status = server.get("/api/v1/operator/meters")[0]  # on a busy machine a quarter hour has passed
            server.process.terminate()
            assert server.process.wait(timeout=10) == 0
    (tmp_path / "keys.toml").unlink()
    config.write_text(config.read_text().replace(f'keys = "{tmp_path / "keys.toml"}"', ""))
    with running(tmp_path, "serve", str(config)) as server:
        again = server.get("/api/v1/operator/meters")[0]
        assert again["received"] >= status["received"], "the ledger is rebuilt, and the keys are in the inventory"


@pytest.mark.finding("users A3")
def test_it_starts_on_imported_data(tmp_path):
    table = tmp_path / "september.csv"
    rows = [f"2026-09-{day:02}T22:00:00Z;{day}.5\n" for day in range(1, 29)]
    table.write_text("time;1-0:1.8.0 [kWh]\n" + "".join(rows), "utf-8")
    taken = run(tmp_path, "import", str(table), "--data", str(tmp_path / "central"), "--device", "M1", "--home", "h1")
    assert taken.returncode == 0, taken.stderr
    (tmp_path / "keys.toml").touch(0o600)
    (tmp_path / "keys.toml").write_text(f'[meters."M1"]\nkey = "{"11" * 16}"\nauth_key = "{"22" * 16}"\n')
    config = write_config(tmp_path, ("M1", "tcp://127.0.0.1:9"))
    config.write_text(config.read_text().replace("home-1", "h1"))
    with running(tmp_path, "serve", str(config)) as server:
        assert server.get("/api/v1/homes/h1/electricity/days/2026-09-02")["closing"] is not None


def test_a_meter_that_is_not_there_is_told_in_words_and_stops_nothing(tmp_path):
    (tmp_path / "keys.toml").touch(0o600)
    (tmp_path / "keys.toml").write_text(f'[meters."GONE1"]\nkey = "{"11" * 16}"\nauth_key = "{"22" * 16}"\n')
    with running(tmp_path, "serve", str(write_config(tmp_path, ("GONE1", "tcp://127.0.0.1:9")))) as server:
        failed = until(
            lambda: [m for m in server.get("/api/v1/operator/meters/GONE1")["entries"] if m["kind"] == "failed"]
        )
        assert "no program listens at tcp://127.0.0.1:9" in failed[0]["title"]
    log = (tmp_path / "server.log").read_text()
    events = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert [event["meter"] for event in events if event["event"] == "session failed"][:1] == ["GONE1"]
    assert "11" * 16 not in log


def test_no_key_stands_in_the_clear_in_the_data_folder(tmp_path):
    key, auth_key = bytes(range(100, 116)), bytes(range(120, 136))
    (tmp_path / "keys.toml").touch(0o600)
    (tmp_path / "keys.toml").write_text(f'[meters."M1"]\nkey = "{key.hex()}"\nauth_key = "{auth_key.hex()}"\n')
    with running(tmp_path, "serve", str(write_config(tmp_path, ("M1", "tcp://127.0.0.1:9")))) as server:
        assert server.told["meters"] == 1
    files = [path.read_bytes() for path in (tmp_path / "central").rglob("*") if path.is_file()]
    assert files
    for secret in (key, auth_key, (tmp_path / "keys" / "master.key").read_bytes().strip()):
        assert not any(secret in octets or secret.hex().encode() in octets for octets in files)


def test_ctrl_c_ends_it_in_order(tmp_path):
    (tmp_path / "keys.toml").touch(0o600)
    (tmp_path / "keys.toml").write_text("")
    with running(tmp_path, "serve", str(write_config(tmp_path))) as server:
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(timeout=10) == 0
    assert "stopped in order" in (tmp_path / "server.log").read_text()


def test_all_faults_of_a_file_are_told_at_once_with_line_and_remedy(tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text('data = "d"\n[portal]\nprot = 1\n[[meters]]\ndevice = "x"\nsecurity = "foo"\n')
    result = run(tmp_path, "serve", str(path))
    assert result.returncode == 2
    assert "line 3: portal.prot: is not known; did you mean port?" in result.stderr
    assert "line 4: meters[0].home: is missing" in result.stderr
    assert "line 6: meters[0].security: is 'foo'; one of none, lls, hls-md5, hls-sha1, hls-gmac" in result.stderr


def test_a_meter_without_a_key_is_named_with_the_table_to_add(tmp_path):
    (tmp_path / "keys.toml").touch(0o600)
    (tmp_path / "keys.toml").write_text("")
    result = run(
        tmp_path,
        "serve",
        str(write_config(tmp_path, ("M1", "tcp://127.0.0.1:9"))),
        "--master-key-file",
        str(tmp_path / "mk"),
    )
    assert result.returncode == 2
    assert "has no global-unicast and no authentication key" in result.stderr
    assert '[meters."M1"]' in result.stderr


def test_the_printed_example_is_a_configuration_and_names_every_field_with_its_text(tmp_path):
    result = run(tmp_path, "serve", "--print-config")
    assert result.returncode == 0
    config = read_config(result.stdout)
    assert config.meters[0].device == "MSP10000000042"
    for kind in declared(ServeConfig):
        for item in fields(kind):
            assert item.metadata["text"] in result.stdout, item.name
            assert f"{item.name} =" in result.stdout or f"[{item.name}]" in result.stdout, item.name


def declared(kind):
    yield kind
    for hint in get_type_hints(kind).values():
        for inner in (hint, *get_args(hint)):
            if is_dataclass(inner):
                yield from declared(inner)


def test_another_master_key_is_refused_at_the_start(tmp_path):
    (tmp_path / "keys.toml").touch(0o600)
    (tmp_path / "keys.toml").write_text(f'[meters."M1"]\nkey = "{"11" * 16}"\nauth_key = "{"22" * 16}"\n')
    config = write_config(tmp_path, ("M1", "tcp://127.0.0.1:9"))
    with running(tmp_path, "serve", str(config)):
        pass
    other = tmp_path / "other.key"
    result = run(tmp_path, "serve", str(config), "--master-key-file", str(other))
    assert (result.returncode, other.exists()) == (2, False)
    assert "put your copy of it back" in " ".join(result.stderr.split())
    other.touch(0o600)
    other.write_text("5a" * 32)
    result = run(tmp_path, "serve", str(config), "--master-key-file", str(other))
    assert result.returncode == 2
    assert "wrapped under another master key" in " ".join(result.stderr.split())


def test_the_example_in_the_repository_is_what_is_printed():
    example = Path(__file__).parents[2] / "examples" / "serve.toml"
    assert example.read_text("utf-8") == annotated_example(ServeConfig)


def test_a_configuration_that_is_no_utf_8_any_more_or_gone_is_a_fault_at_a_reload_and_no_defect(tmp_path):
    path = tmp_path / "serve.toml"
    path.write_text('data = "central"\n', "utf-8")
    source = source_of(path, None, lambda config: config, tmp_path / "master.key")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"serve\.toml: is no UTF-8 text"):
        read_source(source)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        read_source(source)
