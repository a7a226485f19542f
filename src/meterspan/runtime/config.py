"""The configuration of ``meterspan serve``: one frozen dataclass per part, a line of text per field.

This table feeds the reader, ``serve --print-config``, the documentation and the tests. What the types cannot express is
checked by ``read_config``: names that refer to each other, keys, endpoints, time zones.
"""

# ruff: noqa: RUF009 - option() returns dataclass fields, as field() does

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from meterspan.crypto.mechanisms import Security
from meterspan.engine.links import NETWORK_TRANSPORTS, TRANSPORTS, DeviceProtocol
from meterspan.model.cosem.scaler_unit import ScalerUnit
from meterspan.model.identity import parse_system_title
from meterspan.model.names import name_fault
from meterspan.quantities import CATALOGUE, Commodity, Obis, Scaled, parse_obis, parse_unit
from meterspan.quantities.registers import register_fault
from meterspan.runtime.declared import Partly, option, read_partly
from meterspan.runtime.endpoints import LOOPBACK, Endpoint, EndpointError, is_loopback, parse_transport
from meterspan.store.databases import parse_database_url
from meterspan.wire.xdlms import CaptureObjectDefinition

__all__ = [
    "PORT_MAX",
    "VIA",
    "AccessPointEntry",
    "ExchangeEntry",
    "HomeEntry",
    "MeterEntry",
    "NetworkEntry",
    "PortalOptions",
    "PushOptions",
    "ReadingOptions",
    "ServeConfig",
    "channels_of",
    "check_config",
    "check_meter",
    "place_of",
    "protocol_of",
    "push_objects_of",
    "push_places_of",
    "read_config",
    "registers_of",
    "usage_point_of",
]

PORT_MAX: Final = 65_535
ADDRESS_MAX: Final = 65_535
REGISTER_EXPONENT_MAX: Final = 9
INSTANT_MAX: Final = 13_569_465_600
"""The year 2400, UTC seconds; the first instant is that of 1970."""
VIA: Final = "via:"
"""An endpoint that begins so is the access point behind which a meter is read."""


@dataclass(frozen=True, slots=True)
class PortalOptions:
    """Where people look."""

    host: str = option("Address to listen at; 127.0.0.1 admits only this machine.", default=LOOPBACK)
    port: int = option("TCP port; 0 takes a free one.", default=8080, least=0, most=PORT_MAX)
    names: tuple[str, ...] = option(
        "Host names under which browsers may ask, beside this machine's own.", default=(), example=("meters.example",)
    )
    insecure_without_login: bool = option(
        "Serve other machines although the portal asks nobody for a password; put a proxy with log-in before it.",
        default=False,
    )


@dataclass(frozen=True, slots=True)
class PushOptions:
    """Where access points and meters push to."""

    host: str = option("Address to listen at.", default=LOOPBACK)
    port: int = option(
        "TCP port for DataNotifications in the wrapper; 0 takes a free one.", default=4060, least=0, most=PORT_MAX
    )
    places: tuple[str, ...] = option(
        "Further places for pushes: in the wrapper over UDP, or in UI frames of HDLC behind a converter.",
        default=(),
        example=("udp://127.0.0.1:4060", "hdlc+tcp://127.0.0.1:4061"),
    )
    connections_max: int = option(
        "Incoming connections open at once, within a quarter of the files that may be open.", default=5_000, least=1
    )


@dataclass(frozen=True, slots=True)
class ReadingOptions:
    """When meters are read."""

    every_s: int = option("Seconds between scheduled readings of one meter.", default=3_600, least=1)
    spread_s: int = option("Meters are spread over so many seconds after the mark.", default=600, least=0)
    settle_s: int = option("Values younger than this are not asked for yet.", default=60, least=0)
    retry_first_s: float = option(
        "Wait after the first failure; it doubles with each further one.", default=30.0, least=0.1
    )
    retry_max_s: float = option("The longest wait between two tries.", default=3_600.0, least=0.1)
    connect_timeout_s: float = option("Time allowed to open a connection, in seconds.", default=10.0, least=0.1)
    sessions_max: int = option("Sessions open at once, over all networks.", default=2_000, least=1)
    clock_set_max_s: float = option(
        "A meter's clock is moved by so many seconds a day at most; what is further off raises an alarm.",
        default=3_600.0,
        least=0.0,
    )


@dataclass(frozen=True, slots=True)
class NetworkEntry:
    """One network segment with its own limits."""

    name: str = option("Name, as meters give it under network.", example="cell")
    sessions_max: int = option("Sessions open at once in this segment.", default=1_000, least=1)
    starts_per_s_max: float = option("New sessions per second.", default=500.0, least=0.001)


