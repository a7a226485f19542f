"""Several clients on one connection: each has its own association, and nobody without a key ends another's."""

from dataclasses import replace

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from meterspan.engine.association.client import ClientAssociation
from meterspan.engine.association.records import (
    ApduRefused,
    AssociationRefused,
    GetDone,
    GetList,
    Released,
    SetList,
)
from meterspan.engine.association.server import ASSOCIATIONS_MAX, IDLE_TIMEOUT_S, ServerAssociation, ServerLimits
from meterspan.engine.association.states import AssociationState
from meterspan.engine.links import TRANSPORTS, LinkAddresses
from meterspan.model.cosem.classes import DataObject
from meterspan.model.cosem.device import (
    AssociationDefinition,
    Grant,
    LogicalDevice,
    association_name,
    attribute_right,
    grant_for,
)
from meterspan.model.cosem.objects import CosemObject
from meterspan.quantities import Obis
from meterspan.wire.acse import (
    AUTHENTICATION_REQUIREMENT,
    Aarq,
    ApplicationContext,
    AssociationResult,
    AuthenticationMechanism,
    AuthenticationValue,
    DiagnosticSource,
    ProviderDiagnostic,
    ReleaseResponseReason,
    Rlre,
    Rlrq,
    UserDiagnostic,
    read_acse,
    write_acse,
)
from meterspan.wire.axdr import integer, long, octet_string, visible_string
from meterspan.wire.wrapper import WrapperPdu, read_datagram, write_wpdu
from meterspan.wire.xdlms import (
    ConfirmedServiceError,
    Conformance,
    InitiateRequest,
    InitiateResponse,
    ServiceErrorCategory,
    read_apdu,
    write_apdu,
)
from tests.helpers_cosem import (
    CLIENT_TITLE,
    CLOCK,
    ECHO,
    ENERGY,
    GMAC,
    GMAC_CLEAR,
    LLS,
    NO_SECURITY,
    NOTE,
    PASSWORD,
    PROFILE,
    SERIAL,
    SHA1,
    SWITCH,
    Echo,
    MemoryCounters,
    TestMeter,
    action_of,
    client_security,
    entropy,
    get_of,
    set_of,
)

NOW = 1_772_323_200.0
WAYS = {"none": NO_SECURITY, "lls": LLS, "sha1": SHA1, "gmac clear": GMAC_CLEAR, "gmac": GMAC}
EXCEPTION = 0xD8
GET_CLOCK = bytes.fromhex("C001C1 0008 0000010000FF 02 00")
GET_SERIAL = bytes.fromhex("C001C1 0001 0000600100FF 02 00")


