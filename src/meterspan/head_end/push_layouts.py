"""The lists that name the plain values of devices' pushes, and the columns of their profiles.

A list is given (configuration), brought by a push, or read from the device's push setup in a session; it is asked for
when a push of plain values was refused for lack of it. What a device shows itself replaces what was given.
"""

from collections.abc import Sequence

from meterspan.quantities import Obis
from meterspan.wire.xdlms import CaptureObjectDefinition

__all__ = ["PushLayouts"]


class PushLayouts:
    """Push object lists by device, and capture objects by device and profile."""

    def __init__(self) -> None:
        self._objects: dict[str, tuple[CaptureObjectDefinition, ...]] = {}
        self._columns: dict[tuple[str, Obis], tuple[CaptureObjectDefinition, ...]] = {}
        self._asked_for: set[str] = set()
        self._refusing: set[str] = set()

    def objects_of(self, device: str) -> tuple[CaptureObjectDefinition, ...]:
        """Return the push object list of a device; empty where it is not known."""
        return self._objects.get(device, ())

    def columns_of(self, device: str, profile: Obis) -> tuple[CaptureObjectDefinition, ...]:
        """Return the capture objects of a profile; empty where they are not known."""
        return self._columns.get((device, profile), ())

    def learn_objects(self, device: str, objects: Sequence[CaptureObjectDefinition]) -> None:
        """Remember the push object list of a device of the inventory."""
        self._objects[device] = tuple(objects)
        self._asked_for.discard(device)

    def learn_columns(self, device: str, profile: Obis, columns: Sequence[CaptureObjectDefinition]) -> None:
        """Remember the capture objects of a profile."""
        self._columns[device, profile] = tuple(columns)

    def ask_for(self, device: str) -> None:
        """Let the next session with a device read its push object list, unless it has refused to show it."""
        if device not in self._refusing:
            self._asked_for.add(device)

    def note_refusal(self, device: str) -> None:
        """Note that a device does not show its push object list: it is not asked again."""
        self._refusing.add(device)
        self._asked_for.discard(device)

    def is_asked_for(self, device: str) -> bool:
        """Whether the push object list of a device is to be read."""
        return device in self._asked_for