@dataclass(frozen=True, slots=True)
class HomeEntry:
    """One consumer's premises."""

    id: str = option("Short name, part of its address in the portal.", example="home-1")
    name: str = option("Name that people read.", default="", example="Lindenstraße 12")
    zone: str = option("IANA time zone; the zone above by default.", default="", example="Europe/Berlin")
    currency: str = option("Currency of its tariffs, ISO 4217.", default="EUR")


@dataclass(frozen=True, slots=True)
class AccessPointEntry:
    """One access point (LNAP): meters behind it name it as their endpoint."""

    device: str = option("COSEM logical device name.", example="MSPLNAP000001")
    system_title: str = option("Its system title: 16 hexadecimal digits.", example="4D53504C00000001")
    endpoint: str = option(
        "Where it is read; without one it only pushes.", default="", example="tcp://192.168.1.9:4059"
    )
    network: str = option("Network segment whose limits it shares.", default="cell")
    client: int = option("Client address of the head end.", default=1, least=0, most=ADDRESS_MAX)
    server: int = option("Logical device to read.", default=1, least=0, most=ADDRESS_MAX)


@dataclass(frozen=True, slots=True)
class MeterEntry:
    """One meter."""

    device: str = option("Logical device name, or manufacturer-number-medium of M-Bus.", example="MSP10000000042")
    home: str = option("The home that it measures for.", example="home-1")
    endpoint: str = option(
        f'{", ".join(f"{scheme}://host:port" for scheme in NETWORK_TRANSPORTS)}, or via:ACCESS-POINT; "" for a meter'
        " that only pushes.",
        example="tcp://192.168.1.50:4059",
    )
    commodity: Commodity = option("electricity, gas, water or heat.", default=Commodity.ELECTRICITY)
    usage_point: str = option(
        "Where it measures; the home with the commodity's letter by default.", default="", example="DE-0001-E"
    )
    network: str = option("Network segment whose limits it shares.", default="cell")
    security: Security = option(f"How its association is protected: {', '.join(Security)}.", default=Security.HLS_GMAC)
    client: int = option("Client address of the head end.", default=1, least=0, most=ADDRESS_MAX)
    server: int = option("Logical device to read.", default=1, least=0, most=ADDRESS_MAX)
    system_title: str = option(
        "System title where the meter pushes itself: 16 hexadecimal digits.", default="", example="4D5350000000002A"
    )
    channels: tuple[str, ...] = option(
        "OBIS codes due from it; the supply's own registers by default.", default=(), example=("1-0:1.8.0", "1-0:2.8.0")
    )
    profile: str = option(
        "Load profile that captures them; by default the meter's, or its channel's.", default="", example="1-0:99.1.0"
    )
    mbus_channel: int = option("Its channel at the access point, from 1.", default=0, example=1, least=0, most=255)
    push_objects: tuple[str, ...] = option(
        "Where it pushes plain values: class/OBIS/attribute of each, in order, and the unit of a number; by default as"
        " its pushes or its push setup say.",
        default=(),
        example=("8/0-0:1.0.0/2", "3/1-0:1.8.0/2 Wh"),
    )
    insecure_plain_pushes: bool = option(
        "Also take its pushes without protection, which anybody can forge; its name, 0-0:42.0.0, must be in them.",
        default=False,
    )
    period_s: int = option("Capture period, seconds.", default=900)
    installed_at: datetime | None = option(
        "Start of the values due; by default the first start's day, from midnight in the home's zone.",
        default=None,
        example=datetime(2026, 10, 25, tzinfo=UTC),
    )
    tariff: str = option("Name of its tariff in the tariff file.", default="", example="Day and night")


@dataclass(frozen=True, slots=True)
class ExchangeEntry:
    """One meter that took the place of another; it stays in the configuration, and is done once."""

    old: str = option("The meter that left; it has no entry any more.", example="MSP10000000041")
    new: str = option("The meter that took its place; its entry is under [[meters]].", example="MSP10000000042")
    at: datetime = option("When.", example=datetime(2026, 11, 21, 9, 30, tzinfo=UTC))
    closing: tuple[str, ...] = option(
        "Last registers of the old meter: OBIS code, value, unit; without them the energy since its last reading is"
        " not known.",
        default=(),
        example=("1-0:1.8.0 6504.555 kWh",),
    )
    opening: tuple[str, ...] = option(
        "First registers of the new meter.", default=(), example=("1-0:1.8.0 0 kWh", "1-0:2.8.0 0 kWh")
    )


