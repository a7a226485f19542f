from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from meterspan.crypto.suites import SUITES
from meterspan.engine.association.agreement import plain_max
from meterspan.engine.security import (
    COUNTER_BLOCK,
    COUNTER_JUMP_MAX,
    CounterExhaustedError,
    SecurityContext,
    SecurityKeys,
    check_proof,
    is_ciphered,
    prove,
)
from meterspan.wire.acse import AuthenticationMechanism
from meterspan.wire.errors import (
    KeyMissingError,
    KeyWrongError,
    ReplayError,
    SecurityError,
    UnsupportedError,
    WireError,
)
from meterspan.wire.xdlms import SecurityControl
from tests.helpers_cosem import CLIENT_TITLE, KEYS, METER_TITLE, MemoryCounters

GET = bytes.fromhex("C001C100080000010000FF0200")
DEDICATED = bytes(range(0x60, 0x70))


def pair(**options):
    client = SecurityContext(CLIENT_TITLE, KEYS, counters=MemoryCounters(), peer_title=METER_TITLE, **options)
    meter = SecurityContext(METER_TITLE, KEYS, counters=MemoryCounters(), peer_title=CLIENT_TITLE, **options)
    return client, meter


def test_the_published_glo_get_request_of_the_green_book_is_reproduced():
    """DLMS UA 1000-2, table of GLO ciphering examples: system title 4D4D4D0000BC614E, IC 01234567."""
    keys = SecurityKeys(
        bytes.fromhex("000102030405060708090A0B0C0D0E0F"), bytes.fromhex("D0D1D2D3D4D5D6D7D8D9DADBDCDDDEDF")
    )
    title = bytes.fromhex("4D4D4D0000BC614E")
    context = SecurityContext(title, keys, counters=MemoryCounters(start=0x01234567))
    plain = bytes.fromhex("C0010000080000010000FF0200")
    assert context.protect(plain).hex().upper() == ("C81E3001234567411312FF935A47566827C467BC7D825C3BE4A77C3FCC056B6B")


@pytest.mark.parametrize("general", [False, True])
@pytest.mark.parametrize("dedicated", [False, True])
def test_what_one_side_protects_the_other_opens(general, dedicated):
    client, meter = pair()
    if dedicated:
        client.use_dedicated_key(DEDICATED)
        meter.use_dedicated_key(DEDICATED)
    sealed = client.protect(GET, dedicated=dedicated, general=general)
    assert sealed[0] == {(0, 0): 0xC8, (1, 0): 0xD0, (0, 1): 0xDB, (1, 1): 0xDC}[dedicated, general]
    assert is_ciphered(sealed)
    assert not is_ciphered(GET)
    assert plain_max(len(sealed), is_general=general) == len(GET)
    opened = meter.unprotect(sealed)
    assert opened.octets == GET
    assert (opened.is_dedicated, opened.is_general, opened.system_title) == (dedicated, general, CLIENT_TITLE)
    with pytest.raises(ReplayError):
        meter.unprotect(sealed)


@given(st.binary(max_size=300))
def test_any_octets_open_or_raise_a_wire_error(octets):
    _, meter = pair()
    with pytest.raises(WireError):
        meter.unprotect(octets)


@given(st.binary(max_size=80), st.sampled_from([0xC8, 0xD0, 0xDB, 0xDC, 0x21]))
def test_any_ciphered_octets_raise_a_wire_error(octets, tag):
    _, meter = pair(required=SecurityControl(0))
    with pytest.raises(WireError):
        meter.unprotect(bytes((tag,)) + octets)


def test_every_changed_bit_and_every_truncation_is_refused():
    client, meter = pair()
    sealed = client.protect(GET)
    for index in range(len(sealed) * 8):
        damaged = bytearray(sealed)
        damaged[index >> 3] ^= 1 << (index & 7)
        with pytest.raises(WireError):
            meter.unprotect(bytes(damaged))
    for size in range(len(sealed)):
        with pytest.raises(WireError):
            meter.unprotect(sealed[:size])
    assert meter.unprotect(sealed).octets == GET  # none of them moved the counter


