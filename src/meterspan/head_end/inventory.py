"""The inventory: every device of the head end, its endpoint, the channels due from it and its wrapped keys.

Keys are never stored here in the clear: a device record holds them wrapped (RFC 3394) under the master key, and only
``KeyCustody`` opens them, for one session at a time.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from meterspan.crypto.key_wrap import unwrap_key, wrap_key
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
        wrapped_keys: keys wrapped under the master key, by purpose.

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


@dataclass(frozen=True, slots=True)
class DeviceKeys:
    """A device's keys in the clear, for one session; never shown, never stored."""

    global_unicast: bytes | None = field(default=None, repr=False)
    authentication: bytes | None = field(default=None, repr=False)
    password: bytes | None = field(default=None, repr=False)
    radio: bytes | None = field(default=None, repr=False)


class KeyCustody:
    """Wraps and unwraps keys under the master key (SEC-15: a dump of the inventory holds no key octets).

    Args:
        master_key: 16, 24 or 32 octets, from outside the data directory.

    """

    __slots__ = ("_master_key",)

    def __init__(self, master_key: bytes) -> None:
        if len(master_key) not in (16, 24, 32):
            raise ValueError(f"a master key has 16, 24 or 32 octets, not {len(master_key)}")
        self._master_key = master_key

    def wrap(self, key: bytes) -> bytes:
        """Wrap a key (or a password of any length) for keeping.

        A length octet and zero padding carry passwords that are no multiple of eight octets.
        """
        padded = bytes([len(key)]) + key
        padded += bytes(-len(padded) % 8)
        return wrap_key(padded.ljust(16, b"\x00"), kek=self._master_key)

    def unwrap(self, wrapped: bytes) -> bytes:
        """Open a wrapped key.

        Raises:
            KeyWrongError: the master key is another one, or the wrapping was tampered with.

        """
        padded = unwrap_key(wrapped, kek=self._master_key)
        return padded[1 : 1 + padded[0]]

    def keys_of(self, device: Device) -> DeviceKeys:
        """Open all keys of a device."""
        keys = {purpose: self.unwrap(wrapped) for purpose, wrapped in device.wrapped_keys}
        return DeviceKeys(
            global_unicast=keys.get(KeyPurpose.GLOBAL_UNICAST),
            authentication=keys.get(KeyPurpose.AUTHENTICATION),
            password=keys.get(KeyPurpose.PASSWORD),
            radio=keys.get(KeyPurpose.RADIO),
        )


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

    def get(self, device: str) -> Device | None:
        """Return a device's record, or None for an unknown device."""
        return self._devices.get(device)

    def of_title(self, system_title: bytes) -> Device | None:
        """Return the device with this system title, or None for an unknown device."""
        device = self._devices.get(self._by_title.get(system_title, ""))
        return device if device is not None and device.system_title == system_title else None