@dataclass(frozen=True, slots=True)
class ServeConfig:
    """A whole head end with its data management and portal."""

    data: Path = option(
        "Folder of readings and state; made where it does not exist.", example=Path("/var/lib/meterspan")
    )
    zone: str = option("IANA time zone of homes and of meters whose clocks send no deviation.", default="Europe/Berlin")
    keys: Path | None = option(
        "Key file (TOML, mode 0600) with the keys of meters; needed until they are in the inventory.",
        default=None,
        example=Path("keys.toml"),
    )
    master_key_file: Path | None = option(
        "File of the master key under which keys are kept, outside the data folder.",
        default=None,
        example=Path("/etc/meterspan/master.key"),
    )
    registry: str = option(
        "URL of the PostgreSQL database that holds the registry; by default it is an SQLite file in the data folder.",
        default="",
        example="postgresql+psycopg://meterspan@db.example/meterspan",
    )
    tariffs: Path | None = option("Tariff file (TOML).", default=None, example=Path("tariffs.toml"))
    system_title: str = option("System title of the head end: 16 hexadecimal digits.", default="4D53504800000001")
    portal: PortalOptions = option("The portal: consumer and operator pages, JSON interface", default=PortalOptions())
    push: PushOptions = option("The port for pushes", default=PushOptions())
    reading: ReadingOptions = option("When meters are read", default=ReadingOptions())
    networks: tuple[NetworkEntry, ...] = option("Network segments with limits of their own; repeat", default=())
    homes: tuple[HomeEntry, ...] = option("Homes; repeat for each", default=())
    access_points: tuple[AccessPointEntry, ...] = option("Access points; repeat for each", default=())
    meters: tuple[MeterEntry, ...] = option("Meters; repeat for each", default=())
    exchanges: tuple[ExchangeEntry, ...] = option("Exchanges of meters; repeat for each", default=())


def read_config(text: str) -> ServeConfig:
    """Read and check a configuration.

    Raises:
        ConfigError: everything that is wrong, with lines where they are known.

    """
    return check_config(text).required()


def check_config(text: str) -> Partly[ServeConfig]:
    """Read and check a configuration as far as it can be read; its types and what they cannot express, in one pass."""
    found = read_partly(ServeConfig, text)
    return found if found.value is None else found.with_faults(_check(found.value))


def check_meter(entry: MeterEntry, config: ServeConfig) -> list[tuple[str, str]]:
    """Return what is wrong with one meter of a configuration, as field and sentence."""
    points = {point.device for point in config.access_points}
    faults = [] if entry.home in {home.id for home in config.homes} else [("home", _no_home(entry))]
    return [*faults, *((name.removeprefix("."), text) for name, text in _meter("", entry, points))]


def registers_of(texts: Iterable[str], commodity: Commodity | None = None) -> dict[Obis, Scaled]:
    """Return registers that are written like ``1-0:1.8.0 6504.555 kWh``, each one once.

    Args:
        texts: the registers of one meter.
        commodity: what it measures; None where that is not known.

    Raises:
        ValueError: one is not an OBIS code, a number and a unit, no such meter has it, or it is there twice.

    """
    found: dict[Obis, Scaled] = {}
    for text in texts:
        obis, shown = _register(text)
        fault = f"{obis} is there twice" if obis in found else register_fault(obis, shown, commodity)
        if fault:
            raise ValueError(fault)
        found[obis] = shown
    return found


def _register(text: str) -> tuple[Obis, Scaled]:
    try:
        code, number, symbol = text.split()
        value, exponent = _digits(number)
        unit, scale = parse_unit(symbol)
        return parse_obis(code), Scaled(value, exponent + scale, unit)
    except (ValueError, ArithmeticError) as error:
        raise ValueError(f"{text!r} is not an OBIS code, a value and a unit, like 1-0:1.8.0 6504.555 kWh") from error


def _digits(number: str) -> tuple[int, int]:
    """Return a decimal number as an integer and a power of ten."""
    sign, digits, exponent = Decimal(number).as_tuple()
    if not isinstance(exponent, int) or not -REGISTER_EXPONENT_MAX <= exponent <= REGISTER_EXPONENT_MAX:
        raise ValueError(number)
    return int("".join(map(str, digits))) * (-1 if sign else 1), exponent