def test_a_damaged_apdu_with_a_high_counter_does_not_lock_the_sender_out():
    client, meter = pair()
    forged = bytearray(client.protect(GET))
    forged[3:7] = b"\xff\xff\xff\xff"
    with pytest.raises(KeyWrongError):
        meter.unprotect(bytes(forged))
    assert meter.unprotect(client.protect(GET)).octets == GET


def test_counters_are_on_disk_before_they_are_used_and_a_restart_skips_them():
    counters = MemoryCounters()
    seen = []
    for _ in range(3):
        context = SecurityContext(CLIENT_TITLE, KEYS, counters=counters, peer_title=METER_TITLE)
        for _ in range(2):
            sealed = context.protect(GET)
            counter = int.from_bytes(sealed[3:7], "big")
            assert counter < next(iter(counters.sent.values()))
            seen.append(counter)
    assert seen == [1, 2, 1 + COUNTER_BLOCK, 2 + COUNTER_BLOCK, 1 + 2 * COUNTER_BLOCK, 2 + 2 * COUNTER_BLOCK]
    assert counters.writes == 3


def test_contexts_of_one_title_never_share_a_nonce_whatever_they_know_of_their_peers():
    counters = MemoryCounters()
    first = SecurityContext(CLIENT_TITLE, KEYS, counters=counters)
    second = SecurityContext(CLIENT_TITLE, KEYS, counters=counters, peer_title=METER_TITLE)
    used = []
    for step in range(3 * COUNTER_BLOCK):
        used += [first.protect(GET)[3:7], second.protect(GET)[3:7]]
        if step == 5:
            first.learn_peer(METER_TITLE)
    assert len(set(used)) == len(used)


def test_accepted_counters_survive_a_restart():
    counters = MemoryCounters()
    client, _ = pair()
    sealed = client.protect(GET)
    SecurityContext(METER_TITLE, KEYS, counters=counters, peer_title=CLIENT_TITLE).unprotect(sealed)
    after = SecurityContext(METER_TITLE, KEYS, counters=counters, peer_title=CLIENT_TITLE)
    assert after.last_received == 1
    with pytest.raises(ReplayError):
        after.unprotect(sealed)


def test_a_first_counter_of_zero_is_accepted_once():
    client, meter = pair()
    client._next, client._reserved_end = 0, 1
    sealed = client.protect(GET)
    assert meter.last_received == -1
    meter.unprotect(sealed)
    assert meter.last_received == 0
    with pytest.raises(ReplayError):
        meter.unprotect(sealed)


def test_counters_begin_anew_with_a_new_key():
    counters = MemoryCounters()
    SecurityContext(CLIENT_TITLE, KEYS, counters=counters).protect(GET)
    renewed = SecurityKeys(bytes(16), KEYS.authentication)
    sealed = SecurityContext(CLIENT_TITLE, renewed, counters=counters).protect(GET)
    assert int.from_bytes(sealed[3:7], "big") == 1


def test_the_last_counter_is_never_passed():
    client, _ = pair()
    client._next, client._reserved_end = 0xFFFF_FFFF, 0x1_0000_0001
    client.protect(GET)
    with pytest.raises(CounterExhaustedError, match="change the key"):
        client.protect(GET)


def counter_of(sealed):
    return int.from_bytes(sealed[3:7], "big")


@pytest.mark.parametrize("wanted", [1, 2, COUNTER_BLOCK, COUNTER_BLOCK + 1, 5_000])
def test_counter_recovery_goes_on_at_the_wanted_counter_and_never_back(wanted):
    client, _ = pair()
    before = counter_of(client.protect(GET))
    client.try_counter(wanted)
    tried = [counter_of(client.protect(GET)) for _ in range(3)]
    client.confirm_tried_counter()
    after = [counter_of(client.protect(GET)) for _ in range(3 * COUNTER_BLOCK)]
    assert tried[0] >= max(wanted, before + 1)
    assert tried + after == sorted(set(tried + after))