class Connection:
    """One connection to a meter, which several clients use."""

    def __init__(self, meter=None, *, others=(), **limits):
        self.meter = TestMeter(rows=4) if meter is None else meter
        self.now = NOW
        addresses = LinkAddresses(1, 1, devices=frozenset(item.sap for item in others))
        self.server = ServerAssociation(
            TRANSPORTS["tcp"].server(addresses),
            self.meter.device,
            others=others,
            security=self.meter.security,
            entropy=entropy(b"server"),
            limits=ServerLimits(**limits),
        )
        self.server.connect(self.now)
        self.counters = MemoryCounters()
        self.clients = []
        self.sent = []
        self.events = []

    def client(self, way, server=1):
        """Return a client of this connection that has yet to associate."""
        sap, settings = way
        client = ClientAssociation(
            TRANSPORTS["tcp"].client(LinkAddresses(sap, server)),
            settings,
            security=client_security(self.counters),
            entropy=entropy(b"client %d" % sap),
        )
        self.clients.append(client)
        return client

    def associated(self, way, server=1):
        """Return a client that is associated."""
        client = self.client(way, server)
        client.associate(self.now)
        self.run()
        assert client.state is AssociationState.ASSOCIATED
        return client

    def run(self, seconds=0.0):
        """Carry octets until all are silent, and let time pass."""
        self.now += seconds
        for machine in (self.server, *self.clients):
            machine.advance(self.now)
        while self._carry():
            pass
        while (event := self.server.next_event()) is not None:
            self.events.append(event)

    def _carry(self):
        moved = False
        for client in self.clients:
            if octets := client.octets_to_send():
                self.server.receive(octets, self.now)
                moved = True
        return self._deliver() or moved

    def _deliver(self):
        octets = self.server.octets_to_send()
        self.sent += read_datagram(octets) if octets else []
        for client in self.clients:
            client.receive(octets, self.now)
        return bool(octets)

    def say(self, client, apdu, server=1):
        """Send an APDU from the address of a client, and return the answers."""
        self.sent.clear()
        self.server.receive(write_wpdu(WrapperPdu(client, server, apdu)), self.now)
        while self._deliver():
            pass
        while (event := self.server.next_event()) is not None:
            self.events.append(event)
        return [pdu.apdu for pdu in self.sent if pdu.destination == client]

    def ask(self, client, request):
        """Send a request and return its event."""
        request_id = client.request(request, self.now)
        self.run()
        events = []
        while (event := client.next_event()) is not None:
            events.append(event)
        (answer,) = [event for event in events if getattr(event, "request_id", None) == request_id]
        return answer

    def reads(self, client):
        """Whether a client's association serves it."""
        answer = self.ask(client, get_of(8, CLOCK) if client.link.config.source != 16 else get_of(1, SERIAL))
        return isinstance(answer, GetDone)


def aarq(context=ApplicationContext.LN, initiate=None, **fields):
    """An AARQ of the public client, or another."""
    information = write_apdu(InitiateRequest(Conformance.GET, 0xFFFF) if initiate is None else initiate)
    return Aarq(context, **({"user_information": information} | fields))


def password_aarq(password, **fields):
    return aarq(
        mechanism=AuthenticationMechanism.LLS,
        authentication_value=AuthenticationValue(password),
        **({"sender_requirements": AUTHENTICATION_REQUIREMENT} | fields),
    )


CIPHERED_GARBAGE = write_acse(
    aarq(
        ApplicationContext.LN_CIPHERED,
        user_information=bytes.fromhex("2103300000"),
        calling_ap_title=CLIENT_TITLE,
        mechanism=AuthenticationMechanism.HLS_GMAC,
        authentication_value=AuthenticationValue(b"x" * 16),
        sender_requirements=AUTHENTICATION_REQUIREMENT,
    )
)
BARE_RLRQ = write_acse(Rlrq())
FOREIGN = {
    "an unknown client": (77, write_acse(aarq())),
    "a wrong password": (2, write_acse(password_aarq(b"guess"))),
    "no user information": (16, write_acse(Aarq(ApplicationContext.LN))),
    "a ciphered AARQ that nobody can open": (1, CIPHERED_GARBAGE),
    "octets that are no AARQ": (16, b"\x60\x03\xff\xff\xff"),
    "a release of nothing": (9, BARE_RLRQ),
    "a service without an association": (9, GET_CLOCK),
    "a release of a ciphered association without a key": (1, BARE_RLRQ),
}


@pytest.mark.finding("dlms D11")
def test_every_client_has_its_own_association_on_one_connection():
    connection = Connection()
    clients = {name: connection.associated(way) for name, way in WAYS.items()}
    assert [terms.peer for terms in connection.server.agreements] == [way[0] for way in WAYS.values()]
    for name in ("gmac", "none", "lls", "sha1", "gmac clear", "gmac"):
        assert connection.reads(clients[name])
    clients["lls"].release(connection.now)
    connection.run()
    assert 2 not in [terms.peer for terms in connection.server.agreements]
    assert Released(peer=2) in connection.events
    assert all(connection.reads(clients[name]) for name in ("none", "sha1", "gmac clear", "gmac"))


