"""Installations and exchanges as they are asked for, and the registers that people read at them.

A register that was given is kept as [integer, exponent, unit symbol] by its OBIS text, in the unit that its quantity is
stored in; one that no meter can show is refused before anything is written.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Self

from meterspan.mdm.chains import MAX_STEPS
from meterspan.mdm.channels import canonical, step_fault
from meterspan.model.lookup_errors import RatioError, RegisterError
from meterspan.model.storage.registry import DeviceRow, InstallationRow, UsagePointRow
from meterspan.quantities import UNITS, Commodity, Obis, Scaled, parse_obis, parse_unit, utc_seconds

__all__ = [
    "Exchange",
    "MeterInstallation",
    "fault_of_given",
    "given",
    "given_ratio",
    "given_widths",
    "independent",
    "possible_registers",
]

RATIO_MAX = 1_000_000
"""More than current and voltage transformers make together: 1,000 A to 1 A and 100 kV to 100 V are a million."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One device takes the place of another.

    Attributes:
        usage_point: where.
        at: aware instant.
        old_device: the device that leaves, with its ``closing`` registers.
        new_device: the new device, with its ``opening`` registers.
        width: steps after which a register of the new device restarts at 0, by OBIS; None: as of the old device.
        protocol: of the new device; None here and below: as the old one.
        interface: of the new device.
        network: the access point or segment that it hangs on.

    """

    usage_point: str
    at: datetime
    old_device: str
    closing: Mapping[Obis, Scaled]
    new_device: str
    opening: Mapping[Obis, Scaled]
    width: Mapping[Obis, int] | None = None
    protocol: str | None = None
    interface: str | None = None
    network: str | None = None

    @property
    def time(self) -> int:
        """UTC seconds of the exchange."""
        return utc_seconds(self.at)

    def device_after(self, old: DeviceRow) -> DeviceRow:
        """Return the row of the new device, with the fields taken from the old one."""
        return DeviceRow(
            self.new_device,
            old.commodity,
            old.protocol if self.protocol is None else self.protocol,
            old.interface if self.interface is None else self.interface,
            old.network if self.network is None else self.network,
        )


@dataclass(frozen=True, slots=True)
class MeterInstallation:
    """A device that is installed at a usage point.

    Attributes:
        point: the usage point with its home; made where it is new.
        device: the device.
        installation: from when to when, with opening registers.

    """

    point: UsagePointRow
    device: DeviceRow
    installation: InstallationRow

    @classmethod
    def of(
        cls,
        home_id: str,
        usage_point: str,
        *,
        device: str,
        commodity: Commodity,
        at: datetime,
        opening: Mapping[Obis, Scaled] | None = None,
        period_s: int = 900,
        register_width: Mapping[Obis, int] | None = None,
        multiplier: int = 1,
        protocol: str = "",
        interface: str = "",
        network: str = "",
    ) -> Self:
        """Describe the installation of a device from ``at`` on.

        Args:
            home_id: a registered home.
            usage_point: where the supply is measured.
            device: identification of the meter, as in ``CaptureBlock.device``.
            commodity: the supply.
            at: aware instant of the installation.
            opening: registers at that instant.
            period_s: grid of the usage point's intervals, in seconds.
            register_width: steps (of the series) after which a register restarts at 0, by OBIS.
            multiplier: transformer ratio.
            protocol: its protocol, for the operator.
            interface: its interface: G1, M, H1.
            network: the access point or segment that it hangs on.

        Raises:
            RegisterError: no meter has this opening value or this width.
            RatioError: the transformer ratio is not positive, or greater than any.

        """
        width, registers = given_widths(device, register_width or {}), given(device, opening)
        ratio = given_ratio(device, multiplier)
        return cls(
            UsagePointRow(usage_point, home_id, str(commodity), period_s),
            DeviceRow(device, str(commodity), protocol, interface, network),
            InstallationRow(usage_point, device, utc_seconds(at), None, ratio, registers, {}, width),
        )

    def with_opening(self, opening: Mapping[Obis, Scaled]) -> Self:
        """Return the installation with the device's registers at its start; raises ``RegisterError``."""
        registers = given(self.device.device, opening)
        return replace(self, installation=replace(self.installation, opening=registers))

    @property
    def opening(self) -> dict[Obis, Scaled]:
        """The device's registers at its start, where they are given."""
        return {
            parse_obis(name): Scaled(value, exponent, parse_unit(unit)[0])
            for name, (value, exponent, unit) in self.installation.opening.items()
        }


def independent(wanted: Sequence[MeterInstallation]) -> list[list[MeterInstallation]]:
    """Split installations into groups in which no home, usage point or device is named twice, in their order."""
    groups: list[list[MeterInstallation]] = []
    following: dict[tuple[str, str], int] = {}
    for item in wanted:
        names = ("home", item.point.home_id), ("point", item.point.usage_point), ("device", item.device.device)
        number = max(following.get(name, 0) for name in names)
        following |= dict.fromkeys(names, number + 1)
        if number == len(groups):
            groups.append([])
        groups[number].append(item)
    return groups


def given(device: str, registers: Mapping[Obis, Scaled] | None) -> dict[str, list[object]]:
    """Write registers as an installation row keeps them: OBIS text to [integer, exponent, unit symbol].

    Raises:
        RegisterError: an integer is too great, or the step is one that no meter counts in.

    """
    written: dict[str, list[object]] = {}
    for obis, scaled in (registers or {}).items():
        unit, exponent = canonical(scaled.unit, scaled.exponent)
        fault = fault_of_given([scaled.value, exponent, unit.symbol])
        if fault:
            raise RegisterError(device, str(obis), fault)
        written[str(obis)] = [scaled.value, exponent, unit.symbol]
    return written


def possible_registers(registers: Mapping[Obis, Scaled]) -> dict[Obis, Scaled]:
    """Return those registers that can be given as opening or closing value."""
    possible = {}
    for obis, scaled in registers.items():
        unit, exponent = canonical(scaled.unit, scaled.exponent)
        if not fault_of_given([scaled.value, exponent, unit.symbol]):
            possible[obis] = scaled
    return possible


def given_widths(device: str, widths: Mapping[Obis, int]) -> dict[str, int]:
    """Write the widths of registers as an installation row keeps them.

    Raises:
        RegisterError: a width is not positive, or wider than any meter's register.

    """
    for obis, steps in widths.items():
        if not 0 < steps <= MAX_STEPS:
            raise RegisterError(device, str(obis), f"it cannot begin anew after {steps} steps")
    return {str(obis): steps for obis, steps in widths.items()}


def given_ratio(device: str, multiplier: int) -> int:
    """Return a transformer ratio; raises ``RatioError`` where it is not positive, or greater than any."""
    if not 0 < multiplier <= RATIO_MAX:
        raise RatioError(device, multiplier)
    return multiplier


def fault_of_given(kept: Sequence[Any]) -> str:
    """Return why a given register cannot be counted with; "" where it can."""
    try:
        value, exponent, unit = kept
        if abs(value) > MAX_STEPS:
            return f"{value} is more than any meter counts"
        if unit not in UNITS:
            return f"{unit} is no unit of a register"
        return str(step_fault(unit, exponent) or "")
    except (TypeError, ValueError):
        return f"{kept} is no integer with exponent and unit"
