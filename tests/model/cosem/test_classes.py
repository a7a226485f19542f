"""Walk the registry: every declaration is whole."""

import re
from pathlib import Path

import pytest

from meterspan.model.cosem import classes as declarations
from meterspan.model.cosem.access import AttributeAccess, MethodAccess
from meterspan.model.cosem.classes import INTERFACE_CLASSES, Clock, Register, interface_class
from meterspan.model.cosem.declaration import DataKind, InterfaceClass

ALL = sorted(INTERFACE_CLASSES)


@pytest.mark.parametrize("key", ALL)
def test_every_class_has_consecutive_named_and_typed_attributes(key):
    declared = INTERFACE_CLASSES[key]
    assert (declared.class_id, declared.version) == key
    assert list(declared.attributes) == list(range(1, len(declared.attributes) + 1))
    names = [attribute.name for attribute in declared.attributes.values()]
    assert names[0] == "logical_name"
    assert len(set(names)) == len(names)
    for number, attribute in declared.attributes.items():
        assert attribute.number == number
        assert isinstance(attribute.kind, DataKind)
        assert isinstance(attribute.access, AttributeAccess)
        assert getattr(declared, attribute.name) == attribute


@pytest.mark.parametrize("key", ALL)
def test_every_class_has_consecutive_named_methods(key):
    declared = INTERFACE_CLASSES[key]
    assert list(declared.methods) == list(range(1, len(declared.methods) + 1))
    for number, method in declared.methods.items():
        assert method.number == number
        assert method.name
        assert isinstance(method.argument, DataKind)
        assert getattr(declared, method.name) == method
    assert not {m.name for m in declared.methods.values()} & {a.name for a in declared.attributes.values()}


@pytest.mark.parametrize("key", ALL)
def test_arrays_and_structures_say_what_they_hold(key):
    for attribute in INTERFACE_CLASSES[key].attributes.values():
        if attribute.kind in {DataKind.ARRAY, DataKind.STRUCTURE}:
            assert attribute.shape


@pytest.mark.parametrize(("class_id", "version"), [key for key in ALL if key[1] > 0 and (key[0], key[1] - 1) in ALL])
def test_a_later_version_only_appends(class_id, version):
    earlier, later = INTERFACE_CLASSES[class_id, version - 1], INTERFACE_CLASSES[class_id, version]
    assert list(later.attributes.items())[: len(earlier.attributes)] == list(earlier.attributes.items())
    assert later.name == earlier.name


def test_the_classes_of_the_standards_table_are_all_declared():
    wanted = {1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 15, 17, 18, 20, 21, 22, 23, 40, 41, 42, 64, 70, 71, 72}
    assert {class_id for class_id, _ in ALL} == wanted


def test_every_declaration_is_exported():
    exported = {getattr(declarations, name) for name in declarations.__all__ if name[0].isupper() and name[1].islower()}
    exported |= {declarations.IPv4Setup, declarations.SAPAssignment, declarations.MBusClient, declarations.MBusClient1}
    assert set(INTERFACE_CLASSES.values()) == {item for item in exported if isinstance(item, type)}


def test_an_unknown_version_falls_back_to_the_nearest_and_an_unknown_class_is_none():
    assert interface_class(3, 0) is Register
    assert interface_class(15, 9) is declarations.AssociationLN2
    assert interface_class(7, 0) is declarations.ProfileGeneric
    assert interface_class(9_999, 0) is None


def test_attributes_are_named_in_code_by_the_declaration():
    assert Clock.time.number == 2
    assert Register.scaler_unit.name == "scaler_unit"


def test_a_declaration_is_never_instantiated():
    with pytest.raises(TypeError, match="CosemObject"):
        Clock()


def test_a_class_body_outside_the_registry_inherits_the_logical_name():
    class Private(InterfaceClass, class_id=9_000, version=3):
        """A maker's own class."""

    assert list(Private.attributes) == [1]
    assert Private.methods == {}


def test_access_modes_say_what_they_grant():
    assert [mode.readable for mode in AttributeAccess] == [False, True, False, True, True, False, True]
    assert [mode.writable for mode in AttributeAccess] == [False, False, True, True, False, True, True]
    assert [mode.authenticated for mode in AttributeAccess] == [False] * 4 + [True] * 3
    assert MethodAccess.AUTHENTICATED_ACCESS == 2


def test_the_page_lists_each_class_by_the_name_that_the_standard_gives_it():
    page = (Path(__file__).parents[3] / "docs" / "cosem.md").read_text(encoding="utf-8")
    listed = {
        (int(class_id), int(version)): name
        for class_id, name, versions in re.findall(r"\| (\d+) \| ([\w ]+?) \| (\d[\d, ]*) (?=\|)", page)
        for version in versions.split(",")
    }
    assert listed == {key: declared.name for key, declared in INTERFACE_CLASSES.items()}
