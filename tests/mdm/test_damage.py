"""Damaged items are named as long as any question fails on them."""

from meterspan.mdm.damage import Damage, DamageList
from meterspan.model.storage.readings import DamageKind


def test_an_item_is_listed_until_every_question_that_failed_on_it_is_answered_again(caplog):
    damage = DamageList()
    damage.note("usage point B", "cut", question="totals")
    damage.note("usage point B", "cut", question="live")
    damage.note("usage point A", ValueError("impossible"))
    assert damage.listed() == [Damage("usage point A", "impossible"), Damage("usage point B", "cut")]
    damage.clear("usage point B", question="totals")
    assert len(damage.listed()) == 2
    damage.clear("usage point B", question="live")
    damage.clear("usage point C", question="live")
    assert damage.listed() == [Damage("usage point A", "impossible")]


def test_an_item_keeps_the_time_at_which_it_was_found_until_it_is_whole_again():
    now = iter([10, 20, 30])
    damage = DamageList(clock=lambda: next(now))
    damage.note("usage point A", "cut", question="totals")
    damage.note("usage point A", "cut", question="live")
    assert [item.found_at for item in damage.listed()] == [10]
    damage.clear("usage point A", question="totals")
    damage.clear("usage point A", question="live")
    damage.note("usage point A", "cut", question="live", kind=DamageKind.ROW)
    assert [(item.found_at, item.kind) for item in damage.listed()] == [(30, DamageKind.ROW)]


def test_an_item_is_logged_once_for_one_reason(caplog):
    damage = DamageList()
    for _ in range(3):
        damage.note("usage point A", "cut", question="totals")
    assert [record.getMessage() for record in caplog.records] == ["set aside as damaged"]
