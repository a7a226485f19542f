"""The lists that name the plain values of devices' pushes, and the columns of their profiles.

A list is given (configuration), brought by a push, or read from the device's push setup in a session; it is asked for
when a push of plain values was refused for lack of it. A device has as many lists as push setups; the number of values
tells them apart. What a device shows itself replaces what was given of the same length; what is kept from an earlier
run fills what is not known.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Final

from meterspan.model.cosem.scaler_unit import ScalerUnit
from meterspan.quantities import UNITS, Obis, parse_obis
from meterspan.wire.xdlms import CaptureObjectDefinition

__all__ = ["PushLayouts"]

LISTS_MAX: Final = 8
"""Lists of one device; meters have some four push setups."""
_PushList = tuple[CaptureObjectDefinition, ...]


class PushLayouts:
    """Push object lists by device, and capture objects by device and profile."""

    def __init__(self) -> None:
        self._lists: dict[str, tuple[_PushList, ...]] = {}
        self._columns: dict[tuple[str, Obis], tuple[CaptureObjectDefinition, ...]] = {}
        self._asked_for: set[str] = set()
        self._refusing: set[str] = set()

    def objects_of(self, device: str) -> tuple[CaptureObjectDefinition, ...]:
        """Return the newest push object list of a device; empty where none is known."""
        return next(iter(self.lists_of(device)), ())

    def lists_of(self, device: str) -> tuple[tuple[CaptureObjectDefinition, ...], ...]:
        """Return the push object lists of a device, each of its own length, newest first."""
        return self._lists.get(device, ())

    def columns_of(self, device: str, profile: Obis) -> tuple[CaptureObjectDefinition, ...]:
        """Return the capture objects of a profile; empty where they are not known."""
        return self._columns.get((device, profile), ())

    def learn_objects(self, device: str, objects: Sequence[CaptureObjectDefinition]) -> None:
        """Remember a push object list of a device of the inventory, in place of another of its length."""
        self._lists[device] = (tuple(objects), *self._others(device, len(objects)))[:LISTS_MAX]
        self._asked_for.discard(device)

    def learn_columns(self, device: str, profile: Obis, columns: Sequence[CaptureObjectDefinition]) -> None:
        """Remember the capture objects of a profile."""
        self._columns[device, profile] = tuple(columns)

    def _others(self, device: str, length: int) -> tuple[_PushList, ...]:
        return tuple(objects for objects in self.lists_of(device) if len(objects) != length)

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

    def write(self, device: str, scalers: Mapping[Obis, ScalerUnit]) -> bytes:
        """Write what is known of a device, with the scales of its registers, to be kept."""
        columns = {str(profile): list(map(_row, of)) for (name, profile), of in self._columns.items() if name == device}
        kept = {
            "objects": list(map(_row, self.objects_of(device))),
            "further": [list(map(_row, objects)) for objects in self.lists_of(device)[1:]],
            "columns": columns,
            "scalers": {str(of): (scale.exponent, scale.unit.symbol) for of, scale in scalers.items()},
        }
        return json.dumps(kept, sort_keys=True).encode()

    def restore(self, device: str, octets: bytes) -> dict[Obis, ScalerUnit]:
        """Fill what is not known of a device with what was kept, and return the scales of its registers.

        Raises:
            ValueError: the octets are not what ``write`` writes.

        """
        try:
            kept = json.loads(octets)
            lists = [tuple(map(_definition, rows)) for rows in (kept["objects"], *kept.get("further", ()))]
            columns = {parse_obis(of): tuple(map(_definition, rows)) for of, rows in kept["columns"].items()}
            scales = {
                parse_obis(of): ScalerUnit(int(exponent), UNITS[symbol])
                for of, (exponent, symbol) in kept["scalers"].items()
                if symbol in UNITS
            }
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"the kept layouts of {device} cannot be read") from error
        known = {len(objects) for objects in self.lists_of(device)}
        fresh = tuple(objects for objects in lists if objects and len(objects) not in known)
        self._lists[device] = (*self.lists_of(device), *fresh)[:LISTS_MAX]
        for profile, captured in columns.items():
            self._columns.setdefault((device, profile), captured)
        return scales


def _row(of: CaptureObjectDefinition) -> tuple[int, str, int, int]:
    return of.class_id, str(of.instance), of.attribute, of.data_index


def _definition(row: Sequence[object]) -> CaptureObjectDefinition:
    class_id, name, attribute, index = row
    return CaptureObjectDefinition(int(str(class_id)), parse_obis(str(name)), int(str(attribute)), int(str(index)))
