"""``meterspan meters`` and the API behind it: a small utility's journey from the first refusal to the last deletion."""

import json
import signal
import urllib.error
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from meterspan.cli import app
from tests.cli.test_serve import until, write_config
from tests.helpers_bench import running_meter
from tests.helpers_serve import running

IMPORT = "1-0:1.8.0"


def command(*arguments):
    """Run the command in this process: a process of its own takes seconds to start."""
    return CliRunner().invoke(app, ["meters", *arguments])


def meters(server, *arguments):
    return command(*arguments, "--url", server.told["portal"], "--by", "anna")


def post(server, path, body):
    return server.post(f"/api/v1/operator{path}", body)


def told(server, path):
    return server.get(f"/api/v1/operator{path}")


@pytest.mark.deep
@pytest.mark.finding("users A1")
@pytest.mark.finding("users A4")
@pytest.mark.finding("users A5")
@pytest.mark.finding("users A10")
def test_a_utility_exchanges_moves_removes_and_deletes_meters_while_it_runs_and_keeps_them_over_a_restart(tmp_path):
    with running_meter(tmp_path, "--wrapper", "0", "--history", "2d") as meter:
        config = write_config(tmp_path, (meter.name, meter.place("wrapper")))
        config.write_text(config.read_text() + '\n[[homes]]\nid = "home-2"\n')
        with running(tmp_path, "serve", str(config)) as server:
            until(lambda: [m for m in told(server, "/meters") if m["received"]])
            read = meters(server, "read", meter.name)
            assert read.exit_code == 0, read.stderr
            assert "active energy import" in read.stdout
            assert "kWh" in read.stdout
            newest = told(server, f"/meters/{meter.name}")["entries"][0]
            assert newest["title"] == "Read now, ordered by anna at 127.0.0.1"

            at = datetime.now(UTC).replace(second=0, microsecond=0)
            exchanged = meters(
                server,
                "exchange",
                meter.name,
                "--new",
                "NEW1",
                "--endpoint",
                "tcp://127.0.0.1:9",
                "--security",
                "none",
                "--at",
                at.isoformat(),
                "--closing",
                f"{IMPORT} 900000.5 kWh",
                "--opening",
                f"{IMPORT} 12 kWh",
                "--json",
            )
            assert exchanged.exit_code == 0, exchanged.stderr
            change = json.loads(exchanged.stdout)
            assert (change["kind"], change["author"]) == ("exchange", "anna at 127.0.0.1")
            assert any("take it out" in note for note in change["notes"])
            chain = told(server, "/meters/NEW1/installations")
            assert [(row["device"], row["closing"], row["opening"]) for row in chain] == [
                (meter.name, [f"{IMPORT} 900000.5 kWh"], []),
                ("NEW1", [], [f"{IMPORT} 12 kWh"]),
            ]
            states = {line["device"]: line["state"] for line in told(server, "/meters")}
            assert states[meter.name] == "removed"

            failed = meters(server, "read", "NEW1")
            order = told(server, "/orders?device=NEW1")[0]
            assert failed.exit_code == 1
            assert (order["state"], order["failure"]) == ("failed", "unreachable")
            assert order["reason"] in failed.stdout.replace("\n", " ")

            moved = meters(server, "move", "NEW1", "--home", "home-2")
            assert moved.exit_code == 0, moved.stderr
            assert told(server, "/meters/NEW1")["status"]["usage_point"] == "home-2-E"
            again = meters(server, "move", "NEW1", "--home", "home-2")
            assert (again.exit_code, "NEW1 is at home-2-E already" in again.stderr) == (2, True)
            kept = meters(server, "delete", "NEW1")
            assert (kept.exit_code, "remove it instead" in kept.stderr) == (2, True)
            assert meters(server, "remove", "NEW1").exit_code == 0

            added = post(
                server,
                "/meters",
                {"entry": {"device": "LOST", "home": "home-2", "endpoint": "tcp://127.0.0.1:9", "security": "none"}},
            )
            assert added["text"] == "LOST was installed at home-2-E of home-2"
            assert meters(server, "delete", "LOST").exit_code == 0
            assert "LOST" not in {line["device"] for line in told(server, "/meters")}
            with pytest.raises(urllib.error.HTTPError) as refused:
                post(server, "/meters", {"entry": {"device": "X", "home": "nowhere", "endpoint": "tcp://127.0.0.1:9"}})
            problem = json.load(refused.value)
            assert (refused.value.code, "there is no home 'nowhere'" in problem["detail"]) == (409, True)

            server.process.send_signal(signal.SIGHUP)
            log = tmp_path / "server.log"
            until(lambda: "configuration taken" in log.read_text())
            config.write_text(config.read_text().replace('home = "home-1"', 'home = "home-9"'))
            server.process.send_signal(signal.SIGHUP)
            until(lambda: "there is no home 'home-9'" in log.read_text())
            config.write_text(config.read_text().replace('home = "home-9"', 'home = "home-1"'))
            changes = told(server, "/changes")
            assert [item["kind"] for item in changes] == ["delete", "add", "remove", "move", "exchange"]
        with running(tmp_path, "serve", str(config)) as server:
            states = {line["device"]: line["state"] for line in told(server, "/meters")}
            assert states == {meter.name: "removed", "NEW1": "removed"}, "what commands decided stands"
            assert [item["text"] for item in told(server, "/changes")] == [item["text"] for item in changes]
            assert [order["device"] for order in told(server, "/orders")] == ["NEW1", meter.name]
        keys = str(tmp_path / "keys" / "master.key")
        at_rest = command("delete", meter.name, "--config", str(config), "--master-key-file", keys)
        assert (at_rest.exit_code, "has an entry in the configuration" in at_rest.stderr) == (2, True), at_rest.stderr
        back = command(
            "add",
            "NEW2",
            "--home",
            "home-2",
            "--endpoint",
            "tcp://127.0.0.1:9",
            "--security",
            "none",
            "--opening",
            f"{IMPORT} 0 kWh",
            "--config",
            str(config),
            "--master-key-file",
            keys,
        )
        assert back.exit_code == 0, back.stderr
        assert "NEW2 was installed at home-2-E of home-2" in back.stdout


def test_nobody_at_the_address_is_said_with_what_to_do():
    result = command("list", "--url", "http://127.0.0.1:9")
    assert result.exit_code == 2
    assert "nobody answers at http://127.0.0.1:9" in result.stderr
    assert "does meterspan serve run there?" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["exchange", "M1"], "say which meter takes its place"),
        (["remove"], "say which meter"),
        (["remove", "M1", "--at", "yesterday"], "is no time like"),
        (["remove", "M1", "--at", "2026-11-21T09:30"], "has no offset"),
        (["list", "--url", "ftp://x"], "is no address like"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_words(arguments, words):
    result = command(*arguments)
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.replace("│", " ").split())


@pytest.mark.attack(5)
def test_no_password_of_a_url_is_printed():
    for url in ("http://user:PLANTED@127.0.0.1:9", "http://user:PLANTED@[::1", "http://user:PLANTED@h:x"):
        result = command("list", "--url", url)
        assert result.exit_code == 2
        assert "PLANTED" not in result.output
