"""One word, one meaning: the name of a class stands for one thing in the whole of meterspan."""

import ast
from collections import defaultdict

from tests.helpers_source import SOURCE, parsed

TREES = {path.relative_to(SOURCE).as_posix(): tree for path, tree in parsed()}


def classes() -> dict[str, list[str]]:
    """The modules that define each class, private ones and those within functions too."""
    places = defaultdict(list)
    for module, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(module)
    return places


def test_a_class_name_is_defined_once() -> None:
    assert {name: places for name, places in classes().items() if len(places) > 1} == {}


def test_a_private_class_is_not_called_as_a_public_one() -> None:
    places = classes()
    assert [name for name in places if name.startswith("_") and name.lstrip("_") in places] == []


def test_a_class_is_imported_under_its_own_name() -> None:
    """Only the public API calls a class otherwise, and names which (``meterspan._OWN_NAMES``)."""
    known = set(classes())
    renamed = [
        (module, alias.name, alias.asname)
        for module, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname and alias.name in known and (node.module or "").startswith("meterspan")
    ]
    assert renamed == [("__init__.py", "DlmsError", "MeterError")]
