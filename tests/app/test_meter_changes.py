"""A meter is exchanged, moved, removed and deleted by one function, and the bill of the home goes on without a gap."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from meterspan.app.central_system import CentralSystem
from meterspan.app.meter_changes import register_texts
from meterspan.head_end.inventory import DeviceKeys
from meterspan.model.lookup_errors import UnknownMeterError
from meterspan.model.meter_changes import ChangeKind, ChangeRefusedError, ChangeWish
from meterspan.model.readings import CaptureBlock, CaptureColumn, Source
from meterspan.quantities import UNITS, Commodity, Obis
from meterspan.runtime.config import MeterEntry, read_config

IMPORT = Obis(1, 0, 1, 8, 0)
DAY = int(datetime(2026, 11, 20, tzinfo=UTC).timestamp())
NOON = DAY + 12 * 3_600
NOW = DAY + 86_400 + 600.0
CONFIG = """\
data = "{folder}"
zone = "UTC"
[[homes]]
id = "h1"
[[homes]]
id = "h2"
[[meters]]
device = "{device}"
home = "h1"
endpoint = "tcp://127.0.0.1:4059"
security = "none"
installed_at = {since}
"""
SINCE = datetime.fromtimestamp(DAY, UTC).isoformat()


def system_of(folder: Path, device: str = "OLD", more: str = "", since: str = SINCE) -> CentralSystem:
    config = read_config(CONFIG.format(folder=folder, device=device, since=since) + more)
    return CentralSystem(config, keys={}, master_key=bytes(32), tariffs=(), clock=lambda: NOW)


def here(question):
    return question()


def wish(kind: ChangeKind, device: str, **more) -> ChangeWish:
    return ChangeWish(kind, device, author="anna", **more)


def read(system: CentralSystem, device: str, start: int, end: int, first_wh: int) -> int:
    """Give quarter hours of 100 Wh each; return the register at the end."""
    times = np.arange(start, end + 1, 900, dtype=np.int64)
    values = first_wh + 100 * np.arange(len(times), dtype=np.int64)
    zeros = np.zeros(len(times), np.int32)
    block = CaptureBlock(
        device, Source.SCHEDULED_READ, end, times, (CaptureColumn(IMPORT, UNITS["Wh"], 0, values),), zeros, zeros
    )
    system.data.take([block])
    return int(values[-1])


def bill(system: CentralSystem, home: str = "h1"):
    return system.data.day(home, Commodity.ELECTRICITY, datetime.fromtimestamp(DAY, UTC).date())


EXCHANGE = datetime.fromtimestamp(NOON, UTC)
REGISTERS = {"closing": ("1-0:1.8.0 1004.8 kWh",), "opening": ("1-0:1.8.0 7 kWh",)}
BY_CONFIGURATION = (
    f'[[exchanges]]\nold = "OLD"\nnew = "NEW"\nat = {EXCHANGE.isoformat()}\n'
    'closing = ["1-0:1.8.0 1004.8 kWh"]\nopening = ["1-0:1.8.0 7 kWh"]\n'
)


def exchanged(folder: Path, way: str) -> CentralSystem:
    """Read the old meter until noon, exchange it, and read the new one from then on."""
    system = system_of(folder)
    assert read(system, "OLD", DAY, NOON, 1_000_000) == 1_004_800
    if way == "command":
        order = wish(ChangeKind.EXCHANGE, "OLD", entry={"device": "NEW"}, at=EXCHANGE, **REGISTERS)
        system.change(order, {}, here)
    else:
        system.close()
        since = EXCHANGE.isoformat()
        system = system_of(folder, "NEW", BY_CONFIGURATION, since)
    read(system, "NEW", NOON, DAY + 86_400, 7_000)
    return system


@pytest.mark.finding("users A1")
@pytest.mark.attack(8)
@pytest.mark.parametrize("way", ["command", "configuration"])
def test_the_bill_of_the_home_goes_on_over_an_exchange_and_over_the_next_start(tmp_path: Path, way: str) -> None:
    system = exchanged(tmp_path, way)
    try:
        day = bill(system)
        assert day.total == Decimal("9.6"), "96 quarter hours of 100 Wh, of both meters"
        assert (day.unexplained, day.known) == (0, 96)
        old, new = system.data.installations("h1-E")
        assert (old.device, old.end, new.device, new.start) == ("OLD", NOON, "NEW", NOON)
        assert register_texts(old.closing) == REGISTERS["closing"]
        inventory = {device.device: device for device in system.head_end.inventory}
        assert inventory["OLD"].removed_at == NOON
        assert inventory["NEW"].installed_at == NOON
        assert inventory["NEW"].endpoint == "127.0.0.1:4059"
    finally:
        system.close()
    again = (
        system_of(tmp_path) if way == "command" else system_of(tmp_path, "NEW", BY_CONFIGURATION, EXCHANGE.isoformat())
    )
    try:
        assert bill(again) == day
        assert bool(again.notes) == (way == "command"), "an entry that a command has overtaken is named"
    finally:
        again.close()


def test_a_change_that_was_cut_off_is_finished_by_the_next_start(tmp_path: Path, monkeypatch) -> None:
    system = system_of(tmp_path)
    read(system, "OLD", DAY, NOON, 1_000_000)
    monkeypatch.setattr(CentralSystem, "_finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        system.change(wish(ChangeKind.EXCHANGE, "OLD", entry={"device": "NEW"}, at=EXCHANGE, **REGISTERS), {}, here)
    monkeypatch.undo()
    system.close()
    again = system_of(tmp_path)
    try:
        assert [row.device for row in again.data.installations("h1-E")] == ["OLD", "NEW"]
        assert [view.text for view in again.changes(9)] == [
            "NEW took the place of OLD at h1-E; last: 1-0:1.8.0 1004.8 kWh; first: 1-0:1.8.0 7 kWh"
        ]
    finally:
        again.close()


@pytest.fixture
def system(tmp_path: Path):
    opened = system_of(tmp_path)
    yield opened
    opened.close()


ENTRY = {"device": "W", "home": "h2", "endpoint": "tcp://127.0.0.1:1", "security": "none"}
REFUSED = {
    "an unknown meter": (wish(ChangeKind.REMOVE, "NOBODY"), "no meter is called 'NOBODY'"),
    "no name of the new meter": (wish(ChangeKind.EXCHANGE, "OLD", entry={}), "device: is missing"),
    "the same meter": (wish(ChangeKind.EXCHANGE, "OLD", entry={"device": "OLD"}), "say which meter takes its place"),
    "an odd field": (wish(ChangeKind.EXCHANGE, "OLD", entry={"device": "N", "endpont": ""}), "did you mean endpoint?"),
    "an odd endpoint": (
        wish(ChangeKind.EXCHANGE, "OLD", entry={"device": "N", "endpoint": "mqtt://x"}),
        "endpoint: ",
    ),
    "a missing key": (
        wish(ChangeKind.EXCHANGE, "OLD", entry={"device": "N", "security": "hls-gmac"}),
        "has no global-unicast and no authentication key",
    ),
    "an odd register": (
        wish(ChangeKind.EXCHANGE, "OLD", entry={"device": "N"}, closing=("much",)),
        "closing: 'much' is not an OBIS code, a value and a unit",
    ),
    "a register below 0": (
        wish(ChangeKind.REMOVE, "OLD", closing=("1-0:1.8.0 -1 kWh",)),
        "closing: the value of 1-0:1.8.0 is less than 0",
    ),
    "cubic metres of electricity": (
        wish(ChangeKind.MOVE, "OLD", home="h2", closing=("1-0:1.8.0 12.5 m3",)),
        "closing: 1-0:1.8.0 is counted in units of energy",
    ),
    "a register twice": (
        wish(ChangeKind.REMOVE, "OLD", closing=("1-0:1.8.0 12.5 kWh", "1-0:1.8.0 99 kWh")),
        "closing: 1-0:1.8.0 is there twice",
    ),
    "a register of electricity of a water meter": (
        wish(ChangeKind.ADD, "W", entry=ENTRY | {"commodity": "water"}, opening=("1-0:1.8.0 5 kWh",)),
        "opening: 1-0:1.8.0 is a register of electricity, and the meter measures water",
    ),
    "a register of water of a meter that leaves": (
        wish(ChangeKind.EXCHANGE, "OLD", entry={"device": "N"}, closing=("8-0:1.0.0 5 m3",)),
        "closing: 8-0:1.0.0 is a register of water",
    ),
    "a time before the installation": (
        wish(ChangeKind.EXCHANGE, "OLD", entry={"device": "N"}, at=datetime(2020, 1, 1, tzinfo=UTC)),
        "OLD was not installed before 2020",
    ),
    "a move at the instant of the installation": (
        wish(ChangeKind.MOVE, "OLD", home="h2", at=datetime.fromtimestamp(DAY, UTC)),
        "it can leave only later",
    ),
    "a removal at the instant of the installation": (
        wish(ChangeKind.REMOVE, "OLD", at=datetime.fromtimestamp(DAY, UTC)),
        "it can leave only later",
    ),
    "an exchange at the instant of the installation": (
        wish(ChangeKind.EXCHANGE, "OLD", entry={"device": "N"}, at=datetime.fromtimestamp(DAY, UTC)),
        "it can leave only later",
    ),
    "a device that no address holds": (
        wish(ChangeKind.ADD, "W", entry=ENTRY | {"device": "../x?y#z"}),
        "device: '../x?y#z' has '#' '/' '?'; a name has no control characters",
    ),
    "a device of two lines": (wish(ChangeKind.EXCHANGE, "OLD", entry={"device": "a\nb"}), "device: 'a\\nb' has"),
    "a usage point that no address holds": (
        wish(ChangeKind.MOVE, "OLD", home="h2", usage_point="a/b"),
        "usage_point: 'a/b' has '/'",
    ),
    "a time before 1970": (wish(ChangeKind.REMOVE, "OLD", at=datetime(1700, 1, 1, tzinfo=UTC)), "is before 1970"),
    "a time before the first one": (
        wish(ChangeKind.ADD, "W", entry=ENTRY, at=datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))),
        "0001-01-01T00:00:00+14:00 is before 1970",
    ),
    "a time after the last one": (
        wish(ChangeKind.REMOVE, "OLD", at=datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-12)))),
        "is to come",
    ),
    "another home than that of the old meter": (
        wish(ChangeKind.EXCHANGE, "OLD", entry={"device": "N", "home": "h2"}),
        "home: the new meter measures for the home of the old one, h1",
    ),
    "another place than that of the old meter": (
        wish(ChangeKind.EXCHANGE, "OLD", entry={"device": "N", "usage_point": "elsewhere"}),
        "usage_point: the new meter is where the old one was, at h1-E",
    ),
    "a time to come": (wish(ChangeKind.REMOVE, "OLD", at=datetime(2030, 1, 1, tzinfo=UTC)), "is to come"),
    "an unknown home": (wish(ChangeKind.MOVE, "OLD", home="h9"), "there is no home 'h9'"),
    "the same place": (wish(ChangeKind.MOVE, "OLD", home="h1"), "OLD is at h1-E already"),
    "a known meter": (
        wish(ChangeKind.ADD, "OLD", entry={"device": "OLD", "home": "h2", "endpoint": "tcp://127.0.0.1:1"}),
        "OLD is here already",
    ),
    "an occupied place": (
        wish(
            ChangeKind.ADD,
            "N",
            entry={"device": "N", "home": "h1", "endpoint": "tcp://127.0.0.1:1", "security": "none"},
        ),
        "OLD is installed at h1-E; exchange it",
    ),
    "a declared meter": (wish(ChangeKind.DELETE, "OLD"), "OLD has an entry in the configuration; take it out first"),
}


@pytest.mark.attack(8)
@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_change_says_why_and_changes_nothing(system: CentralSystem, case: str) -> None:
    order, words = REFUSED[case]
    before = list(system.head_end.inventory), system.data.installations("h1-E"), system.data.revision
    with pytest.raises((ChangeRefusedError, UnknownMeterError)) as refused:
        system.change(order, {}, here)
    assert words in str(refused.value)
    assert (list(system.head_end.inventory), system.data.installations("h1-E"), system.data.revision) == before
    assert system.changes(9) == []


GIVEN = {
    "home": "h3",
    "endpoint": "tcp://127.0.0.1:2",
    "commodity": "water",
    "usage_point": "elsewhere",
    "network": "plc",
    "security": "lls",
    "client": 2,
    "server": 2,
    "system_title": "4D5350000000002A",
    "channels": ["1-0:1.8.1"],
    "profile": "1-0:99.2.0",
    "mbus_channel": 2,
    "push_objects": ["3/1-0:1.8.0/2 Wh"],
    "insecure_plain_pushes": True,
    "period_s": 3_600,
    "installed_at": datetime(2026, 11, 1, tzinfo=UTC),
    "tariff": "Nope",
}


@pytest.mark.attack(8)
@pytest.mark.parametrize("endpoint", ["tcp://127.0.0.1:1", "via:POINT"])
@pytest.mark.parametrize("name", sorted(set(MeterEntry.__dataclass_fields__) - {"device"}))
def test_a_field_of_a_new_meter_is_used_or_refused_by_name(tmp_path: Path, name: str, endpoint: str) -> None:
    more = '[[homes]]\nid = "h3"\n[[access_points]]\ndevice = "POINT"\nsystem_title = "4D53504C00000001"\n'
    keys = {device: DeviceKeys(bytes([number] * 16), bytes(16), b"1") for number, device in enumerate(("POINT", "W"))}
    base = {"device": "W", "home": "h2", "endpoint": endpoint}
    base |= {"mbus_channel": 1} if endpoint.startswith("via") else {"security": "none"}
    found, told = [], []
    for number, entry in enumerate((base, base | {name: GIVEN[name]})):
        folder = tmp_path / str(number)
        config = read_config(CONFIG.format(folder=folder, device="OLD", since=SINCE) + more)
        system = CentralSystem(config, keys=keys, master_key=bytes(32), tariffs=(), clock=lambda: NOW)
        try:
            system.change(wish(ChangeKind.ADD, "W", entry=entry), keys, here)
            found.append(replace(system.head_end.inventory.get("W"), wrapped_keys=()))
        except ChangeRefusedError as error:
            told.append(str(error))
        finally:
            system.close()
    if told:
        assert [text.partition(":")[0] in {name, "mbus_channel"} for text in told] == [True]
    else:
        assert found[0] != found[1]


def test_a_meter_moves_with_its_register_and_both_homes_have_what_is_theirs(system: CentralSystem) -> None:
    read(system, "OLD", DAY, NOON, 1_000_000)
    system.change(wish(ChangeKind.MOVE, "OLD", home="h2", at=EXCHANGE, closing=("1-0:1.8.0 1004.8 kWh",)), {}, here)
    read(system, "OLD", NOON, DAY + 86_400, 1_004_800)
    assert (bill(system).total, bill(system, "h2").total) == (Decimal("4.8"), Decimal("4.8"))
    (device,) = system.head_end.inventory
    assert device.usage_point == "h2-E"


@pytest.mark.parametrize("opening", [(), ("1-0:1.8.0 5 kWh",)])
def test_a_meter_that_was_never_heard_is_not_heard_by_its_opening_register(
    tmp_path: Path, opening: tuple[str, ...]
) -> None:
    system = system_of(tmp_path)
    try:
        system.change(wish(ChangeKind.ADD, "W", entry=ENTRY, opening=opening, at=EXCHANGE), {}, here)
        heard = [system.head_end.last_heard("W")]
    finally:
        system.close()
    again = system_of(tmp_path)
    try:
        heard.append(again.head_end.last_heard("W"))
        assert again.head_end.was_tried("W") is False
    finally:
        again.close()
    assert heard == [None, None]


def test_a_removed_meter_owes_nothing_and_its_readings_stay(system: CentralSystem) -> None:
    read(system, "OLD", DAY, NOON, 1_000_000)
    view = system.change(wish(ChangeKind.REMOVE, "OLD", at=EXCHANGE), {}, here)
    assert view.text == "OLD was removed from h1-E; its readings stay"
    assert [note for note in view.notes if "closing" in note]
    assert [changed.notes for changed in system.changes(9)] == [view.notes]
    assert bill(system).total == Decimal("4.8")
    assert system.head_end.holes_of("OLD", NOON + 86_400)[-1].end <= NOON


def test_orders_of_one_second_follow_each_other(tmp_path: Path) -> None:
    system = system_of(tmp_path)
    entry = {"device": "NEW", "home": "h2", "endpoint": "tcp://127.0.0.1:1", "security": "none"}
    try:
        system.change(wish(ChangeKind.ADD, "NEW", entry=entry), {}, here)
        system.change(wish(ChangeKind.EXCHANGE, "NEW", entry={"device": "NEXT"}), {}, here)
        system.change(wish(ChangeKind.REMOVE, "NEXT"), {}, here)
        system.change(wish(ChangeKind.ADD, "LAST", entry=entry | {"device": "LAST"}), {}, here)
        rows = [(row.device, row.start, row.end) for row in system.data.installations("h2-E")]
        now = int(NOW)
        assert rows == [("NEW", now, now + 1), ("NEXT", now + 1, now + 2), ("LAST", now + 2, None)]
    finally:
        system.close()


def test_only_a_meter_that_never_gave_a_reading_is_deleted_and_then_nothing_is_left_of_it(tmp_path: Path) -> None:
    system = system_of(tmp_path)
    entry = {"device": "PHANTOM", "home": "h2", "endpoint": "tcp://127.0.0.1:1", "security": "none"}
    try:
        system.change(wish(ChangeKind.ADD, "PHANTOM", entry=entry, at=EXCHANGE), {}, here)
        read(system, "PHANTOM", DAY, DAY + 900, 1)
        with pytest.raises(ChangeRefusedError, match="remove it instead"):
            system.change(wish(ChangeKind.DELETE, "PHANTOM"), {}, here)
        system.change(wish(ChangeKind.REMOVE, "PHANTOM"), {}, here)
        system.change(wish(ChangeKind.ADD, "EMPTY", entry=entry | {"device": "EMPTY"}), {}, here)
        system.change(wish(ChangeKind.DELETE, "EMPTY"), {}, here)
        assert [row.device for row in system.data.installations("h2-E")] == ["PHANTOM"]
        assert {device.device for device in system.head_end.inventory} == {"OLD", "PHANTOM"}
        assert system.head_end.holes_of("EMPTY", int(NOW)) == []
    finally:
        system.close()
    again = system_of(tmp_path)
    try:
        assert {device.device for device in again.head_end.inventory} == {"OLD", "PHANTOM"}
    finally:
        again.close()


def test_a_meter_taken_out_of_the_configuration_is_removed_while_it_runs_and_comes_back_with_it(tmp_path: Path) -> None:
    system = system_of(tmp_path)
    more = '[[meters]]\ndevice = "TWO"\nhome = "h2"\nendpoint = "tcp://127.0.0.1:2"\nsecurity = "none"\n'
    both = read_config(CONFIG.format(folder=tmp_path, device="OLD", since=SINCE) + more)
    try:
        assert system.reload(both, {}, (), here) == 1
        assert system.head_end.planner.is_planned("TWO")
        assert [row.device for row in system.data.installations("h2-E")] == ["TWO"]
        one = read_config(CONFIG.format(folder=tmp_path, device="OLD", since=SINCE))
        assert system.reload(one, {}, (), here) == 1
        assert not system.head_end.planner.is_planned("TWO")
        assert system.data.installations("h2-E")[0].end == int(NOW)
        system.reload(both, {}, (), here)
        assert system.data.installations("h2-E")[-1].end is None
        assert system.reload(both, {}, (), here) == 0
    finally:
        system.close()