@pytest.mark.finding("dlms D11")
@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("way", ["lls", "gmac"])
def test_no_apdu_of_somebody_else_ends_a_standing_association(name, way):
    connection = Connection()
    client = connection.associated(changed(WAYS[way]))
    before = connection.server.agreements
    connection.say(*FOREIGN[name])
    assert connection.server.agreements == before
    assert connection.reads(client)


def changed(way, **settings):
    return way[0], replace(way[1], **settings)


@pytest.mark.finding("dlms D11")
def test_a_refused_aarq_takes_no_dedicated_key_from_the_association_that_its_client_has():
    connection = Connection()
    client = connection.associated(changed(GMAC, use_dedicated_key=True))
    connection.say(1, CIPHERED_GARBAGE)
    assert connection.reads(client)


@pytest.mark.finding("dlms D11")
def test_a_client_that_associates_again_has_a_new_association_and_the_others_keep_theirs():
    connection = Connection()
    reader, manager = connection.associated(LLS), connection.associated(GMAC)
    again = connection.associated(LLS)
    assert [terms.peer for terms in connection.server.agreements] == [1, 2]
    assert all(connection.reads(client) for client in (reader, manager, again))


@pytest.mark.finding("dlms D11")
def test_the_associations_of_one_connection_are_bounded_and_the_first_ones_stay():
    connection = Connection(associations_max=2)
    first = [connection.associated(NO_SECURITY), connection.associated(LLS)]
    (answer,) = connection.say(3, write_acse(sha1_aarq()))
    assert read_acse(answer).result is AssociationResult.REJECTED_TRANSIENT
    assert all(connection.reads(client) for client in first)
    connection.associated(LLS)
    assert len(WAYS) <= ASSOCIATIONS_MAX


def sha1_aarq():
    return aarq(
        mechanism=AuthenticationMechanism.HLS_SHA1,
        authentication_value=AuthenticationValue(b"c" * 16),
        sender_requirements=AUTHENTICATION_REQUIREMENT,
    )


@pytest.mark.finding("dlms D11")
def test_an_idle_association_ends_alone_and_the_link_with_the_last():
    connection = Connection(idle_timeout_s=50.0)
    reader, manager = connection.associated(LLS), connection.associated(GMAC)
    connection.run(30.0)
    assert connection.reads(manager)
    connection.run(30.0)
    assert [terms.peer for terms in connection.server.agreements] == [1]
    assert connection.server.link.is_up
    connection.run(30.0)
    assert connection.server.agreements == ()
    assert not connection.server.link.is_up
    assert reader.state is AssociationState.ASSOCIATED  # it is not told
    assert IDLE_TIMEOUT_S > 50.0


def second_device():
    """A logical device with one object and the public client."""
    value = CosemObject(DataObject, SERIAL, {DataObject.value: octet_string(b"second")})
    public = AssociationDefinition(16, association_name(1), (Grant(logical_name=SERIAL),))
    return LogicalDevice(2, "MSP0000000000001-2", objects=[value], associations=[public])


@pytest.mark.finding("dlms D12")
def test_each_logical_device_answers_at_its_own_wport_and_no_other_answers():
    connection = Connection(others=(second_device(),))
    first, second = connection.associated(NO_SECURITY), connection.associated(NO_SECURITY, server=2)
    serial = get_of(1, SERIAL)
    assert connection.ask(first, serial).results[0].octets == b"00000001"
    assert connection.ask(second, serial).results[0].octets == b"second"
    for port in (0, 3, 99):
        assert connection.say(16, write_acse(aarq()), server=port) == []
    assert len(connection.server.agreements) == 2
    assert connection.say(2, write_acse(password_aarq(PASSWORD)), server=2)[0][-1] != 0  # offered by device 1 alone
    assert len(connection.server.agreements) == 2


