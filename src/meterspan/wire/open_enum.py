"""An ``IntEnum`` of a standard's code table in which unlisted codes survive as members of their own."""

from enum import IntEnum
from typing import Self

__all__ = ["OpenIntEnum"]


class OpenIntEnum(IntEnum):
    """A code table that stays open: ``Table(200)`` is a member named ``UNKNOWN_200`` where 200 is not listed."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, int) or value < 0:
            return None
        member = int.__new__(cls, value)
        member._name_ = f"UNKNOWN_{value}"
        member._value_ = value
        return member

    @property
    def is_known(self) -> bool:
        """Whether the table lists the code."""
        return self._value_ in type(self)._value2member_map_

    @property
    def text(self) -> str:
        """The standard's spelling: lower case with hyphens."""
        return self._name_.lower().replace("_", "-")
