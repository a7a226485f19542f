"""The ports of the store: every backend has every method with the parameters that the port names, in its order."""

import inspect

import pytest

from meterspan.model.storage.ports import ReadingJournal, ReadingSource, RegistryStore
from meterspan.store.reading_store import ReadingStore
from meterspan.store.registry import Registry
from tests.store.memory_backends import MemoryJournal, MemoryRegistry


def methods(port):
    """The methods of a port, those of the ports that it extends included."""
    return {name: inspect.getattr_static(port, name) for name in dir(port) if not name.startswith("_")}


def parameters(method):
    return [(item.name, item.kind, item.default) for item in inspect.signature(method).parameters.values()]


@pytest.mark.parametrize(
    ("port", "backend"),
    [
        (ReadingSource, ReadingStore),
        (ReadingJournal, ReadingStore),
        (RegistryStore, Registry),
        (ReadingJournal, MemoryJournal),
        (RegistryStore, MemoryRegistry),
    ],
)
def test_a_backend_can_be_called_as_its_port_says(port, backend):
    assert methods(port)
    for name, asked in methods(port).items():
        found = inspect.getattr_static(backend, name)
        assert isinstance(found, property) == isinstance(asked, property), name
        if isinstance(asked, property):
            continue
        wanted, offered = parameters(asked), parameters(found)
        assert offered[: len(wanted)] == wanted, name
        assert all(default is not inspect.Parameter.empty for _, _, default in offered[len(wanted) :]), name


def test_a_journal_is_read_like_any_source_of_readings():
    assert methods(ReadingSource).keys() < methods(ReadingJournal).keys()