def test_a_confirmed_counter_is_kept_over_a_restart():
    counters = MemoryCounters()
    client = SecurityContext(CLIENT_TITLE, KEYS, counters=counters, peer_title=METER_TITLE)
    client.try_counter(5_000)
    last = counter_of(client.protect(GET))
    client.confirm_tried_counter()
    again = SecurityContext(CLIENT_TITLE, KEYS, counters=counters, peer_title=METER_TITLE)
    assert counter_of(again.protect(GET)) > last >= 5_000


def test_a_counter_that_nothing_confirmed_leaves_ours_where_they_were():
    client, _ = pair()
    before = counter_of(client.protect(GET))
    client.try_counter(5_000)
    assert client.is_trying_counter
    assert counter_of(client.protect(GET)) >= 5_000
    client.drop_tried_counter()
    assert not client.is_trying_counter
    assert before < counter_of(client.protect(GET)) < before + 2 * COUNTER_BLOCK


def test_tried_counters_are_never_sent_again_when_our_own_run_gets_there():
    counters = MemoryCounters()
    client = SecurityContext(CLIENT_TITLE, KEYS, counters=counters, peer_title=METER_TITLE)
    client.try_counter(4 * COUNTER_BLOCK)
    sent = [counter_of(client.protect(GET)) for _ in range(3)]
    again = SecurityContext(CLIENT_TITLE, KEYS, counters=counters, peer_title=METER_TITLE)
    sent += [counter_of(again.protect(GET)) for _ in range(10 * COUNTER_BLOCK)]
    assert len(set(sent)) == len(sent)


@pytest.mark.parametrize("wanted", [COUNTER_JUMP_MAX + 1_000, 0xFFFF_FFFF, 0xFFFF_FFFF + 5])
def test_counter_recovery_does_not_let_a_peer_use_all_counters_up(wanted):
    client, _ = pair()
    with pytest.raises(SecurityError, match="asks for counter"):
        client.try_counter(wanted)
    assert counter_of(client.protect(GET)) < 100


class HostileMeter(RuleBasedStateMachine):
    """A peer that claims any counter, answers under the key now and then, while the program restarts at will."""

    def __init__(self) -> None:
        super().__init__()
        self.counters = MemoryCounters()
        self.sent: set[int] = set()
        self.own = 0
        """What our run may have used up: messages, restarts, tries, and what an answer under the key has confirmed."""
        self.restart()

    @rule()
    def restart(self) -> None:
        self.context = SecurityContext(CLIENT_TITLE, KEYS, counters=self.counters, peer_title=METER_TITLE)
        self.own += COUNTER_BLOCK

    @rule(count=st.integers(1, 80))
    def send(self, count: int) -> None:
        for _ in range(count):
            counter = counter_of(self.context.protect(GET))
            assert counter not in self.sent
            self.sent.add(counter)
        self.own += count + COUNTER_BLOCK

    @rule(counter=st.integers(0, 400) | st.integers(0, 1 << 32) | st.integers(0, COUNTER_JUMP_MAX))
    def claim(self, counter: int) -> None:
        with suppress(SecurityError):
            self.context.try_counter(counter)
        self.own += 66 + 2 * COUNTER_BLOCK

    @rule()
    def answer_without_a_key(self) -> None:
        self.context.drop_tried_counter()

    @rule()
    def answer_under_the_key(self) -> None:
        self.context.confirm_tried_counter()
        self.own = max(self.own, *self.counters.sent.values(), 0)

    @invariant()
    def without_a_key_nothing_is_used_up_but_what_was_sent(self) -> None:
        tried = sum(name.startswith("tried/") for name in self.counters.received) * COUNTER_BLOCK
        assert max(self.counters.sent.values(), default=0) <= self.own + tried


TestHostileMeter = HostileMeter.TestCase


