"""``kill -9`` of the head end in mid-ingest: nothing that it confirmed is missing, nothing is doubled."""

import csv
import random
import signal
import threading
import time
from collections import Counter

import pytest

from meterspan.engine.security import SecurityKeys
from tests.helpers_bench import run
from tests.helpers_serve import PERIOD_S, Pusher, free_port, running

POINTS, CHANNELS = 4, 4
DAYS = 90


def district(folder, port, start):
    """Write configuration and keys of access points with meters behind them; give what pushes for them."""
    lines = [
        f'data = "{folder / "central"}"',
        f'keys = "{folder / "keys.toml"}"',
        "[portal]",
        "port = 0",
        "[push]",
        f"port = {port}",
        "[[homes]]",
        'id = "house"',
    ]
    keys, pushers = [], []
    for number in range(1, POINTS + 1):
        title = b"MSPL\0\0\0" + bytes([number])
        secret = SecurityKeys(bytes([number]) * 16, bytes([number + 100]) * 16)
        name = f"MSPLNAP{number:06d}"
        keys += [f'[meters."{name}"]', f'key = "{secret.unicast.hex()}"', f'auth_key = "{secret.authentication.hex()}"']
        lines += ["[[access_points]]", f'device = "{name}"', f'system_title = "{title.hex()}"']
        channels = {channel: f"MSP-{number:04d}{channel:04d}-07" for channel in range(1, CHANNELS + 1)}
        for channel, device in channels.items():
            lines += [
                "[[homes]]",
                f'id = "{device}"',
                "[[meters]]",
                f'device = "{device}"',
                f'home = "{device}"',
                f'endpoint = "via:{name}"',
                'commodity = "water"',
                f"mbus_channel = {channel}",
                f"installed_at = {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(start))}",
            ]
        pushers.append(Pusher(title, secret, channels, port, start, DAYS * 96))
    (folder / "keys.toml").touch(0o600)
    (folder / "keys.toml").write_text("\n".join(keys))
    (folder / "keys.toml").chmod(0o600)
    (folder / "serve.toml").write_text("\n".join(lines))
    return pushers


def stored(folder):
    """Read everything that is stored, in a fresh process."""
    result = run(folder, "export", str(folder / "all.csv"), "--data", str(folder / "central"))
    assert result.returncode == 0, result.stderr
    with (folder / "all.csv").open() as file:
        return [(row["device"], row["time"], row["value"]) for row in csv.DictReader(file)]


def told(device, at, value):
    return device, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)), f"{value / 1_000:.3f}"


def kill_again_and_again(folder, kills, seed):
    chance = random.Random(seed)  # noqa: S311 - moments to kill at
    start = int(time.time()) // 86_400 * 86_400 - DAYS * 86_400
    port = free_port()
    pushers = district(folder, port, start)
    threads = [threading.Thread(target=pusher.run) for pusher in pushers]
    for thread in threads:
        thread.start()
    progress = []
    try:
        for _ in range(kills):
            with running(folder, "serve", str(folder / "serve.toml")) as server:
                time.sleep(chance.uniform(0.05, 0.8))
                server.process.send_signal(signal.SIGKILL)
                server.process.wait()
            progress.append(sum(len(pusher.confirmed) for pusher in pushers))
    finally:
        for pusher in pushers:
            pusher.is_over.set()
        for thread in threads:
            thread.join()
    return pushers, progress


def prove(folder, pushers, progress):
    rows = stored(folder)
    found = Counter(rows)
    confirmed = {told(device, at, value) for p in pushers for (device, at), value in p.confirmed.items()}
    assert len(confirmed) > 500, f"too little was in flight: {progress}"
    assert confirmed - found.keys() == set(), "confirmed, and lost"
    assert max(found.values()) == 1, "doubled"
    assert max(Counter((device, at) for device, at, _ in found).values()) == 1, "two values at one instant"
    assert sum(pusher.refused for pusher in pushers) == 0, "a confirmation came under a counter used before"
    unconfirmed = len(found) - len(confirmed)
    assert unconfirmed <= POINTS * CHANNELS * 4, "what was stored without confirmation is at most what was in flight"
    with running(folder, "serve", str(folder / "serve.toml")) as server:
        meters = server.get("/api/v1/operator/meters")
    received = {meter["device"]: meter["received"] for meter in meters}
    assert received == Counter(device for device, _, _ in found), "the ledger is rebuilt from the data"
    assert all(meter["expected"] >= DAYS * 86_400 // PERIOD_S for meter in meters)


def test_four_kills_in_mid_ingest_lose_and_double_nothing(tmp_path):
    prove(tmp_path, *kill_again_and_again(tmp_path, 4, seed=1))


@pytest.mark.deep
def test_twenty_kills_in_mid_ingest_lose_and_double_nothing(tmp_path):
    prove(tmp_path, *kill_again_and_again(tmp_path, 20, seed=2))