@pytest.mark.finding("dlms D13")
@pytest.mark.parametrize(
    "rlrq",
    [
        Rlrq(user_information=b"\x3f\x2f\x1f"),
        Rlrq(user_information=write_apdu(InitiateRequest(Conformance.GET, 0))),
    ],
    ids=["garbage", "plain"],
)
def test_a_ciphered_association_ends_by_no_release_that_is_not_ciphered(rlrq):
    connection = Connection()
    client = connection.associated(GMAC)
    assert connection.say(1, write_acse(rlrq)) == []
    assert any(isinstance(event, ApduRefused) for event in connection.events)
    assert connection.reads(client)


@pytest.mark.finding("dlms D13")
def test_a_recorded_release_ends_no_later_association():
    connection = Connection()
    client = connection.associated(GMAC)
    heard = []
    receive = connection.server.receive
    connection.server.receive = lambda octets, now: (heard.append(octets), receive(octets, now))
    client.release(connection.now)
    connection.run()
    recorded = next(pdu.apdu for octets in heard for pdu in read_datagram(octets) if pdu.apdu[0] == 0x62)
    connection.server.receive = receive
    again = connection.associated(GMAC)
    assert connection.say(1, recorded) == []
    assert connection.reads(again)


@pytest.mark.finding("dlms D13")
def test_a_protected_release_is_answered_with_the_ciphered_initiate_response():
    connection = Connection()
    client = connection.associated(GMAC)
    connection.sent.clear()
    client.release(connection.now)
    connection.run()
    (rlre,) = [read_acse(pdu.apdu) for pdu in connection.sent]
    assert isinstance(rlre, Rlre)
    context = client_security(MemoryCounters(), peer_title=connection.meter.security().system_title)
    assert isinstance(read_apdu(context.unprotect(rlre.user_information).octets), InitiateResponse)
    assert connection.server.agreements == ()
    assert client.state is AssociationState.IDLE


@pytest.mark.finding("dlms D13")
def test_a_bare_release_of_a_ciphered_association_is_answered_as_not_finished_and_ends_nothing():
    connection = Connection()
    client = connection.associated(GMAC)
    (answer,) = connection.say(1, BARE_RLRQ)
    assert read_acse(answer) == Rlre(ReleaseResponseReason.NOT_FINISHED)
    assert connection.reads(client)


@pytest.mark.finding("dlms D13")
@pytest.mark.parametrize("information", [b"\x28\x20" + bytes(32), b"", b"\x08\x00"])
def test_a_client_waits_for_the_release_of_its_server_and_takes_no_forged_one(information):
    connection = Connection()
    client = connection.associated(GMAC)
    connection.server.receive = lambda _octets, _now: None
    client.release(connection.now)
    assert client.octets_to_send()
    forged = write_acse(Rlre(ReleaseResponseReason.NORMAL, information))
    client.receive(write_wpdu(WrapperPdu(1, 1, forged)), connection.now)
    assert client.state is AssociationState.RELEASING
    client.receive(write_wpdu(WrapperPdu(1, 1, write_acse(Rlre()))), connection.now)  # bare, as many meters send it
    assert client.state is AssociationState.IDLE


def test_an_association_without_ciphering_ends_by_a_bare_release():
    connection = Connection()
    connection.associated(LLS)
    (answer,) = connection.say(2, BARE_RLRQ)
    assert isinstance(read_acse(answer), Rlre)
    assert connection.server.agreements == ()


def refusal(connection, client, request):
    """Ask for an association that is refused; return the AARE."""
    (answer,) = connection.say(client, write_acse(request))
    aare = read_acse(answer)
    assert aare.result is AssociationResult.REJECTED_PERMANENT
    assert any(isinstance(event, AssociationRefused) for event in connection.events)
    assert connection.server.agreements == ()
    return aare


@pytest.mark.finding("dlms D16")
def test_an_aarq_without_acse_version_1_is_refused_by_the_provider():
    aare = refusal(Connection(), 16, aarq(protocol_version=bytes.fromhex("0200")))
    assert aare.diagnostic.source is DiagnosticSource.ACSE_SERVICE_PROVIDER
    assert aare.diagnostic.code is ProviderDiagnostic.NO_COMMON_ACSE_VERSION


