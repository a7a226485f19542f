"""The head end's inventory records of a district's devices, and the tariffs of its homes."""

from datetime import time
from decimal import Decimal
from typing import Final

from meterspan.analytics.tariff import Band, GasConversion, Tariff, TariffWindow
from meterspan.crypto.mechanisms import Security
from meterspan.engine.links import DeviceProtocol
from meterspan.engine.security import SecurityKeys
from meterspan.head_end.inventory import ChannelPlan, Device, KeyCustody, KeyPurpose
from meterspan.lnap.channel import MBusChannel
from meterspan.meter.electricity import PROFILE_COLUMNS
from meterspan.model.cosem.device import MANAGEMENT_CLIENT
from meterspan.quantities import Commodity
from meterspan.quantities.codes import LOAD_PROFILE
from meterspan.sim.building import AccessPointHost
from meterspan.sim.g1 import SERVER_SAP
from meterspan.sim.homes import ElectricityPoint, RadioPoint, SimulatedHome

__all__ = ["TARIFFS", "access_point_record", "direct_record", "local_record"]

CELL: Final = "G1 cellular"
PERIOD_S: Final = 900

TARIFFS: Final = {
    Commodity.ELECTRICITY: Tariff(
        "Day and night",
        "EUR",
        "kWh",
        (Band("day", Decimal("0.342")), Band("night", Decimal("0.264"))),
        (TariffWindow("night", time(22), time(6)),),
        standing_charge_per_day=Decimal("0.35"),
    ),
    Commodity.GAS: Tariff(
        "Gas",
        "EUR",
        "kWh",
        (Band("all day", Decimal("0.118")),),
        standing_charge_per_day=Decimal("0.41"),
        conversion=GasConversion(Decimal("11.2"), Decimal("0.9524")),
    ),
    Commodity.WATER: Tariff(
        "Water", "EUR", "m3", (Band("all day", Decimal("4.58")),), standing_charge_per_day=Decimal("0.12")
    ),
    Commodity.HEAT: Tariff(
        "District heat", "EUR", "kWh", (Band("all day", Decimal("0.143")),), standing_charge_per_day=Decimal("0.52")
    ),
}


def access_point_record(host: AccessPointHost, number: int, custody: KeyCustody, installed_at: int) -> Device:
    """Return the record of an access point: no readings are due from itself.

    Args:
        host: the access point.
        number: of its building.
        custody: wraps its keys.
        installed_at: UTC seconds.

    """
    return Device(
        host.name,
        Commodity.ELECTRICITY,
        DeviceProtocol.DLMS_WRAPPER,
        f"10.64.{number}.1:4059",
        host.name,
        security=Security.HLS_GMAC,
        client_sap=MANAGEMENT_CLIENT,
        server_sap=SERVER_SAP,
        system_title=host.config.system_title,
        installed_at=installed_at,
        wrapped_keys=_wrapped(host.name, host.keys, custody),
    )


def direct_record(home: SimulatedHome, point: ElectricityPoint, custody: KeyCustody) -> Device:
    """Record an electricity meter that is read over G1 by itself."""
    return Device(
        point.device,
        Commodity.ELECTRICITY,
        DeviceProtocol(point.reach.value),
        f"10.80.{home.number}.{len(point.device)}:4059",
        CELL,
        home.usage_point(Commodity.ELECTRICITY),
        security=Security.HLS_GMAC,
        client_sap=MANAGEMENT_CLIENT,
        server_sap=SERVER_SAP,
        system_title=point.meter.config.system_title,
        channels=tuple(ChannelPlan(obis, PERIOD_S, LOAD_PROFILE) for obis in PROFILE_COLUMNS),
        installed_at=point.installed_at,
        wrapped_keys=_wrapped(point.device, point.keys, custody),
    )


def local_record(
    home: SimulatedHome,
    point: ElectricityPoint | RadioPoint,
    channel: MBusChannel,
    access_point: str,
    custody: KeyCustody,
) -> Device:
    """Return the record of a meter behind an access point: by radio, or through its P1 port.

    Args:
        home: the home of the meter.
        point: the meter.
        channel: its channel at the access point.
        access_point: name of the access point.
        custody: wraps its keys.

    """
    is_radio = isinstance(point, RadioPoint)
    commodity = point.commodity if isinstance(point, RadioPoint) else Commodity.ELECTRICITY
    keys = (_wrapped_radio(point, custody),) if isinstance(point, RadioPoint) else ()
    return Device(
        point.device,
        commodity,
        DeviceProtocol.WMBUS if is_radio else DeviceProtocol.P1,
        access_point,
        access_point,
        home.usage_point(commodity),
        "M" if is_radio else "H1",
        channels=tuple(ChannelPlan(obis, PERIOD_S, channel.profile_name) for obis in channel.meter.registers),
        installed_at=point.installed_at,
        wrapped_keys=keys,
    )


def _wrapped_radio(point: RadioPoint, custody: KeyCustody) -> tuple[KeyPurpose, bytes]:
    return KeyPurpose.RADIO, custody.wrap(point.meter.config.key, point.device, KeyPurpose.RADIO)


def _wrapped(device: str, keys: SecurityKeys, custody: KeyCustody) -> tuple[tuple[KeyPurpose, bytes], ...]:
    return tuple(
        (purpose, custody.wrap(key, device, purpose))
        for purpose, key in (
            (KeyPurpose.GLOBAL_UNICAST, keys.unicast),
            (KeyPurpose.AUTHENTICATION, keys.authentication),
        )
    )
