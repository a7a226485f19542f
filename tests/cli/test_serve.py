"""``meterspan serve`` as an operator meets it: it reads a real meter process, and says what is wrong with a file."""

import json
import signal
import stat
import time
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from meterspan.crypto.mechanisms import Security
from meterspan.engine.links import DeviceProtocol
from meterspan.head_end.inventory import ChannelPlan, Device, KeyCustody, KeyPurpose
from meterspan.quantities import Commodity, Obis
from meterspan.runtime.config import ServeConfig, read_config
from meterspan.runtime.declared import ConfigError, annotated_example
from meterspan.runtime.inventory_file import InventoryFile
from meterspan.runtime.master_key import MasterKeyError, load_master_key
from tests.helpers_bench import run, running_meter
from tests.helpers_serve import running

PATIENCE_S = 25


def write_config(folder, *meters, more=""):
    path = folder / "serve.toml"
    since = (datetime.now(UTC) - timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    lines = [
        f'data = "{folder / "station"}"', f'keys = "{folder / "keys.toml"}"', more, "[portal]", "port = 0", "[push]",
        "port = 0", "[reading]", "spread_s = 1", "settle_s = 1", "[[homes]]", 'id = "home-1"',
    ]  # fmt: skip
    for device, endpoint in meters:
        lines += ["[[meters]]", f'device = "{device}"', 'home = "home-1"', f'endpoint = "{endpoint}"',
                  f"installed_at = {since.isoformat()}"]  # fmt: skip
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
        assert again["received"] == status["received"], "the ledger is rebuilt, and the keys are in the inventory"


def test_a_meter_that_is_not_there_is_told_in_words_and_stops_nothing(tmp_path):
    (tmp_path / "keys.toml").write_text(f'[meters."GONE1"]\nkey = "{"11" * 16}"\nauth_key = "{"22" * 16}"\n')
    with running(tmp_path, "serve", str(write_config(tmp_path, ("GONE1", "tcp://127.0.0.1:9")))) as server:
        failed = until(
            lambda: [m for m in server.get("/api/v1/operator/meters/GONE1")["entries"] if m["kind"] == "failed"]
        )
        assert "nobody listens at tcp://127.0.0.1:9" in failed[0]["title"]
    log = (tmp_path / "server.log").read_text()
    events = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert [event["meter"] for event in events if event["event"] == "session failed"][:1] == ["GONE1"]
    assert "11" * 16 not in log


def test_no_key_stands_in_the_clear_in_the_data_folder(tmp_path):
    key, auth_key = bytes(range(100, 116)), bytes(range(120, 136))
    (tmp_path / "keys.toml").write_text(f'[meters."M1"]\nkey = "{key.hex()}"\nauth_key = "{auth_key.hex()}"\n')
    with running(tmp_path, "serve", str(write_config(tmp_path, ("M1", "tcp://127.0.0.1:9")))) as server:
        assert server.told["meters"] == 1
    files = [path.read_bytes() for path in (tmp_path / "station").rglob("*") if path.is_file()]
    assert files
    for secret in (key, auth_key, (tmp_path / "keys" / "master.key").read_bytes().strip()):
        assert not any(secret in octets or secret.hex().encode() in octets for octets in files)


def test_ctrl_c_ends_it_in_order(tmp_path):
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
    (tmp_path / "keys.toml").write_text("")
    result = run(tmp_path, "serve", str(write_config(tmp_path, ("M1", "tcp://127.0.0.1:9"))), "--master-key-file",
                 str(tmp_path / "mk"))  # fmt: skip
    assert result.returncode == 2
    assert "has no global-unicast and no authentication key" in result.stderr
    assert '[meters."M1"]' in result.stderr


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ('zone = "Europe/Berlin"', "zone: 'Europe/Nowhere' is no time zone"),
        ('home = "home-1"', "there is no home 'home-2'"),
        ('endpoint = "tcp://192.168.1.50:4059"', "is no endpoint; write tcp://"),
        ('system_title = "4D53504C00000001"', "is no system title"),
    ],
)
def test_what_types_cannot_say_is_checked_too(change, said):
    wrong = {
        'zone = "Europe/Berlin"': 'zone = "Europe/Nowhere"',
        'home = "home-1"': 'home = "home-2"',
        'endpoint = "tcp://192.168.1.50:4059"': 'endpoint = "192.168.1.50"',
        'system_title = "4D53504C00000001"': 'system_title = "4D53"',
    }[change]
    example = annotated_example(ServeConfig).replace("# zone =", "zone =")
    with pytest.raises(ConfigError) as caught:
        read_config(example.replace(change, wrong))
    assert said in str(caught.value)


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


def test_the_optional_lines_of_the_example_are_valid_too():
    lines = annotated_example(ServeConfig).splitlines()
    bare = [line.removeprefix("# ") if line.startswith("# ") and " = " in line else line for line in lines]
    config = read_config("\n".join(line for line in bare if not line.startswith("#")))
    assert config.portal.port == 8080
    assert config.meters[0].installed_at == datetime(2026, 10, 25, tzinfo=UTC)


def test_the_inventory_comes_back_as_it_was(tmp_path):
    custody = KeyCustody(bytes(32))
    device = Device(
        "M1", Commodity.GAS, DeviceProtocol.DLMS_HDLC, "10.0.0.1:4059", "cell", "P1", security=Security.HLS_GMAC,
        system_title=b"MSP\0\0\0\0\1", channels=(ChannelPlan(Obis(7, 0, 3, 0, 0), 3_600, Obis(7, 0, 99, 1, 0)),),
        installed_at=5, removed_at=9, wrapped_keys=((KeyPurpose.AUTHENTICATION, custody.wrap(bytes(16))),),
    )  # fmt: skip
    file = InventoryFile(tmp_path / "inventory.sqlite")
    file.save([device])
    file.save([device])
    file.close()
    file = InventoryFile(tmp_path / "inventory.sqlite")
    assert file.devices() == [device]
    file.close()
    assert stat.S_IMODE((tmp_path / "inventory.sqlite").stat().st_mode) == 0o600


def test_a_master_key_is_made_once_and_only_for_its_owner(tmp_path):
    path, data = tmp_path / "config" / "master.key", tmp_path / "data"
    first = load_master_key(path, data)
    assert load_master_key(path, data) == first
    assert len(first) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    with pytest.raises(MasterKeyError, match="chmod 600"):
        load_master_key(path, data)
    with pytest.raises(MasterKeyError, match="data folder"):
        load_master_key(data / "master.key", data)
    path.chmod(0o600)
    path.write_text("abcd")
    with pytest.raises(MasterKeyError, match="a master key has 32"):
        load_master_key(path, data)


def test_another_master_key_is_refused_at_the_start(tmp_path):
    (tmp_path / "keys.toml").write_text(f'[meters."M1"]\nkey = "{"11" * 16}"\nauth_key = "{"22" * 16}"\n')
    config = write_config(tmp_path, ("M1", "tcp://127.0.0.1:9"))
    with running(tmp_path, "serve", str(config)):
        pass
    result = run(tmp_path, "serve", str(config), "--master-key-file", str(tmp_path / "other.key"))
    assert result.returncode == 2
    assert "wrapped under another master key" in result.stderr


def test_the_example_in_the_repository_is_what_is_printed():
    example = Path(__file__).parents[2] / "examples" / "serve.toml"
    assert example.read_text("utf-8") == annotated_example(ServeConfig)
