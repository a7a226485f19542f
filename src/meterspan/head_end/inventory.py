"""The inventory: every device of the head end, its endpoint, the channels due from it and its wrapped keys.

Keys are never stored here in the clear: a device record holds them wrapped under the master key, bound to the device
and purpose, and only ``KeyCustody`` opens them, for one session at a time.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum

from meterspan.crypto.key_binding import KeyBinder, is_bound
from meterspan.crypto.key_wrap import unwrap_key
from meterspan.crypto.mechanisms import Mechanism, Security
from meterspan.engine.links import DeviceProtocol
from meterspan.quantities import Commodity, Obis

__all__ = ["ChannelPlan", "Device", "DeviceKeys", "Inventory", "KeyCustody", "KeyPurpose", "purposes_of"]


class KeyPurpose(StrEnum):
    """The purpose of a key; every purpose has a key of its own."""

    GLOBAL_UNICAST = "global-unicast"
    AUTHENTICATION = "authentication"
    PASSWORD = "password"  # noqa: S105 (the name of a purpose)
    RADIO = "radio"


def purposes_of(mechanism: Mechanism) -> tuple[KeyPurpose, ...]:
    """Return the keys that the head end must have of a device that authenticates so."""
    keys = (KeyPurpose.GLOBAL_UNICAST, KeyPurpose.AUTHENTICATION) if mechanism.needs_keys else ()
    return (*keys, KeyPurpose.PASSWORD) if mechanism.needs_secret else keys


@dataclass(frozen=True, slots=True)
class ChannelPlan:
    """One channel that is due from a device.

    Attributes:
        obis: the measured quantity.
        period_s: capture period in seconds.
        profile: the load profile that captures it, or None for a register read by itself.

    """

    obis: Obis
    period_s: int = 900
    profile: Obis | None = None


@dataclass(frozen=True, slots=True)
class Device:
    """One device of the inventory.

    Attributes:
        device: its identification (logical device name, or M-Bus manufacturer-id).
        commodity: the measured commodity.
        protocol: how it is spoken to.
        endpoint: ``host:port``, or the identification of the access point that it hangs on.
        network: the segment whose capacity it shares.
        usage_point: the supply that it measures, "" while it measures none.
        interface: the interface of TR 50572 that it is read over.
        security: how an association is protected.
        client_sap: the client's address.
        server_sap: the logical device's address.
        system_title: eight octets, b"" where the protocol has none.
        channels: the channels due from it.
        installed_at: UTC seconds from which on values are due.
        removed_at: UTC seconds after which none are due.
        wrapped_keys: keys wrapped under the master key for this device, by purpose.
        is_commanded: whether a command has decided where it is installed, or that it is not; the configuration does
            so where it is False.

    """

    device: str
    commodity: Commodity
    protocol: DeviceProtocol
    endpoint: str
    network: str
    usage_point: str = ""
    interface: str = "G1"
    security: Security = Security.NONE
    client_sap: int = 16
    server_sap: int = 1
    system_title: bytes = b""
    channels: tuple[ChannelPlan, ...] = ()
    installed_at: int = 0
    removed_at: int | None = None
    wrapped_keys: tuple[tuple[KeyPurpose, bytes], ...] = field(default=(), repr=False)
    is_commanded: bool = False


@dataclass(frozen=True, slots=True)
class DeviceKeys:
    """A device's keys in the clear, for one session; never shown, never stored."""

    global_unicast: bytes | None = field(default=None, repr=False)
    authentication: bytes | None = field(default=None, repr=False)
    password: bytes | None = field(default=None, repr=False)
    radio: bytes | None = field(default=None, repr=False)


class KeyCustody:
    """Wraps and unwraps keys under the master key (SEC-15: a dump of the inventory holds no key octets).

    A wrapped key is bound to its device and purpose: copied onto another record, it does not open.

    Args:
        master_key: 16, 24 or 32 octets, from outside the data directory.

    """

    __slots__ = ("_binder", "_master_key")

    def __init__(self, master_key: bytes) -> None:
        if len(master_key) not in (16, 24, 32):
            raise ValueError(f"a master key has 16, 24 or 32 octets, not {len(master_key)}")
        self._master_key = master_key
        self._binder = KeyBinder(master_key)

    def wrap(self, key: bytes, device: str, purpose: KeyPurpose) -> bytes:
        """Wrap a key (or a password of up to 255 octets) of one device and purpose for keeping."""
        return self._binder.seal(key, _binding(device, purpose))

    def unwrap(self, wrapped: bytes, device: str, purpose: KeyPurpose) -> bytes:
        """Open a wrapped key.

        Raises:
            KeyWrongError: the master key is another one, the wrapping was tampered with, or it is of another device
                or purpose.

        """
        return self._binder.open(wrapped, _binding(device, purpose))

    def bound(self, device: Device) -> Device:
        """Return a record whose keys are bound to it; those of releases up to 0.1 were wrapped unbound (RFC 3394).

        Raises:
            KeyWrongError: the master key is another one, or a wrapping was tampered with.

        """
        if all(is_bound(wrapped) for _, wrapped in device.wrapped_keys):
            return device
        return replace(
            device,
            wrapped_keys=tuple(
                (purpose, wrapped if is_bound(wrapped) else self.wrap(self._unbound(wrapped), device.device, purpose))
                for purpose, wrapped in device.wrapped_keys
            ),
        )

    def keys_of(self, device: Device) -> DeviceKeys:
        """Open all keys of a device.

        Raises:
            KeyWrongError: one does not open.

        """
        keys = {purpose: self.unwrap(wrapped, device.device, purpose) for purpose, wrapped in device.wrapped_keys}
        return DeviceKeys(
            global_unicast=keys.get(KeyPurpose.GLOBAL_UNICAST),
            authentication=keys.get(KeyPurpose.AUTHENTICATION),
            password=keys.get(KeyPurpose.PASSWORD),
            radio=keys.get(KeyPurpose.RADIO),
        )

    def _unbound(self, wrapped: bytes) -> bytes:
        padded = unwrap_key(wrapped, kek=self._master_key)
        return padded[1 : 1 + padded[0]]


def _binding(device: str, purpose: KeyPurpose) -> bytes:
    return f"{purpose}\0{device}".encode()


class Inventory:
    """The devices by identification."""

    def __init__(self) -> None:
        self._devices: dict[str, Device] = {}
        self._by_title: dict[bytes, str] = {}

    def __iter__(self) -> Iterator[Device]:
        """Walk all devices in the order they were put."""
        return iter(self._devices.values())

    def __len__(self) -> int:
        """Count the devices."""
        return len(self._devices)

    def put(self, device: Device) -> None:
        """Add a device, or replace the record of a known one."""
        self._devices[device.device] = device
        if device.system_title:
            self._by_title[device.system_title] = device.device

    def drop(self, device: str) -> None:
        """Forget a device; its title names no device any more."""
        known = self._devices.pop(device, None)
        if known is not None and self._by_title.get(known.system_title) == device:
            del self._by_title[known.system_title]

    def get(self, device: str) -> Device | None:
        """Return a device's record, or None for an unknown device."""
        return self._devices.get(device)

    def of_title(self, system_title: bytes) -> Device | None:
        """Return the device with this system title, or None for an unknown device."""
        device = self._devices.get(self._by_title.get(system_title, ""))
        return device if device is not None and device.system_title == system_title else None
