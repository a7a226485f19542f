"""A refused start leaves nothing behind, and what is checked is what a start would refuse."""

import hashlib
import re
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meterspan.app.central_system import CentralSystem
from meterspan.app.meter_keys import MeterKeys
from meterspan.app.start_check import StartSource, check_start
from meterspan.model.storage.errors import StorageError
from meterspan.runtime.declared import ConfigError
from meterspan.runtime.master_key import MasterKeyError, load_master_key

NOW = 1_795_000_000.0
BASE = """\
data = "{folder}/central"
tariffs = "{folder}/tariffs.toml"
zone = "Europe/Berlin"
[portal]
port = 0
[push]
port = 0
[reading]
every_s = 900
[[homes]]
id = "h1"
[[homes]]
id = "h2"
zone = "Europe/Lisbon"
[[meters]]
device = "M1"
home = "h1"
endpoint = "tcp://127.0.0.1:4059"
security = "none"
tariff = "flat"
[[meters]]
device = "M2"
home = "h2"
endpoint = "tcp://127.0.0.1:4060"
security = "none"
"""
TARIFFS = '[[tariff]]\nname = "flat"\ncurrency = "EUR"\nunit = "kWh"\nbands = [{ name = "all", price = "0.3" }]\n'


def source(folder: Path, text: str) -> StartSource:
    def read_keys(path: Path) -> dict[str, MeterKeys]:
        if not path.exists():
            raise ValueError(f"{path} is not there")
        return {}

    config = text.replace("{folder}", str(folder))
    return StartSource(lambda: config, folder, lambda found: found, read_keys, folder / "keys" / "master.key")


def start(folder: Path, text: str, now: float = NOW) -> CentralSystem:
    """Start as ``serve`` does, as far as stores go."""
    plan = check_start(source(folder, text), now)
    key = load_master_key(plan.master_key, plan.config.data)
    return CentralSystem(plan.config, keys=plan.keys, master_key=key, tariffs=plan.tariffs, clock=lambda: now)


