"""The house keeps its order: what is exported exists, and every package says what it is."""

import importlib
import pkgutil

import pytest

import meterspan

MODULES = [module.name for module in pkgutil.walk_packages(meterspan.__path__, "meterspan.")]


@pytest.mark.parametrize("name", MODULES)
def test_a_module_says_what_it_is_and_exports_what_it_has(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} has no docstring"
    exported = getattr(module, "__all__", [])
    assert [missing for missing in exported if not hasattr(module, missing)] == []
    assert len(exported) == len(set(exported))