@pytest.mark.finding("dlms D16")
@pytest.mark.parametrize("requirements", [None, b"\x07\x00", b""])
def test_a_password_counts_only_with_the_authentication_functional_unit(requirements):
    aare = refusal(Connection(), 2, password_aarq(PASSWORD, sender_requirements=requirements))
    assert aare.diagnostic.code is UserDiagnostic.AUTHENTICATION_MECHANISM_NAME_REQUIRED


@pytest.mark.finding("dlms D16")
@pytest.mark.parametrize("information", [None, b"\x01\xff\xff", b""])
def test_an_aarq_without_a_readable_initiate_request_is_refused_by_an_aare(information):
    aare = refusal(Connection(), 16, Aarq(ApplicationContext.LN, user_information=information))
    error = read_apdu(aare.user_information)
    assert isinstance(error, ConfirmedServiceError)
    assert error.category is ServiceErrorCategory.INITIATE


@pytest.mark.finding("dlms D16")
def test_an_initiate_request_that_cannot_be_deciphered_is_refused_by_an_aare():
    connection = Connection()
    other = client_security(keys=replace(connection.meter.security().keys, unicast=bytes(16)))
    sealed = other.protect(write_apdu(InitiateRequest(Conformance.GET, 0xFFFF)))
    request = aarq(
        ApplicationContext.LN_CIPHERED,
        user_information=sealed,
        calling_ap_title=CLIENT_TITLE,
        mechanism=AuthenticationMechanism.HLS_GMAC,
        authentication_value=AuthenticationValue(b"x" * 16),
        sender_requirements=AUTHENTICATION_REQUIREMENT,
    )
    error = read_apdu(refusal(connection, 1, request).user_information)
    assert str(error) == "initiate: application-reference: deciphering-error"


@pytest.mark.finding("dlms D16")
def test_an_aarq_that_allows_no_response_gets_none_and_nor_do_its_services():
    connection = Connection()
    silent = InitiateRequest(Conformance.GET, 0xFFFF, response_allowed=False)
    assert connection.say(16, write_acse(aarq(initiate=silent))) == []
    (terms,) = connection.server.agreements
    assert not terms.is_confirmed
    assert connection.say(16, GET_SERIAL) == []
    assert connection.say(2, write_acse(password_aarq(b"no", user_information=write_apdu(silent)))) == []
    assert len(connection.server.agreements) == 1


@pytest.mark.finding("dlms D16")
def test_a_higher_dlms_version_is_answered_with_ours():
    connection = Connection()
    (answer,) = connection.say(16, write_acse(aarq(initiate=InitiateRequest(Conformance.GET, 0, dlms_version=7))))
    aare = read_acse(answer)
    assert aare.result is AssociationResult.ACCEPTED
    assert read_apdu(aare.user_information).dlms_version == 6


@pytest.mark.finding("dlms D16")
def test_a_client_is_offered_what_the_server_does_within_its_association():
    everything = Conformance(0xFFFFFF)
    connection = Connection()
    notifications = Conformance.EVENT_NOTIFICATION | Conformance.DATA_NOTIFICATION
    for way, has_protection in ((NO_SECURITY, False), (LLS, False), (GMAC, True)):
        terms = connection.associated(changed(way, conformance=everything)).agreement
        assert not terms.conformance & notifications
        assert bool(terms.conformance & Conformance.GENERAL_PROTECTION) is has_protection


@pytest.mark.finding("dlms D15")
def test_a_title_whose_counters_are_used_up_gets_an_answer_and_no_traceback():
    connection = Connection()
    send_from(0xFFFFFFFF - 40, connection.counters)
    client = connection.associated(GMAC)
    meter = connection.meter.counters
    for name in list(meter.received):
        meter.received[name] = 0x1_0000_0000
    request_id = client.request(get_of(8, CLOCK), connection.now)
    connection.run()
    assert request_id
    assert connection.sent[-1].apdu == bytes.fromhex("D80101")
    (answer,) = connection.say(1, recorded_aarq(connection))
    assert answer == bytes.fromhex("D80101")
    assert connection.reads(connection.associated(LLS))