def test_less_protection_than_required_is_refused():
    client, _ = pair(control=SecurityControl.AUTHENTICATION)
    _, meter = pair()
    with pytest.raises(SecurityError, match="is less than"):
        meter.unprotect(client.protect(GET))
    with pytest.raises(SecurityError, match="is not protected"):
        meter.unprotect(GET)


@pytest.mark.parametrize("control", [SecurityControl.AUTHENTICATION, SecurityControl.ENCRYPTION])
def test_each_protection_alone_works_where_it_is_enough(control):
    client, _ = pair(control=control)
    _, meter = pair(required=control)
    assert meter.unprotect(client.protect(GET)).octets == GET


@pytest.mark.finding("users B4")
@pytest.mark.nonces_repeat("a new bench each time, with the same keys")
def test_a_wrong_key_is_told_also_without_authentication():
    other = SecurityKeys(bytes(16), KEYS.authentication)
    for control in (SecurityControl.ENCRYPTION, SecurityControl.ENCRYPTION | SecurityControl.AUTHENTICATION):
        client, _ = pair(control=control)
        meter = SecurityContext(
            METER_TITLE, other, counters=MemoryCounters(), peer_title=CLIENT_TITLE, required=SecurityControl(0)
        )
        with pytest.raises(KeyWrongError):
            meter.unprotect(client.protect(GET))
        assert meter.last_received == -1


def test_missing_keys_are_named():
    client, meter = pair()
    client.use_dedicated_key(DEDICATED)
    with pytest.raises(KeyMissingError, match="dedicated"):
        meter.unprotect(client.protect(GET, dedicated=True))
    unauthenticated = SecurityKeys(KEYS.unicast)
    bare = SecurityContext(
        METER_TITLE,
        unauthenticated,
        counters=MemoryCounters(),
        peer_title=CLIENT_TITLE,
        control=SecurityControl.ENCRYPTION,
    )
    with pytest.raises(KeyMissingError, match="authentication"):
        bare.unprotect(client.protect(GET))


def test_an_apdu_that_holds_another_than_its_tag_says_is_refused():
    client, meter = pair()
    sealed = bytearray(client.protect(GET))
    sealed[0] = 0xC9  # glo-set-request around a GET: the tag is not authenticated
    with pytest.raises(WireError, match="does not match the ciphered tag"):
        meter.unprotect(bytes(sealed))


def test_another_system_title_is_refused():
    _, meter = pair()
    other = SecurityContext(b"OTHERONE", KEYS, counters=MemoryCounters())
    with pytest.raises(SecurityError, match="comes from"):
        meter.unprotect(other.protect(GET, general=True))
    with pytest.raises(SecurityError, match="calls itself"):
        meter.learn_peer(b"OTHERONE")
    with pytest.raises(WireError, match="8 octets"):
        meter.learn_peer(b"SHORT")
    with pytest.raises(SecurityError, match="as we do"):
        SecurityContext(METER_TITLE, KEYS, counters=MemoryCounters()).learn_peer(METER_TITLE)
    nobody = SecurityContext(METER_TITLE, KEYS, counters=MemoryCounters())
    with pytest.raises(SecurityError, match="has not sent"):
        nobody.unprotect(other.protect(GET))


def test_proofs_fit_their_challenge_alone():
    client, meter = pair()
    gmac = AuthenticationMechanism.HLS_GMAC
    proof = prove(gmac, b"challenge of the meter", security=client)
    check_proof(gmac, proof, b"challenge of the meter", security=meter)
    assert meter.last_received == 1
    for wrong in (b"another challenge", b""):
        with pytest.raises(KeyWrongError):
            check_proof(gmac, proof, wrong, security=meter)
    with pytest.raises(WireError):
        check_proof(gmac, proof[:-1], b"challenge of the meter", security=meter)