def octets(folder: Path) -> dict[str, str]:
    """Every file and folder below, with the digest of its content."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in sorted(folder.rglob("*"))
    }


def refused(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        check_start(source(folder, text), NOW)
    return [str(fault) for fault in error.value.faults]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tariffs.toml").write_text(TARIFFS)
    return tmp_path


MUTATIONS = {
    "none": lambda text: text,
    "another device": lambda text: text.replace('"M1"', '"M9"'),
    "an unknown home": lambda text: text.replace('home = "h2"', 'home = "h3"'),
    "both in one home": lambda text: text.replace('home = "h2"', 'home = "h1"'),
    "an unknown zone": lambda text: text.replace("Europe/Berlin", "Europe/Berlim"),
    "an unknown zone of a home": lambda text: text.replace("Europe/Lisbon", "Europe/Lisbo"),
    "an unknown tariff": lambda text: text.replace('"flat"', '"round"'),
    "a tariff in another unit": lambda text: text.replace(
        'security = "none"\ntariff', 'security = "none"\ncommodity = "water"\ntariff'
    ),
    "no tariff file": lambda text: text.replace("tariffs.toml", "tariff.toml"),
    "a damaged tariff file": lambda text: text.replace("tariffs.toml", "bad.toml"),
    "a missing key": lambda text: text.replace('security = "none"', "", 1),
    "no key file": lambda text: 'keys = "{folder}/keys.toml"\n' + text,
    "a wrong type": lambda text: text.replace("every_s = 900", 'every_s = "900"'),
    "a period of 0": lambda text: text.replace("every_s = 900", "every_s = 0"),
    "an impossible port": lambda text: text.replace("port = 0", "port = 70000", 1),
    "a misspelt field": lambda text: text.replace("endpoint", "endpont", 1),
    "no endpoint": lambda text: text.replace("tcp://127.0.0.1:4060", ""),
    "an odd endpoint": lambda text: text.replace("tcp://127.0.0.1:4060", "mqtt://127.0.0.1"),
    "a device twice": lambda text: text.replace('"M2"', '"M1"'),
    "an open portal": lambda text: text.replace("[portal]", '[portal]\nhost = "0.0.0.0"'),
    "an odd title": lambda text: 'system_title = "zz"\n' + text,
    "no TOML": lambda text: text + "x = ",
    "an access point that is not there": lambda text: text.replace("tcp://127.0.0.1:4060", "via:LNAP"),
    "an exchange": lambda text: text.replace('"M1"', '"M9"') + '[[exchanges]]\nold = "M1"\nnew = "M9"\nat = {at}\n',
    "an exchange of a meter with an entry": lambda text: text + '[[exchanges]]\nold = "M1"\nnew = "M2"\nat = {at}\n',
    "an exchange before the installation": lambda text: (
        text.replace('"M1"', '"M9"') + '[[exchanges]]\nold = "M1"\nnew = "M9"\nat = 2020-01-01T00:00:00Z\n'
    ),
    "an exchange with odd registers": lambda text: (
        text.replace('"M1"', '"M9"')
        + '[[exchanges]]\nold = "M1"\nnew = "M9"\nat = {at}\nclosing = ["1-0:1.8.0 many kWh"]\n'
    ),
    "a home twice": lambda text: text.replace('id = "h2"', 'id = "h1"'),
    "a removal": lambda text: text[: text.rindex("[[meters]]")],
    "a move": lambda text: text.replace('home = "h2"', 'home = "h2"\nusage_point = "h2-cellar"'),
    "a data folder that is a file": lambda text: text.replace("/central", "/tariffs.toml"),
    "a master key in the data": lambda text: 'master_key_file = "{folder}/central/key"\n' + text,
}
AT = datetime.fromtimestamp(NOW - 60, UTC).isoformat()


def mutated(names: list[str]) -> str:
    text = BASE
    for name in names:
        text = MUTATIONS[name](text)
    return text.replace("{at}", AT)


def test_a_fault_behind_an_entry_that_is_left_out_names_its_own_entry_and_line(folder):
    text = BASE.replace('home = "h1"', 'home = "h1"\nperiod_s = "900"').replace(
        'security = "none"', 'security = "hls-gmac"'
    )
    second = text.splitlines().index('device = "M2"') + 1
    (fault,) = [fault for fault in refused(folder, text) if "M2" in fault]
    assert "meters[1] (M2)" in fault
    line = int(fault.split(":")[0].removeprefix("line "))
    assert second - 1 <= line <= second + 6, fault


def test_two_homes_with_one_id_are_refused(folder):
    fault, *_ = refused(
        folder, BASE.replace('id = "h2"', 'id = "h1"').replace('home = "h2"', 'home = "h1"\nusage_point = "x"')
    )
    assert "homes[1].id" in fault
    assert "every home has an id of its own" in fault


def assert_named(faults: list[str]) -> None:
    """Each fault is told, and told once."""
    assert faults
    assert all(faults)
    assert len(set(faults)) == len(faults)


@pytest.mark.finding("users A11")
@pytest.mark.finding("users A2")
@pytest.mark.attack(8)
@settings(max_examples=12, deadline=None)
@given(st.lists(st.sampled_from(sorted(MUTATIONS)), max_size=2, unique=True), st.booleans())
def test_check_says_fine_where_a_start_starts_and_a_refused_one_changes_no_octet(tmp_path_factory, names, was_started):
    folder = tmp_path_factory.mktemp("start")
    (folder / "tariffs.toml").write_text(TARIFFS)
    (folder / "bad.toml").write_text("[[tariff]]\nname = 3\n")
    if was_started:
        start(folder, BASE, NOW - 3_600).close()
    text, before = mutated(names), octets(folder)
    faults = []
    try:
        check_start(source(folder, text), NOW)
    except ConfigError as error:
        faults = [str(fault) for fault in error.faults]
        assert_named(faults)
    assert octets(folder) == before, "a check writes nothing"
    try:
        start(folder, text).close()
        starts = True
    except (ConfigError, MasterKeyError, StorageError, ValueError, OSError):
        starts = False
        assert octets(folder) == before, "a refused start writes nothing"
    assert starts == (not faults)


@pytest.mark.finding("users A11")
def test_faults_of_every_file_are_told_in_one_pass_with_their_lines(folder: Path) -> None:
    start(folder, BASE, NOW - 3_600).close()
    text = mutated(["an unknown zone", "a wrong type", "an unknown tariff", "no key file", "a missing key"])
    faults = refused(folder, text + '[[meters]]\ndevice = "M3"\nhome = "h1"\nendpoint = ""\n')
    told = "\n".join(faults)
    assert "line 4: zone: 'Europe/Berlim' is no time zone" in told
    assert told.count("Berlim") == 1
    assert "line 10: reading.every_s: is '900'; a whole number is expected" in told
    assert "tariff: no tariff is called 'round'; the tariff file has flat" in told
    assert "keys.toml is not there" in told
    assert "meters[0] (M1): has no global-unicast and no authentication key" in told
    assert "meters[2] (M3).endpoint: say where it is read" in told
    lines = [fault for fault in faults if not fault.startswith("line ")]
    assert [fault for fault in lines if "keys.toml" not in fault] == []


def test_an_error_of_the_text_has_a_line_also_at_its_end(folder: Path) -> None:
    assert refused(folder, BASE + "x = ")[0].startswith("line ")


@pytest.mark.finding("users A1")
def test_a_meter_in_the_place_of_another_is_refused_with_the_words_to_add(folder: Path) -> None:
    start(folder, BASE, NOW - 3_600).close()
    (fault,) = refused(folder, mutated(["another device"]))
    assert (
        'h1-E has M1, which has no entry any more. If M9 took its place, say so under [[exchanges]]: old = "M1"'
        in fault
    )
    with_words = mutated(["an exchange"])
    system = start(folder, with_words)
    try:
        (old, new) = system.data.installations("h1-E")
        assert (old.device, new.device, old.end) == ("M1", "M9", new.start)
    finally:
        system.close()
    start(folder, with_words, NOW + 60).close()
    start(folder, mutated(["another device"]), NOW + 120).close()


@pytest.mark.finding("users A1")
def test_taking_a_meter_out_and_another_in_by_two_starts_works(folder: Path) -> None:
    start(folder, BASE, NOW - 3_600).close()
    first, second = (part.start() for part in re.finditer(r"\[\[meters\]\]", BASE))
    without = BASE[:first] + BASE[second:]
    start(folder, without, NOW - 60).close()
    system = start(folder, mutated(["another device"]))
    try:
        assert [row.device for row in system.data.installations("h1-E")] == ["M1", "M9"]
    finally:
        system.close()


@pytest.mark.finding("users A9")
def test_the_first_day_begins_at_midnight_in_the_zone_of_the_home(folder: Path) -> None:
    system = start(folder, BASE.replace("Europe/Lisbon", "America/New_York"))
    try:
        begun = {device.device: device.installed_at for device in system.head_end.inventory}
    finally:
        system.close()
    assert datetime.fromtimestamp(begun["M1"], UTC).isoformat() == "2026-11-17T23:00:00+00:00"
    assert datetime.fromtimestamp(begun["M2"], UTC).isoformat() == "2026-11-18T05:00:00+00:00"


def test_a_port_that_is_taken_is_told_before_anything_is_written(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        (fault,) = refused(folder, BASE.replace("port = 0", f"port = {port}", 1))
    assert f"portal.port: cannot listen at 127.0.0.1:{port}" in fault
    assert not (folder / "central").exists()


@pytest.fixture
def ports() -> Iterator[tuple[int, int]]:
    """A UDP port that is taken, and a port that is free."""
    with socket.socket(type=socket.SOCK_DGRAM) as taken, socket.socket() as free:
        taken.bind(("127.0.0.1", 0))
        free.bind(("127.0.0.1", 0))
        found = taken.getsockname()[1], free.getsockname()[1]
        free.close()
        yield found


@pytest.mark.parametrize(
    ("push", "words"),
    [
        ('places = ["udp://127.0.0.1:{taken}"]', "push.places[0]: cannot listen at 127.0.0.1:{taken}: address already"),
        ('places = ["udp://256.1.1.1:{free}"]', "push.places[0]: cannot listen at 256.1.1.1:{free}: "),
        (
            'places = ["udp://127.0.0.1:{free}", "udp://127.0.0.1:{free}"]',
            "push.places[1]: {free} is the port of push.places[0] too; choose another",
        ),
        (
            'port = {free}\nplaces = ["hdlc+tcp://127.0.0.1:{free}"]',
            "push.places[0]: {free} is the port of push.port too; choose another",
        ),
        (
            "port = {free}\n[portal]\nport = {free}",
            "push.port: {free} is the port of portal.port too; choose another",
        ),
    ],
)
def test_every_place_of_pushes_is_tried_as_the_start_opens_it(
    folder: Path, ports: tuple[int, int], push: str, words: str
) -> None:
    taken, free = (str(port) for port in ports)
    place = push.replace("{taken}", taken).replace("{free}", free)
    base = BASE.replace("[portal]\nport = 0\n", "") if "[portal]" in push else BASE
    (fault,) = refused(
        folder,
        base.replace("[push]\nport = 0", f"[push]\n{place}" if "port =" in place else f"[push]\nport = 0\n{place}"),
    )
    assert words.replace("{taken}", taken).replace("{free}", free) in fault
    assert not (folder / "central").exists()


def test_one_port_carries_streams_and_datagrams_at_once(folder: Path, ports: tuple[int, int]) -> None:
    places = f'[push]\nport = {ports[1]}\nplaces = ["udp://127.0.0.1:{ports[1]}"]'
    assert check_start(source(folder, BASE.replace("[push]\nport = 0", places)), NOW).config.push.port == ports[1]


def test_a_running_program_is_told_to_reload_on_its_own_folder_whatever_the_new_text_names(folder: Path) -> None:
    system = start(folder, BASE)
    try:
        with socket.socket() as own:
            own.bind(("127.0.0.1", 0))
            own.listen()
            port = own.getsockname()[1]
            other = BASE.replace("/central", "/elsewhere").replace("port = 0", f"port = {port}", 1)
            plan = check_start(source(folder, other), NOW, system.config)
        assert plan.config.data == folder / "elsewhere"
        assert any("data counts from the next start on" in note for note in system.not_taken(plan.config))
    finally:
        system.close()


def test_a_folder_in_use_is_noted_and_its_ports_are_not_looked_at(folder: Path) -> None:
    system = start(folder, BASE)
    try:
        (note,) = check_start(source(folder, BASE), NOW).notes
        assert "a program runs on" in note
    finally:
        system.close()