def send_from(counter, counters):
    """Let the client's next APDU have this invocation counter."""
    client_security(counters).protect(GET_CLOCK)
    counters.sent = dict.fromkeys(counters.sent, counter)


def recorded_aarq(connection):
    """An AARQ under the last counter of the client's title."""
    counters = MemoryCounters()
    send_from(0xFFFFFFFF, counters)
    sealed = client_security(counters, peer_title=connection.meter.security().system_title).protect(
        write_apdu(InitiateRequest(Conformance.GET, 0xFFFF))
    )
    return write_acse(
        aarq(
            ApplicationContext.LN_CIPHERED,
            user_information=sealed,
            calling_ap_title=CLIENT_TITLE,
            mechanism=AuthenticationMechanism.HLS_GMAC,
            authentication_value=AuthenticationValue(b"x" * 16),
            sender_requirements=AUTHENTICATION_REQUIREMENT,
        )
    )


@pytest.mark.finding("dlms D15")
def test_a_server_without_a_counter_left_ends_that_association_and_keeps_the_others():
    connection = Connection()
    reader, manager = connection.associated(LLS), connection.associated(GMAC)
    meter = connection.meter.counters
    meter.sent = dict.fromkeys(meter.sent, 0x1_0000_0000)
    for _ in range(40):  # those that it had reserved
        manager.request(get_of(8, CLOCK), connection.now)
        connection.run()
    assert [terms.peer for terms in connection.server.agreements] == [2]
    assert any(isinstance(event, Released) and event.failure is not None for event in connection.events)
    assert connection.reads(reader)


REQUESTS = (
    get_of(1, SERIAL),
    get_of(3, ENERGY),
    get_of(1, NOTE),
    get_of(7, PROFILE),
    get_of(15, Obis(0, 0, 40, 0, 0)),
    get_of(3, Obis(1, 0, 9, 9, 9)),
    GetList((get_of(3, ENERGY), get_of(1, NOTE), get_of(7, PROFILE))),
    set_of(1, NOTE, 2, visible_string("written")),
    set_of(1, NOTE, 2, visible_string("w" * 900)),
    set_of(3, ENERGY, 2, integer(1)),
    SetList((set_of(1, NOTE, 2, visible_string("listed")), set_of(8, CLOCK, 2, integer(1)))),
    action_of(70, SWITCH, 1, integer(0)),
    action_of(8, CLOCK, 6, long(1)),
    action_of(Echo.class_id, ECHO, 1, visible_string("e" * 700)),
)
SAPS = (0, 1, 2, 3, 4, 16, 77)
ACSE_APDUS = (
    *(octets for _, octets in FOREIGN.values()),
    write_acse(aarq()),
    write_acse(password_aarq(PASSWORD)),
    write_acse(sha1_aarq()),
    BARE_RLRQ,
    write_acse(Rlrq(user_information=b"\x21\x00")),
)


