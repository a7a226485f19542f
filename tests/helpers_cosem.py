"""A small meter behind an association, keys under which it talks, and both links to reach it."""

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from meterspan.engine.association.agreement import Agreement
from meterspan.engine.association.client import ClientAssociation
from meterspan.engine.association.dispatch import Dispatcher
from meterspan.engine.association.records import Action, AssociationSettings, Get, Set
from meterspan.engine.association.server import ServerAssociation
from meterspan.engine.links import TRANSPORTS, LinkAddresses
from meterspan.engine.security import SecurityContext, SecurityKeys
from meterspan.model.cosem.access import AttributeAccess
from meterspan.model.cosem.classes import Clock, DataObject, DisconnectControl, Register
from meterspan.model.cosem.declaration import DataKind, InterfaceClass, Method
from meterspan.model.cosem.device import (
    CURRENT_ASSOCIATION,
    MANAGEMENT_CLIENT,
    PUBLIC_CLIENT,
    SERVER_CONFORMANCE,
    AssociationDefinition,
    Grant,
    LogicalDevice,
    sap_assignment,
)
from meterspan.model.cosem.objects import ActionRefusedError, CosemObject, scaler_unit
from meterspan.model.cosem.profile import CLOCK_COLUMN, profile_object
from meterspan.quantities import UNITS, ClockTime, Obis, Scaled
from meterspan.wire.acse import ApplicationContext, AuthenticationMechanism
from meterspan.wire.axdr import (
    Data,
    clock,
    double_long_unsigned,
    null,
    octet_string,
    unsigned,
    visible_string,
)
from meterspan.wire.xdlms import (
    ActionRequestNormal,
    ActionResult,
    CaptureObjectDefinition,
    CosemAttributeDescriptor,
    CosemMethodDescriptor,
    DataAccessResult,
    GetRequestNormal,
    InvokeIdAndPriority,
    SetRequestNormal,
)
from tests.helpers_wire import Pair

METER_TITLE = b"MSP\x00\x00\x00\x00\x01"
CLIENT_TITLE = b"HES\x00\x00\x00\x00\x02"
KEYS = SecurityKeys(bytes(range(16)), bytes(range(0xD0, 0xE0)), broadcast=bytes(range(0x40, 0x50)))
PASSWORD = b"open sesame"
READER_CLIENT = 2
DIGEST_CLIENT = 3
GMAC_CLEAR_CLIENT = 4

ENERGY = Obis(1, 0, 1, 8, 0)
EXPORT = Obis(1, 0, 2, 8, 0)
NOTE = Obis(0, 0, 96, 13, 0)
SERIAL = Obis(0, 0, 96, 1, 0)
COUNTER = Obis(0, 0, 43, 1, 0)
CLOCK = Obis(0, 0, 1, 0, 0)
PROFILE = Obis(1, 0, 99, 1, 0)
SWITCH = Obis(0, 0, 96, 3, 10)
ECHO = Obis(0, 0, 96, 50, 0)
START = datetime(2026, 3, 1, tzinfo=UTC)
ROWS = 200


class MemoryCounters:
    """A counter store without a disk."""

    def __init__(self, start=1):
        self.start = start
        self.sent = {}
        self.received = {}
        self.writes = 0

    def reserve(self, name, count):
        first = self.sent.get(name, self.start)
        self.sent[name] = first + count
        self.writes += 1
        return first

    def accept(self, name, value):
        if value <= self.received.get(name, 0):
            return False
        self.received[name] = value
        return True

    def accepted(self, name):
        return self.received.get(name, 0)


def entropy(seed=b"entropy"):
    """Octets that look random and are the same in every run."""
    state = [hashlib.sha256(seed).digest()]

    def take(size):
        octets = b""
        while len(octets) < size:
            state[0] = hashlib.sha256(state[0]).digest()
            octets += state[0]
        return octets[:size]

    return take


@dataclass
class ProfileBuffer:
    """A profile's rows in memory."""

    times: list = field(default_factory=list)
    rows: list = field(default_factory=list)

    @classmethod
    def of(cls, count):
        times = [START + timedelta(minutes=15 * (index + 1)) for index in range(count)]
        rows = [
            (
                clock(ClockTime.of(moment)),
                unsigned(8 if index == 3 else 0),
                double_long_unsigned(100_000 + 25 * index),
                double_long_unsigned(7 * index),
            )
            for index, moment in enumerate(times)
        ]
        return cls([int(moment.timestamp()) for moment in times], rows)

    def __len__(self):
        return len(self.rows)

    def entries(self, first, last):
        return self.rows[first - 1 : last]

    def between(self, start, end):
        return [row for time, row in zip(self.times, self.rows, strict=True) if start <= time <= end]


COLUMNS = (
    CLOCK_COLUMN,
    CaptureObjectDefinition(1, Obis(0, 0, 96, 10, 1), 2),
    CaptureObjectDefinition(3, ENERGY, 2),
    CaptureObjectDefinition(3, EXPORT, 2),
)


