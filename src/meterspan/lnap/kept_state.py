"""Named entries of an entity's state, and what becomes of a damaged one.

Strategy: an entry whose content is elsewhere too, or comes again, is set aside under another name, and the entity goes
on. An entry on which a decision rests stops the start with ``DamagedEntryError``: a person restores the state from a
backup, or sets the entry aside by its name.
"""

from typing import Final

from meterspan.model.ports import StateStore
from meterspan.model.storage.errors import DamagedError

__all__ = ["SET_ASIDE", "DamagedEntryError", "set_aside"]

SET_ASIDE: Final = "set aside/"
"""In front of the name of an entry that was set aside."""


class DamagedEntryError(DamagedError):
    """An entry of the state cannot be read.

    Args:
        name: of the entry.
        what: its content, in words.
        reason: why it cannot be read.

    """

    def __init__(self, name: str, what: str, reason: object) -> None:
        remedy = f"restore the state from a backup, or go on without it: --set-aside {name!r}"
        super().__init__(f"{what} cannot be read ({reason}); {remedy}")
        self.name = name


def set_aside(state: StateStore, name: str) -> bool:
    """Move an entry to the name ``SET_ASIDE`` + ``name``, and return whether there was one.

    Raises:
        StorageError: it cannot be moved now; it is still there.

    """
    octets = state.load(name)
    if not octets:
        return False
    state.save(SET_ASIDE + name, octets)
    state.save(name, b"")
    return True