class ClientsOfOneConnection(RuleBasedStateMachine):
    """No APDU of any client raises, does anything beyond its rights, or ends the association of another client."""

    def __init__(self):
        super().__init__()
        self.connection = Connection()
        self.watched = {}

    @initialize(associations_max=st.integers(1, 5), max_pdu=st.sampled_from([64, 128, 0xFFFF]))
    def begin(self, associations_max, max_pdu):
        self.connection = Connection(associations_max=associations_max, max_pdu=max_pdu)
        self.clients = {way[0]: self.connection.client(changed(way, max_pdu=max_pdu)) for way in WAYS.values()}
        self.done = []
        self.depth = 0
        self.watch()

    def acting(self, sap, act):
        """Let one client act; nothing may change for any other, and nothing happen that it has no right to."""
        others = [terms for terms in self.connection.server.agreements if terms.peer != sap]
        was_associated = sap in [terms.peer for terms in self.connection.server.agreements]
        self.done.clear()
        act()
        now_associated = sap in [terms.peer for terms in self.connection.server.agreements]
        assert [terms for terms in self.connection.server.agreements if terms.peer != sap] == others
        if self.done:
            assert was_associated or now_associated
            definition = self.connection.meter.device.association(sap)
            for what, item, number in self.done:
                assert is_granted(definition, item, what, number), (sap, what, item.logical_name, number)

    @rule(sap=st.sampled_from([1, 2, 3, 4, 16]))
    def associate(self, sap):
        client = self.clients[sap]
        if client.state is AssociationState.IDLE:
            self.acting(sap, lambda: (client.associate(self.connection.now), self.connection.run()))

    @rule(sap=st.sampled_from([1, 2, 3, 4, 16]))
    def release(self, sap):
        client = self.clients[sap]
        self.acting(sap, lambda: (client.release(self.connection.now), self.connection.run()))

    @rule(sap=st.sampled_from([1, 2, 3, 4, 16]), request=st.sampled_from(REQUESTS))
    def request(self, sap, request):
        client = self.clients[sap]
        self.acting(sap, lambda: (client.request(request, self.connection.now), self.connection.run()))

    @rule(sap=st.sampled_from(SAPS), apdu=st.sampled_from(ACSE_APDUS), server=st.sampled_from([1, 1, 1, 2]))
    def claim(self, sap, apdu, server):
        ciphered = [terms for terms in self.connection.server.agreements if terms.ciphered]
        self.acting(sap, lambda: self.connection.say(sap, apdu, server))
        assert [terms for terms in self.connection.server.agreements if terms.ciphered] == ciphered

    @rule(
        sap=st.sampled_from(SAPS),
        tag=st.sampled_from([0xC0, 0xC1, 0xC3, 0xC8, 0xCB, 0xD0, 0xDB, 0x60, 0x62, 0x63, 0x0F]),
        octets=st.one_of(
            st.binary(max_size=40),
            st.sampled_from([GET_CLOCK[1:], GET_SERIAL[1:], bytes.fromhex("02C10000000 1".replace(" ", ""))]),
            st.sampled_from([bytes.fromhex("0101") + b"\xc1", bytes.fromhex("02C1") + bytes(30)]),
        ),
    )
    def say_anything(self, sap, tag, octets):
        self.acting(sap, lambda: self.connection.say(sap, bytes((tag,)) + octets))

    @invariant()
    def associations_are_bounded(self):
        assert len(self.connection.server._served) <= self.connection.server._limits.associations_max

    def teardown(self):
        for name, method in self.watched.items():
            setattr(CosemObject, name, method)

    def watch(self):
        """Note each access to an object that succeeds, but those that an access makes itself."""
        self.watched = {name: getattr(CosemObject, name) for name in ("read", "write", "invoke")}
        for name in self.watched:
            setattr(CosemObject, name, self.watching(name))

    def watching(self, name):
        def watched(item, number, *arguments):
            self.depth += 1
            try:
                result = self.watched[name](item, number, *arguments)
            finally:
                self.depth -= 1
            if not self.depth:
                self.done.append((name, item, number))
            return result

        return watched


def is_granted(definition, item, what, number):
    """Whether an access table grants an access; authenticated access is for the ciphered association alone."""
    grant = None if definition is None else grant_for(definition, item)
    if grant is None:
        return False
    if what == "invoke":
        access = grant.method_access(item.interface.methods[number])
        return bool(access) and (definition.ciphered or not access.authenticated)
    right = attribute_right(grant, item, number)
    granted = right.writable if what == "write" else right.readable
    return granted and (definition.ciphered or not right.authenticated)


ClientsOfOneConnection.TestCase.settings = hypothesis_settings(max_examples=40, stateful_step_count=25, deadline=None)
TestClientsOfOneConnection = pytest.mark.attack(6)(ClientsOfOneConnection.TestCase)