class Echo(InterfaceClass, class_id=8_192):
    """A class of our own whose method returns its parameter, whatever type it has."""

    echo = Method(1, DataKind.CHOICE)


class TestMeter:
    """The logical device and what its methods touch."""

    __test__ = False

    def __init__(self, rows=ROWS):
        self.note = visible_string("hello")
        self.clock_shift_s = 0
        self.connected = True
        self.buffer = ProfileBuffer.of(rows)
        self.counters = MemoryCounters()
        self.last_counter = lambda: 0
        note = Grant(logical_name=NOTE, attributes={DataObject.value: AttributeAccess.AUTHENTICATED_READ_AND_WRITE})
        everything = (note, Grant(write=True, invoke=True))
        public = (Grant(logical_name=SERIAL), Grant(logical_name=COUNTER), Grant(logical_name=Obis(0, 0, 41, 0, 0)))
        reader = (
            Grant(logical_name=NOTE, attributes={DataObject.value: AttributeAccess.AUTHENTICATED_READ_ONLY}),
            Grant(),
        )
        self.device = LogicalDevice(
            1,
            "MSP0000000000001",
            objects=self._objects(),
            associations=[
                AssociationDefinition(PUBLIC_CLIENT, CURRENT_ASSOCIATION, public),
                AssociationDefinition(
                    READER_CLIENT, Obis(0, 0, 40, 0, 2), reader, AuthenticationMechanism.LLS, PASSWORD
                ),
                AssociationDefinition(
                    DIGEST_CLIENT, Obis(0, 0, 40, 0, 3), reader, AuthenticationMechanism.HLS_SHA1, PASSWORD
                ),
                AssociationDefinition(
                    GMAC_CLEAR_CLIENT, Obis(0, 0, 40, 0, 4), reader, AuthenticationMechanism.HLS_GMAC
                ),
                AssociationDefinition(
                    MANAGEMENT_CLIENT,
                    Obis(0, 0, 40, 0, 1),
                    everything,
                    AuthenticationMechanism.HLS_GMAC,
                    ciphered=True,
                ),
            ],
        )
        self.device.add(sap_assignment([self.device]))

    def security(self, definition=None):
        return SecurityContext(METER_TITLE, KEYS, counters=self.counters)

    def _objects(self):
        energy_unit = scaler_unit(Scaled(0, 0, UNITS["Wh"]))
        return [
            CosemObject(DataObject, SERIAL, {DataObject.value: octet_string(b"00000001")}),
            CosemObject(
                DataObject, COUNTER, {DataObject.value: lambda now: double_long_unsigned(max(0, self.last_counter()))}
            ),
            CosemObject(
                DataObject, NOTE, {DataObject.value: lambda now: self.note}, {DataObject.value: self._set_note}
            ),
            CosemObject(
                Register, ENERGY, {Register.value: double_long_unsigned(123_456), Register.scaler_unit: energy_unit}
            ),
            CosemObject(
                Register, EXPORT, {Register.value: double_long_unsigned(789), Register.scaler_unit: energy_unit}
            ),
            CosemObject(
                Clock,
                CLOCK,
                {
                    Clock.time: self._time,
                    Clock.time_zone: -60,
                    Clock.status: 0,
                    Clock.daylight_savings_enabled: False,
                    Clock.clock_base: 1,
                },
                {Clock.time: self._set_time},
                {Clock.shift_time: self._shift_time},
            ),
            profile_object(PROFILE, COLUMNS, self.buffer, capacity=1_000, period_s=900),
            CosemObject(
                DisconnectControl,
                SWITCH,
                {
                    DisconnectControl.output_state: lambda now: self.connected,
                    DisconnectControl.control_state: 1,
                    DisconnectControl.control_mode: 2,
                },
                {},
                {DisconnectControl.remote_disconnect: self._disconnect, DisconnectControl.remote_reconnect: self._echo},
            ),
            CosemObject(Echo, ECHO, invokers={Echo.echo: self._echo}),
        ]

    def _set_note(self, value, now):
        _ = value.text
        self.note = value

    def _time(self, now):
        return clock(ClockTime.of(datetime.fromtimestamp(int(now) + self.clock_shift_s, UTC)))

    def _set_time(self, value, now):
        self.clock_shift_s = int(value.clock_time.to_utc().timestamp() - now)

    def _shift_time(self, value, now):
        self.clock_shift_s += value.integer

    def _disconnect(self, value, now):
        if value.integer != 0:
            raise ActionRefusedError(ActionResult.TYPE_UNMATCHED)
        self.connected = False

    def _echo(self, value, now):
        return value