def channels_of(meter: MeterEntry) -> tuple[tuple[Obis, ...], Obis]:
    """Return the OBIS codes due from a meter, and the profile that captures them."""
    supply = CATALOGUE[meter.commodity]
    names = tuple(parse_obis(text) for text in meter.channels) or tuple(supply.registers.values())
    if meter.profile:
        return names, parse_obis(meter.profile)
    if meter.endpoint.startswith(VIA):
        return names, Obis(0, meter.mbus_channel, 24, 3, 0)
    return names, supply.profile


def usage_point_of(meter: MeterEntry) -> str:
    """Return where a meter measures: as it says, or the home with the commodity's letter."""
    return meter.usage_point or f"{meter.home}-{CATALOGUE[meter.commodity].letter}"


def protocol_of(endpoint: str) -> DeviceProtocol:
    """Return how a meter at an endpoint is read; of one that only pushes, how it would be."""
    transport = TRANSPORTS.get(endpoint.partition("://")[0])
    return DeviceProtocol.DLMS_WRAPPER if transport is None else transport.protocol


def push_objects_of(meter: MeterEntry) -> tuple[tuple[CaptureObjectDefinition, ...], dict[Obis, ScalerUnit]]:
    """Return the push object list that is given for a meter, and the scales that are given in it.

    Raises:
        ValueError: an entry is not class/OBIS/attribute with a unit behind it or none.

    """
    found = [_push_object(text) for text in meter.push_objects]
    scales = {of.instance: scale for of, scale in found if scale is not None}
    return tuple(of for of, _ in found), scales


def push_places_of(options: PushOptions) -> tuple[Endpoint, ...]:
    """Return where pushes are taken.

    Raises:
        EndpointError: a place is not one of a transport of pushes.

    """
    first = Endpoint("tcp", options.host, options.port)
    return (first, *(parse_transport(text, NETWORK_TRANSPORTS, is_own=True) for text in options.places))


def _push_object(text: str) -> tuple[CaptureObjectDefinition, ScalerUnit | None]:
    attribute, _, symbol = text.strip().partition(" ")
    match attribute.split("/"):
        case [class_id, name, number]:
            of = CaptureObjectDefinition(int(class_id), parse_obis(name), int(number))
        case _:
            raise ValueError(f"{text!r} is not class/OBIS/attribute, like 3/1-0:1.8.0/2")
    if not symbol:
        return of, None
    unit, exponent = parse_unit(symbol)
    return of, ScalerUnit(exponent, unit)


def place_of(endpoint: str) -> str:
    """Return ``host:port`` of an endpoint, as the inventory keeps it; "" for a device that only pushes.

    Raises:
        EndpointError: it is no endpoint of a transport that sessions are held over.

    """
    return parse_transport(endpoint, NETWORK_TRANSPORTS).place if endpoint else ""


def _check(config: ServeConfig) -> Iterator[tuple[str, str]]:
    yield from _zone("zone", config.zone)
    yield from _title("system_title", config.system_title)
    yield from _registry(config.registry)
    if not (is_loopback(config.portal.host) or config.portal.insecure_without_login):
        what = f"{config.portal.host} lets other machines in, and the portal has no log-in"
        remedy = f"listen at {LOOPBACK} behind a proxy with log-in, or set portal.insecure_without_login = true"
        yield "portal.host", f"{what}; {remedy}"
    try:
        push_places_of(config.push)
    except EndpointError as error:
        yield "push.places", str(error)
    homes: set[str] = set()
    points = {point.device for point in config.access_points}
    for index, home in enumerate(config.homes):
        if home.id in homes and home.id:
            yield f"homes[{index}].id", f"is {home.id!r}, as another home's: every home has an id of its own"
        homes.add(home.id)
    yield from _names(config)
    for index, home in enumerate(config.homes):
        if home.zone:
            yield from _zone(f"homes[{index}].zone", home.zone)
    for index, access_point in enumerate(config.access_points):
        yield from _title(f"access_points[{index}].system_title", access_point.system_title)
        if access_point.endpoint:
            yield from _endpoint(f"access_points[{index}].endpoint", access_point.endpoint)
    yield from _declared_twice(config)
    for index, meter in enumerate(config.meters):
        where = f"meters[{index}] ({meter.device})"
        if meter.home not in homes:
            yield f"{where}.home", _no_home(meter)
        yield from _meter(where, meter, points)
    yield from _places(config)
    yield from _exchanges(config)


def _declared_twice(config: ServeConfig) -> Iterator[tuple[str, str]]:
    """Find the entries of devices that have one already."""
    named = [(f"access_points[{index}].device", point.device) for index, point in enumerate(config.access_points)]
    named += [(f"meters[{index}].device", meter.device) for index, meter in enumerate(config.meters)]
    first: dict[str, str] = {}
    for place, device in named:
        if first.setdefault(device, place) != place:
            yield place, f"{device} is declared twice, first in {first[device]}; every device has one entry"


