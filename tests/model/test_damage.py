"""Every kind of damage says what is lost and what to do; what a store quarantined keeps its facts."""

import pytest

from meterspan.model.damage import ENGLISH, LOSSES, REMEDIES, Damage
from meterspan.model.storage.readings import DamageKind, QuarantinedItem
from meterspan.model.views import DamageView
from meterspan.portal.words import catalogues


@pytest.mark.parametrize("kind", list(DamageKind))
def test_every_kind_has_its_sentences_in_every_language(kind):
    assert len(LOSSES[kind]) > 20
    assert len(REMEDIES[kind]) > 20
    for language, table in catalogues().items():
        for key in (f"damage_loss.{kind}", f"damage_remedy.{kind}"):
            assert table[key]
            assert language == "en" or table[key] != ENGLISH[key]


@pytest.mark.parametrize("kind", list(DamageKind))
def test_a_quarantined_item_keeps_its_facts_and_unknown_is_not_0(kind):
    item = QuarantinedItem("batch 7", "cut", "journal", 96, 10, 20, kind, 1_000)
    damage = Damage.of(item)
    assert (damage.item, damage.reason, damage.kept_at, damage.found_at) == ("batch 7", "cut", "journal", 1_000)
    assert damage.readings == (96 if kind in {DamageKind.BATCH, DamageKind.SEGMENT} else None)
    view = DamageView.of(damage)
    assert (view.kind, str(view.loss), str(view.remedy)) == (kind, LOSSES[kind], REMEDIES[kind])
    assert (view.first.timestamp(), view.last.timestamp(), view.found_at.timestamp()) == (10, 20, 1_000)
    assert DamageView.of(Damage("usage point A", "impossible")).found_at is None