def differing_rights(device, client, now):
    """Ask for and write every attribute of a client's association view; return those whose right is not what is shown.

    An attribute shown as writable must take its own value, each other must refuse it; the same for reading.
    """
    definition = device.association(client)
    agreement = Agreement(client, definition.mechanism, ApplicationContext.LN, SERVER_CONFORMANCE, 0)
    served = Dispatcher(device, definition, agreement=agreement, own={})
    differing, walked = [], 0
    for element in device.view(definition):
        for right in element.attributes:
            attribute = CosemAttributeDescriptor(element.class_id, element.logical_name, right.number)
            read = served.handle(GetRequestNormal(InvokeIdAndPriority(1), attribute), now, authenticated=True).result
            value = read if isinstance(read, Data) else null()
            setting = SetRequestNormal(InvokeIdAndPriority(1), attribute, value)
            written = served.handle(setting, now, authenticated=True).result
            held = (isinstance(read, Data), written == DataAccessResult.SUCCESS)
            if held != (right.access.readable, right.access.writable):
                differing.append((attribute, right.access, held))
            walked += 1
    assert walked
    return differing + list(unshown_rights(device, definition, served, now))


def unshown_rights(device, definition, served, now):
    """Ask for, write and run all that the view of a client does not show; yield what is not refused."""
    shown = {(element.class_id, element.logical_name): element for element in device.view(definition)}
    for item in device.objects:
        element = shown.get(item.key)
        attributes = {right.number for right in element.attributes} if element else set()
        methods = {right.number for right in element.methods if right.access} if element else set()
        for number in set(item.interface.attributes) - attributes:
            attribute = CosemAttributeDescriptor(*item.key, number)
            read = served.handle(GetRequestNormal(InvokeIdAndPriority(1), attribute), now, authenticated=True).result
            setting = SetRequestNormal(InvokeIdAndPriority(1), attribute, null())
            written = served.handle(setting, now, authenticated=True).result
            if isinstance(read, Data) or written == DataAccessResult.SUCCESS:
                yield attribute, read, written
        for number in set(item.interface.methods) - methods:
            method = CosemMethodDescriptor(*item.key, number)
            request = ActionRequestNormal(InvokeIdAndPriority(1), method, null())
            outcome = served.handle(request, now, authenticated=True).outcome
            if outcome.result == ActionResult.SUCCESS:
                yield method, outcome


def links(kind, client_sap):
    """Both ends of one link: of a transport's scheme, or of ``wrapper`` or ``hdlc``."""
    transport = TRANSPORTS[{"wrapper": "tcp", "hdlc": "hdlc+tcp"}.get(kind, kind)]
    addresses = LinkAddresses(client_sap, 1, 17)
    return transport.client(addresses), transport.server(addresses)


def client_security(counters=None, keys=KEYS, **options):
    return SecurityContext(CLIENT_TITLE, keys, counters=counters or MemoryCounters(), **options)


NO_SECURITY = (PUBLIC_CLIENT, AssociationSettings())
LLS = (READER_CLIENT, AssociationSettings(AuthenticationMechanism.LLS, PASSWORD))
SHA1 = (DIGEST_CLIENT, AssociationSettings(AuthenticationMechanism.HLS_SHA1, PASSWORD))
GMAC = (MANAGEMENT_CLIENT, AssociationSettings(AuthenticationMechanism.HLS_GMAC, ciphered=True))
GMAC_CLEAR = (GMAC_CLEAR_CLIENT, AssociationSettings(AuthenticationMechanism.HLS_GMAC))


def join(kind, way, meter=None, *, security=None, server_options=None, **pair_options):
    """Join a client and the meter's server over one link."""
    client_sap, settings = way
    meter = meter or TestMeter()
    client_link, server_link = links(kind, client_sap)
    needs_keys = settings.mechanism is AuthenticationMechanism.HLS_GMAC
    client = ClientAssociation(
        client_link,
        settings,
        security=security or (client_security() if needs_keys else None),
        entropy=entropy(b"client"),
    )
    server = ServerAssociation(
        server_link, meter.device, security=meter.security, entropy=entropy(b"server"), **(server_options or {})
    )
    pair = Pair(client, server, **pair_options)
    return pair, client, server, meter


def associated(kind, way, meter=None, **options):
    """The same, associated."""
    pair, client, server, meter = join(kind, way, meter, **options)
    client.associate(pair.now)
    pair.run()
    return pair, client, server, meter


def get_of(class_id, logical_name, attribute=2, access=None, *, encoded=False):
    """Make the request that reads one attribute, by its numbers."""
    return Get(CosemAttributeDescriptor(class_id, logical_name, attribute), access, encoded)


def set_of(class_id, logical_name, attribute, value):
    """Make the request that writes one attribute, by its numbers."""
    return Set(CosemAttributeDescriptor(class_id, logical_name, attribute), value)


def action_of(class_id, logical_name, method, parameter=None):
    """Make the request that runs one method, by its numbers."""
    return Action(CosemMethodDescriptor(class_id, logical_name, method), parameter)


def ask(pair, client, request):
    """Send one request and give its event."""
    pair.left_events.clear()
    client.request(request, pair.now)
    pair.run(pair.now + 1)
    return pair.left_events[-1] if pair.left_events else None