def test_a_proof_needs_a_mechanism_with_challenges_and_its_keys():
    with pytest.raises(ValueError, match="answers no challenges"):
        prove(AuthenticationMechanism.LLS, b"challenge")
    with pytest.raises(ValueError, match="needs a security context"):
        prove(AuthenticationMechanism.HLS_GMAC, b"challenge")
    sha1 = AuthenticationMechanism.HLS_SHA1
    check_proof(sha1, prove(sha1, b"challenge", secret=b"secret"), b"challenge", secret=b"secret")
    with pytest.raises(KeyWrongError):
        check_proof(sha1, prove(sha1, b"challenge", secret=b"secret"), b"challenge", secret=b"other")


def test_an_association_of_another_suite_is_protected_by_its_own_keys_and_sizes():
    keys = SecurityKeys(bytes(range(32)), bytes(range(32, 64)), suite=SUITES[2])
    client = SecurityContext(CLIENT_TITLE, keys, counters=MemoryCounters(), peer_title=METER_TITLE)
    meter = SecurityContext(METER_TITLE, keys, counters=MemoryCounters(), peer_title=CLIENT_TITLE)
    opened = meter.unprotect(client.protect(GET))
    assert (opened.octets, opened.control.suite) == (GET, 2)
    of_suite_0 = SecurityContext(METER_TITLE, KEYS, counters=MemoryCounters(), peer_title=CLIENT_TITLE)
    with pytest.raises(UnsupportedError, match="suite 2"):
        of_suite_0.unprotect(client.protect(GET))


def test_no_secret_shows_in_text():
    client, _ = pair()
    client.use_dedicated_key(DEDICATED)
    shown = repr(client) + str(client) + repr(KEYS) + repr(client.keys)
    for key in (KEYS.unicast, KEYS.authentication, KEYS.broadcast, DEDICATED):
        assert key.hex() not in shown
        assert repr(key) not in shown


def test_bad_sizes_are_the_callers_fault():
    with pytest.raises(ValueError, match="16 octets"):
        SecurityKeys(b"short")
    with pytest.raises(ValueError, match="system title"):
        SecurityContext(b"short", KEYS, counters=MemoryCounters())
    with pytest.raises(ValueError, match="authentication key"):
        SecurityContext(CLIENT_TITLE, SecurityKeys(bytes(16)), counters=MemoryCounters())
    with pytest.raises(ValueError, match="dedicated"):
        pair()[0].protect(GET, dedicated=True)
    with pytest.raises(WireError, match="dedicated key"):
        pair()[0].use_dedicated_key(b"short")


def test_a_title_that_is_only_claimed_is_forgotten_and_one_that_was_proved_is_kept():
    ours, peer = (SecurityContext(title, KEYS, counters=MemoryCounters()) for title in (CLIENT_TITLE, METER_TITLE))
    ours.learn_peer(b"FORGED!!")
    with pytest.raises(KeyWrongError):
        ours.unprotect(peer.protect(GET))
    ours.forget_dedicated_key()
    ours.learn_peer(METER_TITLE)
    assert ours.unprotect(peer.protect(GET)).octets == GET
    ours.forget_dedicated_key()
    assert ours.peer_title == METER_TITLE
    with pytest.raises(SecurityError, match="calls itself"):
        ours.learn_peer(b"FORGED!!")


def test_a_right_proof_keeps_the_title_under_which_it_was_made():
    ours = SecurityContext(CLIENT_TITLE, KEYS, counters=MemoryCounters())
    ours.learn_peer(METER_TITLE)
    ours.note_proof(3, is_ciphered=False)
    ours.forget_dedicated_key()
    assert ours.peer_title == METER_TITLE


@pytest.mark.finding("dlms D15")
@pytest.mark.parametrize("is_ciphered", [False, True])
def test_the_counter_of_a_proof_in_a_ciphered_apdu_refuses_no_later_apdu(is_ciphered):
    client, meter = pair()
    meter.learn_peer(CLIENT_TITLE)
    meter.note_proof(1_000, is_ciphered=is_ciphered)
    assert meter.last_received == (-1 if is_ciphered else 1_000)
    if is_ciphered:
        assert meter.unprotect(client.protect(GET)).octets == GET
