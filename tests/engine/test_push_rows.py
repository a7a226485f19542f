"""Rows and scales cross a push in either form of body, and come out as they went in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.engine.push_body import PushValue, read_body
from meterspan.engine.push_rows import PushedProfile, PushedRegister, read_content, utc_row, write_profiles
from meterspan.model.cosem.classes import Clock, DemandRegister, ExtendedRegister, ProfileGeneric, Register
from meterspan.model.cosem.profile import write_capture_objects
from meterspan.model.cosem.scaler_unit import ScalerUnit
from meterspan.quantities import UNITS, ClockTime, Obis, utc
from meterspan.wire.axdr import clock, double_long_unsigned, enum, integer, read_data, structure, unsigned, write_data
from meterspan.wire.errors import WireError
from meterspan.wire.xdlms import CaptureObjectDefinition

PROFILE, ENERGY, EXPORT = Obis(1, 0, 99, 1, 0), Obis(1, 0, 1, 8, 0), Obis(1, 0, 2, 8, 0)
TIME = 1_760_000_400
WH = ScalerUnit(0, UNITS["Wh"])

scales = st.builds(ScalerUnit, st.integers(-12, 12), st.sampled_from([UNITS["Wh"], UNITS["m3"], UNITS["J"]]))
classes = st.sampled_from([Register.class_id, ExtendedRegister.class_id, DemandRegister.class_id])


@st.composite
def profiles(draw):
    count = draw(st.integers(1, 4))
    registers = tuple(
        PushedRegister(draw(classes), Obis(1, 0, index, 8, 0), draw(scales)) for index in range(1, count + 1)
    )
    value = st.none() | st.integers(-(2**63), 2**64 - 1)
    row = st.builds(utc_row, st.integers(0, 2**32), st.integers(0, 255), st.tuples(*[value] * count))
    return PushedProfile(Obis(0, draw(st.integers(1, 64)), 24, 3, 0), registers, tuple(draw(st.lists(row, max_size=4))))


@given(st.lists(profiles(), max_size=4, unique_by=lambda profile: profile.name))
def test_what_is_written_is_read_back_whole(written):
    body = read_data(write_data(write_profiles(written)))
    content = read_content(read_body(body).values)
    assert {name: [item.items for item in rows] for name, rows in content.rows.items()} == {
        profile.name: [tuple(row) for row in profile.rows] for profile in written
    }
    last = {register.name: register.scaler for profile in written for register in profile.registers}
    assert content.scalers == last
    assert content.is_named is bool(written)


def test_a_standard_push_by_object_list_gives_the_same_content():
    objects = (
        CaptureObjectDefinition(40, Obis(0, 0, 25, 9, 0), 2),
        CaptureObjectDefinition(Clock.class_id, Obis(0, 0, 1, 0, 0), 2),
        CaptureObjectDefinition(Register.class_id, ENERGY, 2),
        CaptureObjectDefinition(Register.class_id, ENERGY, 3),
        CaptureObjectDefinition(ProfileGeneric.class_id, PROFILE, 2),
    )
    moment = ClockTime.of(utc(TIME))
    buffer = write_profiles([PushedProfile(PROFILE, (), (utc_row(TIME, 0, [7]),))]).items[1]
    body = structure(
        write_capture_objects(objects),
        clock(moment),
        double_long_unsigned(42),
        structure(integer(-1), enum(30)),
        buffer,
    )
    content = read_content(read_body(body).values)
    assert content.time == moment
    assert content.values[ENERGY].integer == 42
    assert content.scalers == {ENERGY: ScalerUnit(-1, UNITS["Wh"])}
    assert [row.items[2].integer for row in content.rows[PROFILE]] == [7]


def test_values_that_nothing_names_are_not_readings():
    content = read_content([PushValue(None, unsigned(7))])
    assert not content.is_named
    assert (content.rows, content.scalers, content.values) == ({}, {}, {})


def test_an_element_of_an_attribute_is_not_the_attribute():
    part = CaptureObjectDefinition(Register.class_id, ENERGY, 3, 2)
    assert read_content([PushValue(part, enum(30))]).scalers == {}


def test_a_scaler_of_another_shape_is_an_error():
    of = CaptureObjectDefinition(Register.class_id, ENERGY, 3)
    with pytest.raises(WireError):
        read_content([PushValue(of, unsigned(1))])
