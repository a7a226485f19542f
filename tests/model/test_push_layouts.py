"""Layouts of push lists are whole: as many fields as their shape has elements, and no two alike."""

import re

from meterspan.model.push_layouts import POSITIONAL_LISTS, SCALED_LISTS


def test_every_positional_list_has_a_field_for_each_element_of_its_shape():
    for layout in POSITIONAL_LISTS:
        assert re.fullmatch(r"[scn]+", layout.shape), layout.name
        assert len(layout.fields) == len(layout.shape), layout.name


def test_no_two_lists_have_the_same_shape_and_mark():
    keys = [(layout.shape, layout.mark) for layout in POSITIONAL_LISTS]
    assert len(keys) == len(set(keys))


def test_clocks_and_strings_are_abstract_codes_and_numbers_are_electricity():
    for layout in POSITIONAL_LISTS:
        for letter, field in zip(layout.shape, layout.fields, strict=True):
            assert field is None or (field.obis.a == 1 and field.obis.c != 0) == (letter == "n"), layout.name


def test_a_scaled_list_names_each_power_of_ten_once():
    for layout in SCALED_LISTS:
        groups = [group for group, _ in layout.exponents]
        assert len(groups) == len(set(groups))
        assert layout.mark
