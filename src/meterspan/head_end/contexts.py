"""One security context per device, shared by its sessions and its pushes.

Invocation counters must rise in the order of sending, whichever connection carries the message; two contexts with
counter blocks of their own would make each other's messages look replayed. Keys are open only while a context is kept.
"""

from collections import OrderedDict
from hashlib import sha256
from typing import Final

from meterspan.engine.security import SecurityContext, SecurityKeys
from meterspan.head_end.inventory import Device, KeyPurpose
from meterspan.head_end.system import HeadEnd
from meterspan.model.ports import CounterStore, StateStore

__all__ = ["ContextCache"]

CONTEXTS_KEPT: Final = 20_000
"""Contexts with open keys at once; the least recently used one is dropped, and its keys are wrapped again."""


class ContextCache:
    """Makes and keeps security contexts.

    Args:
        head_end: whose devices these are.
        system_title: of the head end, eight octets.
        counters: of both directions, persisted before use.
        state: keeps the proved titles of devices whose title is not in the inventory; None forgets them at the end of
            the program.

    """

    def __init__(
        self, head_end: HeadEnd, *, system_title: bytes, counters: CounterStore, state: StateStore | None = None
    ) -> None:
        self._head_end = head_end
        self._system_title = system_title
        self._counters = counters
        self._state = state
        self._contexts: OrderedDict[str, tuple[Device, SecurityContext]] = OrderedDict()

    def of(self, device: Device) -> SecurityContext:
        """Return the context of a device; a device record with other keys or another system title gets a new one.

        Raises:
            KeyWrongError: its keys were wrapped under another master key.
            ValueError: it has no keys.

        """
        known = self._contexts.get(device.device)
        if known is not None and _identity_of(known[0]) == _identity_of(device):
            self._contexts.move_to_end(device.device)
            return known[1]
        keys = self._head_end.custody.keys_of(device)
        context = SecurityContext(
            self._system_title,
            SecurityKeys(keys.global_unicast or b"", keys.authentication or b""),
            counters=self._counters,
            peer_title=device.system_title or self._pinned(device),
        )
        self._contexts[device.device] = (device, context)
        if len(self._contexts) > CONTEXTS_KEPT:
            self._contexts.popitem(last=False)
        return context

    def pin(self, device: Device) -> None:
        """Keep the title that a device has proved, where the inventory has none: no other is accepted from then on."""
        known = self._contexts.get(device.device)
        if self._state is None or device.system_title or known is None:
            return
        title = known[1].proved_title
        if title and title != self._pinned(device):
            self._state.save(_pinned_name(device), title)

    def _pinned(self, device: Device) -> bytes:
        return b"" if self._state is None else self._state.load(_pinned_name(device)) or b""

    def of_title(self, system_title: bytes) -> tuple[Device, SecurityContext] | None:
        """Return device and context by system title, or None for an unknown device.

        Raises:
            KeyWrongError: the keys were wrapped under another master key.
            ValueError: the device has no keys.

        """
        device = self._head_end.inventory.of_title(system_title)
        return None if device is None else (device, self.of(device))


def _pinned_name(device: Device) -> str:
    """Name a title by device and keys: a meter with other keys is another one, and proves its own title."""
    keys = sha256(b"".join(wrapped for _, wrapped in device.wrapped_keys)).hexdigest()[:16]
    return f"peer title/{device.device}/{keys}"


def _identity_of(device: Device) -> tuple[bytes, tuple[tuple[KeyPurpose, bytes], ...]]:
    return device.system_title, device.wrapped_keys
