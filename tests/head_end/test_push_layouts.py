"""What a head end knows of the order of pushed values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.head_end.push_layouts import LISTS_MAX, PushLayouts
from meterspan.model.cosem.scaler_unit import ScalerUnit
from meterspan.quantities import UNITS, Obis
from meterspan.wire.xdlms import CaptureObjectDefinition

ENERGY, PROFILE = CaptureObjectDefinition(3, Obis(1, 0, 1, 8, 0), 2), Obis(1, 0, 99, 1, 0)

CLOCK = CaptureObjectDefinition(8, Obis(0, 0, 1, 0, 0), 2)


def test_nothing_is_known_of_a_device_before_it_is_learnt() -> None:
    layouts = PushLayouts()
    assert layouts.objects_of("M") == layouts.columns_of("M", PROFILE) == ()
    assert not layouts.is_asked_for("M")


def test_a_list_is_asked_for_until_it_is_learnt_and_the_newest_counts() -> None:
    layouts = PushLayouts()
    layouts.ask_for("M")
    assert layouts.is_asked_for("M")
    layouts.learn_objects("M", [ENERGY, ENERGY])
    layouts.learn_objects("M", [ENERGY])
    assert layouts.objects_of("M") == (ENERGY,)
    assert not layouts.is_asked_for("M")


def test_lists_of_several_push_setups_are_told_apart_by_their_length_and_bounded() -> None:
    layouts = PushLayouts()
    layouts.learn_objects("M", [ENERGY])
    layouts.learn_objects("M", [ENERGY, ENERGY])
    assert layouts.lists_of("M") == ((ENERGY, ENERGY), (ENERGY,))
    layouts.learn_objects("M", [CLOCK])
    assert layouts.lists_of("M") == ((CLOCK,), (ENERGY, ENERGY))
    later = PushLayouts()
    later.restore("M", layouts.write("M", {}))
    assert later.lists_of("M") == layouts.lists_of("M")
    for length in range(1, 3 * LISTS_MAX):
        later.learn_objects("M", [ENERGY] * length)
    assert len(later.lists_of("M")) == LISTS_MAX


def test_a_device_that_has_refused_to_show_its_list_is_not_asked_again() -> None:
    layouts = PushLayouts()
    layouts.ask_for("M")
    layouts.note_refusal("M")
    layouts.ask_for("M")
    assert not layouts.is_asked_for("M")


def test_columns_are_kept_by_device_and_profile() -> None:
    layouts = PushLayouts()
    layouts.learn_columns("M", PROFILE, [ENERGY])
    assert layouts.columns_of("M", PROFILE) == (ENERGY,)
    assert layouts.columns_of("N", PROFILE) == layouts.columns_of("M", ENERGY.instance) == ()


def test_what_is_kept_fills_what_is_not_known_and_replaces_nothing() -> None:
    layouts, scales = PushLayouts(), {ENERGY.instance: ScalerUnit(-1, UNITS["Wh"])}
    layouts.learn_objects("M", [ENERGY])
    layouts.learn_columns("M", PROFILE, [ENERGY, ENERGY])
    layouts.learn_columns("N", PROFILE, [ENERGY])
    kept = layouts.write("M", scales)
    later = PushLayouts()
    assert later.restore("M", kept) == scales
    assert (later.objects_of("M"), later.columns_of("M", PROFILE)) == ((ENERGY,), (ENERGY, ENERGY))
    declared = PushLayouts()
    declared.learn_objects("M", [ENERGY, ENERGY])
    declared.restore("M", kept)
    assert declared.objects_of("M") == (ENERGY, ENERGY)


@given(st.binary(max_size=40) | st.sampled_from([b"{}", b"[]", b'{"objects": 1, "columns": {}, "scalers": {}}']))
def test_octets_that_are_not_kept_layouts_are_a_value_error(octets: bytes) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        PushLayouts().restore("M", octets)
