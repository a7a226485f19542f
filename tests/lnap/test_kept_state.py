"""A damaged entry of the state is named with what to do about it, and set aside without being lost."""

import pytest

from meterspan.lnap.kept_state import SET_ASIDE, DamagedEntryError, set_aside
from meterspan.model.storage.errors import DamagedError, StorageFullError
from tests.memory import MemoryState


def test_an_entry_that_is_set_aside_is_kept_under_another_name_and_reads_as_empty() -> None:
    state = MemoryState()
    state.save("channels", b"{")
    assert set_aside(state, "channels")
    assert state.kept == {"channels": b"", SET_ASIDE + "channels": b"{"}
    assert not set_aside(state, "channels"), "what was set aside is not overwritten by nothing"
    assert state.kept[SET_ASIDE + "channels"] == b"{"
    assert not set_aside(state, "unknown")


def test_an_entry_that_cannot_be_moved_stays() -> None:
    class Full(MemoryState):
        def save(self, name: str, octets: bytes) -> None:
            raise StorageFullError("no room")

    state = Full()
    state.kept["channels"] = b"{"
    with pytest.raises(StorageFullError):
        set_aside(state, "channels")
    assert state.kept == {"channels": b"{"}


def test_the_error_says_what_is_damaged_and_what_to_do() -> None:
    error = DamagedEntryError("channels", "the channels of the home's meters", "not JSON")
    assert isinstance(error, DamagedError)
    assert error.name == "channels"
    assert str(error) == (
        "the channels of the home's meters cannot be read (not JSON);"
        " restore the state from a backup, or go on without it: --set-aside 'channels'"
    )