def _names(config: ServeConfig) -> Iterator[tuple[str, str]]:
    """Find the names that addresses and file names cannot hold."""
    given = [(f"networks[{index}].name", entry.name) for index, entry in enumerate(config.networks)]
    given += [(f"homes[{index}].id", entry.id) for index, entry in enumerate(config.homes)]
    for index, point in enumerate(config.access_points):
        given += [(f"access_points[{index}].device", point.device), (f"access_points[{index}].network", point.network)]
    for name, text in given:
        if fault := name_fault(text):
            yield name, fault


def _no_home(meter: MeterEntry) -> str:
    return f"there is no home {meter.home!r}; declare it under [[homes]]"


def _places(config: ServeConfig) -> Iterator[tuple[str, str]]:
    """Find usage points that two meters have."""
    first: dict[str, str] = {}
    for index, meter in enumerate(config.meters):
        point = usage_point_of(meter)
        if point in first:
            what = f"{first[point]} measures at {point} already; one meter is at a usage point, or name it an exchange"
            yield f"meters[{index}] ({meter.device}).home", what
        elif meter.home:
            first[point] = meter.device


def _exchanges(config: ServeConfig) -> Iterator[tuple[str, str]]:
    declared = {meter.device: meter.commodity for meter in config.meters}
    for index, entry in enumerate(config.exchanges):
        where = f"exchanges[{index}]"
        later = {other.old for other in config.exchanges}
        if entry.old == entry.new:
            yield f"{where}.new", "is the meter that left"
        elif entry.new not in declared.keys() | later:
            yield f"{where}.new", f"there is no meter {entry.new!r}; declare it under [[meters]]"
        yield from _instant(f"{where}.at", entry.at)
        if entry.old in declared:
            yield f"{where}.old", f"{entry.old} has left; take its entry out of [[meters]]"
        for name in ("closing", "opening"):
            try:
                registers_of(getattr(entry, name), declared.get(entry.new))
            except ValueError as error:
                yield f"{where}.{name}", str(error)


def _registry(url: str) -> Iterator[tuple[str, str]]:
    if url:
        try:
            parse_database_url(url)
        except ValueError as error:
            yield "registry", str(error)


def _meter(where: str, meter: MeterEntry, points: set[str]) -> Iterator[tuple[str, str]]:
    for name in ("device", "usage_point", "network"):
        text = getattr(meter, name)
        if fault := name_fault(text) if text or name == "network" else "":
            yield f"{where}.{name}", fault
    if meter.endpoint.startswith(VIA):
        if meter.endpoint.removeprefix(VIA) not in points:
            yield (
                f"{where}.endpoint",
                f"there is no such access point; declare it under [[access_points]]: {points or ''}",
            )
        if not meter.mbus_channel and not meter.profile:
            yield f"{where}.mbus_channel", "say which channel of the access point it is, from 1"
    elif meter.endpoint:
        yield from _endpoint(f"{where}.endpoint", meter.endpoint)
    elif not meter.system_title:
        yield f"{where}.endpoint", "say where it is read, or under which system_title it pushes"
    if meter.system_title:
        yield from _title(f"{where}.system_title", meter.system_title)
    if meter.period_s <= 0 or 86_400 % meter.period_s:
        yield f"{where}.period_s", f"{meter.period_s} s does not divide a day"
    if meter.installed_at is not None:
        yield from _instant(f"{where}.installed_at", meter.installed_at)
    for text in (*meter.channels, *([meter.profile] if meter.profile else [])):
        try:
            parse_obis(text)
        except ValueError as error:
            yield f"{where}.channels", str(error)
    try:
        push_objects_of(meter)
    except ValueError as error:
        yield f"{where}.push_objects", str(error)


def _instant(where: str, moment: datetime) -> Iterator[tuple[str, str]]:
    if not 0 <= moment.timestamp() <= INSTANT_MAX:
        yield where, f"{moment.isoformat()} is no time at which a meter was installed"


def _endpoint(where: str, text: str) -> Iterator[tuple[str, str]]:
    try:
        place_of(text)
    except EndpointError as error:
        yield where, str(error)


def _zone(where: str, name: str) -> Iterator[tuple[str, str]]:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        yield where, f"{name!r} is no time zone; write an IANA name like Europe/Berlin"


def _title(where: str, digits: str) -> Iterator[tuple[str, str]]:
    try:
        parse_system_title(digits)
    except ValueError as error:
        yield where, str(error)
