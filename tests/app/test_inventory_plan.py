"""What a configuration makes of the inventory: added, gone, moved, exchanged, and what a command has decided stands."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from meterspan.app.inventory_plan import device_of, entry_of, plan_inventory
from meterspan.head_end.inventory import Device
from meterspan.runtime.config import ServeConfig, read_config

NOW = 1_795_000_000
HEAD = 'data = "d"\nzone = "Europe/Berlin"\n[[homes]]\nid = "h1"\n[[homes]]\nid = "h2"\n'


def config(more: str = "", home: str = "h1", device: str = "M1") -> ServeConfig:
    meter = f'[[meters]]\ndevice = "{device}"\nhome = "{home}"\nendpoint = "tcp://127.0.0.1:1"\nsecurity = "none"\n'
    return read_config(HEAD + meter + more)


def at_rest(**changes: object) -> dict[str, Device]:
    device = replace(device_of(config().meters[0], NOW - 86_400), **changes)
    return {device.device: device}


def test_a_new_meter_is_there_from_midnight_in_the_zone_of_its_home() -> None:
    (device,) = plan_inventory(config(), {}, {}, NOW).declared
    begun = datetime.fromtimestamp(device.installed_at, UTC)
    assert (begun.hour, begun.minute, device.removed_at) == (23, 0, None)


def test_a_known_meter_keeps_the_start_of_its_values() -> None:
    (device,) = plan_inventory(config(), at_rest(), {}, NOW).declared
    assert device.installed_at == NOW - 86_400


def test_a_meter_without_an_entry_is_gone_now_and_stays_gone() -> None:
    later = plan_inventory(config(device="M2", home="h2"), at_rest(), {}, NOW)
    (gone,) = later.others
    assert (gone.device, gone.removed_at, later.faults) == ("M1", NOW, ())
    (still,) = plan_inventory(config(device="M2", home="h2"), {"M1": gone}, {}, NOW + 9).others
    assert still.removed_at == NOW


def test_an_empty_configuration_leaves_the_inventory_as_it_is() -> None:
    (kept,) = plan_inventory(read_config(HEAD), at_rest(), {}, NOW).others
    assert kept.removed_at is None


def test_another_meter_in_the_place_of_one_without_an_entry_is_an_exchange_that_is_to_be_said() -> None:
    ((name, text),) = plan_inventory(config(device="M2"), at_rest(), {}, NOW).faults
    assert (name, "[[exchanges]]" in text, '"M1"' in text, '"M2"' in text) == ("meters[0] (M2)", True, True, True)


def test_an_exchange_ends_the_old_meter_and_begins_the_new_one_at_its_time() -> None:
    at = datetime.fromtimestamp(NOW - 600, UTC)
    more = f'[[exchanges]]\nold = "M1"\nnew = "M2"\nat = {at.isoformat()}\n'
    plan = plan_inventory(config(more, device="M2"), at_rest(), {}, NOW)
    assert (plan.declared[0].installed_at, plan.others[0].removed_at, plan.faults) == (NOW - 600, NOW - 600, ())


def test_another_home_of_a_meter_is_a_move_now() -> None:
    plan = plan_inventory(config(home="h2"), at_rest(), {}, NOW)
    assert (dict(plan.moved), dict(plan.since)) == ({"M1": ("h1-E", NOW)}, {"M1": NOW})
    assert plan.declared[0].installed_at == NOW - 86_400, "its values stay due since it was installed"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"removed_at": NOW - 60}, "it was removed on 2026-11-18 by a command"),
        ({"usage_point": "h2-E"}, "it was moved to h2-E"),
    ],
)
def test_what_a_command_decided_stands_and_the_entry_is_named(changes: dict[str, object], words: str) -> None:
    kept = at_rest(is_commanded=True, **changes)
    plan = plan_inventory(config(), kept, {}, NOW)
    assert plan.declared[0] == kept["M1"]
    assert plan.passed_over == {"M1"}
    assert words in plan.notes[0]


def test_a_configuration_that_agrees_with_a_command_decides_again() -> None:
    plan = plan_inventory(config(), at_rest(is_commanded=True), {}, NOW)
    assert (plan.declared[0].is_commanded, plan.passed_over, plan.notes) == (False, frozenset(), ())


@pytest.mark.parametrize(("minutes", "is_read"), [(30, True), (90, False)])
def test_a_meter_that_a_command_removed_is_read_again_where_a_later_exchange_puts_it_back(
    minutes: int, is_read: bool
) -> None:
    at = datetime.fromtimestamp(NOW - 60 * minutes, UTC)
    more = f'[[exchanges]]\nold = "M0"\nnew = "M1"\nat = {at.isoformat()}\n'
    kept = at_rest(is_commanded=True, removed_at=NOW - 3_600)
    plan = plan_inventory(config(more), kept, {}, NOW)
    assert (plan.declared[0].removed_at is None) is is_read
    assert ("M1" not in plan.passed_over) is is_read


@pytest.mark.parametrize("hours", [-50, 2])
def test_another_begin_of_a_meter_that_is_installed_is_named_and_changes_nothing(hours: int) -> None:
    text = f"installed_at = {datetime.fromtimestamp(NOW + 3_600 * hours, UTC).isoformat()}\n"
    plan = plan_inventory(config(text), at_rest(), {}, NOW)
    assert plan.declared[0].installed_at == NOW - 86_400
    (note,) = plan.notes
    assert note.startswith("meters[0] (M1).installed_at: it is installed since 2026-11-")


def test_a_meter_that_a_command_added_needs_no_entry() -> None:
    (kept,) = plan_inventory(config(device="M2", home="h2"), at_rest(is_commanded=True), {}, NOW).others
    assert kept.removed_at is None


def test_a_record_has_the_entry_that_it_was_made_of() -> None:
    entry = config().meters[0]
    device = device_of(entry, NOW)
    assert device_of(entry_of(device, "h1", is_behind=False), NOW) == device
