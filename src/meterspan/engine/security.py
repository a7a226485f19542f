"""Protection of whole APDUs (IEC 62056-5-3, 5.7.2): glo-, ded-, general-glo- and general-ded-ciphering, and proofs.

Strategy: one ``SecurityContext`` per peer and association. Counters to send are named by our title and the key, so that
contexts which share a key share its counters; they are reserved in blocks that are on disk before the first of them is
used. A received counter must be above all accepted before, and is accepted, durably, only once its APDU has proved
authentic. Neither keys nor counters' names hold or show a secret.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b

from meterspan.crypto.hls import Handshake
from meterspan.crypto.mechanisms import Mechanism, mechanism_of
from meterspan.crypto.suites import COUNTER_MAX, SUITE_0, SYSTEM_TITLE_SIZE, Suite, SuiteKeys, protect, unprotect
from meterspan.model.failures import FailedError, Failure, FailureKind
from meterspan.model.ports import TRIED, CounterStore
from meterspan.wire.acse import AuthenticationMechanism
from meterspan.wire.errors import KeyMissingError, KeyWrongError, ReplayError, SecurityError, WireError
from meterspan.wire.xdlms import (
    ApduTag,
    CipheredApdu,
    CipheredContent,
    GeneralCipheredApdu,
    SecurityControl,
    ciphered_tag,
    plain_tag,
    read_apdu,
    write_apdu,
)

__all__ = [
    "AUTHENTICATED_ENCRYPTION",
    "CounterExhaustedError",
    "Opened",
    "SecurityContext",
    "SecurityKeys",
    "check_proof",
    "is_ciphered",
    "prove",
]

CLAUSE = "IEC 62056-5-3, 5.7.2"
AUTHENTICATED_ENCRYPTION = SecurityControl.AUTHENTICATION | SecurityControl.ENCRYPTION
COUNTER_BLOCK = 32
"""Counters reserved at once: one durable write per 32 APDUs, and at most 31 skipped by a restart."""
COUNTER_JUMP_MAX = 1 << 22
"""How far one recovery may skip: years of readings. An attacker between us and the meter can ask for more than it has
seen, and a thousand recoveries would use up the counters under our key."""
TRIED_COUNTERS = COUNTER_BLOCK
"""Counters of one try: an association needs three until its first authenticated answer."""
TRIED_BLOCKS_MAX = 64
"""Blocks tried before one counter is given up."""

_SERVICE_CIPHERED = (CipheredApdu, GeneralCipheredApdu)
_DEDICATED_TAGS = frozenset(tag for tag in ApduTag if tag.name.startswith("DED_")) | {ApduTag.GENERAL_DED_CIPHERING}
_CIPHERED_TAGS = frozenset(tag for tag in ApduTag if tag.name.startswith(("GLO_", "DED_"))) | {
    ApduTag.GENERAL_GLO_CIPHERING,
    ApduTag.GENERAL_DED_CIPHERING,
}
_PLAIN_TAGS = frozenset(map(int, ApduTag)) - {
    int(tag) for tag in ApduTag if tag.name.startswith(("GLO_", "DED_", "GENERAL_"))
}


class CounterExhaustedError(FailedError):
    """All 2^32 invocation counters under a key are used: it must be changed first."""

    def __init__(self, peer_title: bytes) -> None:
        words = f"no counter is left to send to {peer_title.hex()}; change the key"
        super().__init__(Failure(FailureKind.COUNTER_EXHAUSTED, words, permanent=True))


@dataclass(frozen=True, slots=True)
class SecurityKeys:
    """The global keys that two parties share.

    Attributes:
        unicast: global unicast encryption key.
        authentication: global authentication key; empty where only encryption is applied.
        broadcast: global broadcast encryption key; empty where there is none.
        suite: which the keys are for.

    """

    unicast: bytes = field(repr=False)
    authentication: bytes = field(default=b"", repr=False)
    broadcast: bytes = field(default=b"", repr=False)
    suite: Suite = field(default=SUITE_0, repr=False)

    def __post_init__(self) -> None:
        SuiteKeys(self.unicast, self.authentication, self.suite)
        if self.broadcast:
            SuiteKeys(self.broadcast, self.authentication, self.suite)

    @property
    def global_unicast(self) -> SuiteKeys:
        """The keys of everything that is ciphered under the global unicast key."""
        return SuiteKeys(self.unicast, self.authentication, self.suite)


@dataclass(frozen=True, slots=True)
class Opened:
    """An APDU without its protection.

    Attributes:
        octets: the plain APDU.
        control: the protection applied.
        is_dedicated: whether it was ciphered under the dedicated key.
        is_general: whether it was general ciphering.
        system_title: of the sender.

    """

    octets: bytes
    control: SecurityControl
    is_dedicated: bool
    is_general: bool
    system_title: bytes


class SecurityContext:
    """Protects the APDUs sent to one peer, and opens those received from it.

    Args:
        system_title: our own, 8 octets.
        keys: the global keys shared with the peer.
        counters: keeps both directions' counters.
        peer_title: the peer's system title, where it is known before the peer sends it.
        control: what to apply when sending.
        required: the least protection of a received APDU.
        counter_block: how many counters to reserve at once.

    """

    def __init__(
        self,
        system_title: bytes,
        keys: SecurityKeys,
        *,
        counters: CounterStore,
        peer_title: bytes = b"",
        control: SecurityControl = AUTHENTICATED_ENCRYPTION,
        required: SecurityControl = AUTHENTICATED_ENCRYPTION,
        counter_block: int = COUNTER_BLOCK,
    ) -> None:
        if len(system_title) != SYSTEM_TITLE_SIZE or len(peer_title) not in (0, SYSTEM_TITLE_SIZE):
            raise ValueError(f"a system title has {SYSTEM_TITLE_SIZE} octets")
        if control & SecurityControl.AUTHENTICATION and not keys.authentication:
            raise ValueError("authentication needs an authentication key")
        self.system_title = system_title
        self.keys = keys
        self.control = control | SecurityControl(keys.suite.number)
        self.required = required
        self._counters = counters
        self._counter_block = counter_block
        self._peer_title = peer_title
        """The title that the peer has proved, or that was configured; once known, no other is accepted."""
        self._claimed_title = b""
        """The title that the peer claims in this association, until a tag or a proof under it was right."""
        self._dedicated_key = b""
        self._sent_name = _sent_name(system_title, keys.unicast)
        self._names = {"unicast": _name_of_key(keys.unicast), "broadcast": _name_of_key(keys.broadcast)}
        self._next = 0
        self._reserved_end = 0
        self._broadcast_run: Iterator[int] = iter(())
        """Counters reserved under the broadcast key."""
        self._tried: range | None = None
        """The counters left of a try; None without one."""
        self._untried_block = -1
        """The block that was seen last to hold no tried counter."""
        self._dedicated_accepted = -1

    def __repr__(self) -> str:
        """Write both system titles, and no key."""
        return f"SecurityContext({self.system_title.hex()} to {self.peer_title.hex() or 'anyone'}, {self.control.text})"

    @property
    def peer_title(self) -> bytes:
        """The peer's system title, as it is known or claimed in this association; b"" until then."""
        return self._peer_title or self._claimed_title

    @property
    def proved_title(self) -> bytes:
        """The peer's system title that was configured, or under which a tag or a proof was right; b"" until then."""
        return self._peer_title

    @property
    def has_dedicated_key(self) -> bool:
        """Whether a dedicated key is set."""
        return bool(self._dedicated_key)

    @property
    def last_received(self) -> int:
        """The highest counter accepted from the peer under the unicast key; -1 where there was none."""
        return self._counters.accepted(self._received_name("unicast", self._peer_title)) - 1

    def learn_peer(self, system_title: bytes) -> None:
        """Note the system title that the peer claims in AARQ or AARE; it is kept once a tag or a proof was right.

        Raises:
            WireError: it has another size, or another title was expected.

        """
        if len(system_title) != SYSTEM_TITLE_SIZE:
            raise WireError(f"a system title has {SYSTEM_TITLE_SIZE} octets, not {len(system_title)}", None, "AP-title")
        if self._peer_title and system_title != self._peer_title:
            raise SecurityError(
                f"the peer calls itself {system_title.hex()}, not {self._peer_title.hex()}", None, "AP-title"
            )
        if system_title == self.system_title:  # one title at both ends would repeat nonces and reflect proofs
            raise SecurityError(f"the peer calls itself {system_title.hex()}, as we do", None, "AP-title", CLAUSE)
        self._claimed_title = system_title

    def use_dedicated_key(self, key: bytes) -> None:
        """Cipher with this key under ded- tags.

        What we send takes the counters of the global unicast key: a client may name the same dedicated key twice, or
        one that is global too. What is received begins anew.

        Raises:
            WireError: it has another size.

        """
        if len(key) != len(self.keys.unicast):
            raise WireError(
                f"a dedicated key has {len(self.keys.unicast)} octets, not {len(key)}", None, "dedicated-key"
            )
        self._dedicated_key = key
        self._dedicated_accepted = -1

    def forget_dedicated_key(self) -> None:
        """Go back to the global keys: the association has ended, and with it a title that was only claimed."""
        self._dedicated_key = self._claimed_title = b""

    def protect(
        self, octets: bytes, *, dedicated: bool = False, general: bool = False, control: SecurityControl | None = None
    ) -> bytes:
        """Protect a plain APDU, with service-specific tags where the service has one.

        Args:
            octets: the plain APDU.
            dedicated: under the dedicated key.
            general: by general ciphering, with our system title in the clear.
            control: what to apply; the context's own by default.

        Raises:
            CounterExhaustedError: no counter is left.

        """
        applied = self.control if control is None else control | SecurityControl(self.keys.suite.number)
        if dedicated and not self._dedicated_key:
            raise ValueError("no dedicated key is set")
        is_broadcast = not dedicated and bool(applied & SecurityControl.BROADCAST_KEY)
        counter = self._take_broadcast_counter() if is_broadcast else self._take_counter()
        content = CipheredContent(applied, counter, self._seal(octets, applied, counter, dedicated=dedicated))
        if general or octets[0] == ApduTag.DATA_NOTIFICATION:
            tag = ApduTag.GENERAL_DED_CIPHERING if dedicated else ApduTag.GENERAL_GLO_CIPHERING
            return write_apdu(GeneralCipheredApdu(tag, self.system_title, content))
        return write_apdu(CipheredApdu(ciphered_tag(octets[0], dedicated=dedicated), content))

    def unprotect(self, octets: bytes) -> Opened:
        """Check and remove the protection of a ciphered APDU.

        Raises:
            ReplayError: its counter is not above all that were accepted.
            KeyMissingError: it needs a key that is not at hand.
            KeyWrongError: the tag differs, or the plaintext is not an APDU.
            SecurityError: less is applied than required, or another system title than the peer's.
            WireError: it is no ciphered APDU.

        """
        apdu = read_apdu(octets)
        if not isinstance(apdu, _SERVICE_CIPHERED):
            raise SecurityError(f"{_name_of(octets)} is not protected", 0, "apdu", CLAUSE)
        title = self._title_of(apdu)
        control = apdu.content.security_control
        if control & self.required != self.required:
            reason = f"{control.text} is less than {self.required.text}"
            raise SecurityError(reason, None, "security-control", CLAUSE)
        is_dedicated = apdu.tag in _DEDICATED_TAGS
        self._refuse_replay(apdu.content, title, is_dedicated=is_dedicated)
        plain = self._open(apdu.content, title, is_dedicated=is_dedicated)
        _check_plain(plain, apdu, control)
        self._accept(apdu.content, title, is_dedicated=is_dedicated)
        if control & SecurityControl.AUTHENTICATION and title == self._claimed_title:
            self._peer_title = title
        return Opened(plain, control, is_dedicated, isinstance(apdu, GeneralCipheredApdu), title)

    def is_authentic(self, octets: bytes) -> bool:
        """Return whether a ciphered APDU was made by the peer, whatever its counter is: a replay, too, was made by it.

        Nothing is accepted or learnt.
        """
        try:
            apdu = read_apdu(octets)
            if not isinstance(apdu, _SERVICE_CIPHERED) or apdu.tag in _DEDICATED_TAGS:
                return False
            control = apdu.content.security_control
            if control & self.required != self.required or not control & SecurityControl.AUTHENTICATION:
                return False
            self._open(apdu.content, self._title_of(apdu), is_dedicated=False)
        except WireError:
            return False
        return True

    def own_handshake(self, challenge: bytes) -> Handshake:
        """Return what our proof over the peer's challenge is made from; spends a counter."""
        return Handshake(
            challenge,
            system_title=self.system_title,
            keys=self.keys.global_unicast,
            invocation_counter=self._take_counter(),
        )

    def peer_handshake(self, challenge: bytes) -> Handshake:
        """Return the inputs that check the peer's proof over our challenge."""
        return Handshake(challenge, system_title=self.peer_title, keys=self.keys.global_unicast)

    def note_proof(self, counter: int, *, is_ciphered: bool) -> None:
        """Note that the peer's proof was right, and its counter.

        The random challenge proves that the answer is fresh, so the proof's own counter refuses nothing. Where the
        proof came in a ciphered APDU, that APDU's counter is the one to go on from: a proof under a higher one would
        refuse the next honest APDU.
        """
        self._peer_title = self.peer_title
        if not is_ciphered:
            self._counters.accept(self._received_name("unicast", self._peer_title), counter + 1)

    def raise_counter(self, counter: int) -> None:
        """Go on with ``counter`` or above: the peer has proved, under our key, that it has seen more than we know of.

        Raises:
            CounterExhaustedError: there is none above.

        """
        self._checked(counter)
        if self._tried is None and counter <= self._next < self._reserved_end:
            return
        self.drop_tried_counter()
        behind = counter - self._counters.reserve(self._sent_name, 1) - 1
        if behind > 0:
            self._counters.reserve(self._sent_name, behind)
        self._next = self._reserved_end = 0

    def try_counter(self, counter: int) -> None:
        """Send the next messages with ``counter`` or above: a peer says that it has seen more than we know of.

        Nobody has proved it yet, so the counters in between are not given up: after ``drop_tried_counter`` we go on
        where we were. The tried counters themselves are noted on disk, and never sent again.

        Raises:
            SecurityError: the jump is wider than ``COUNTER_JUMP_MAX``, or too much was tried there.

        """
        self.drop_tried_counter()
        first = self._reserve(1)
        self._next, self._reserved_end = first, first + 1
        if counter - first > COUNTER_JUMP_MAX or counter > COUNTER_MAX - TRIED_BLOCKS_MAX * TRIED_COUNTERS:
            raise SecurityError(f"the peer asks for counter {counter}, ours is at {first}", None, "counter", CLAUSE)
        if counter > first:
            self._tried = self._untried_counters(counter)

    @property
    def is_trying_counter(self) -> bool:
        """Whether messages are sent with a counter that no authenticated answer has confirmed yet."""
        return self._tried is not None

    def confirm_tried_counter(self) -> None:
        """Go on from the tried counter for good: an authenticated answer came to a message sent with it."""
        tried, self._tried = self._tried, None
        if tried is None:
            return
        behind = tried.stop - self._counters.reserve(self._sent_name, 1) - 1
        if behind > 0:
            self._counters.reserve(self._sent_name, behind)
        self._next, self._reserved_end = tried.start, tried.stop

    def drop_tried_counter(self) -> None:
        """Go on with our own counters: the try was not confirmed."""
        self._tried = None

    def _untried_counters(self, counter: int) -> range:
        """Return a block of counters from ``counter`` on that was never sent, noted as tried before it is used.

        It is noted first and compared with our own run afterwards, so that another process under the same counters
        either finds the note or is found.
        """
        lowest = -(-counter // TRIED_COUNTERS)
        for block in range(lowest, lowest + TRIED_BLOCKS_MAX):
            first = block * TRIED_COUNTERS
            is_new = self._counters.accept(self._tried_name(block), 1)
            if is_new and self._counters.reserve(self._sent_name, 1) < first:
                return range(first, first + TRIED_COUNTERS)
        raise SecurityError(f"counters from {counter} on were tried too often", None, "counter", CLAUSE)

    def _tried_name(self, block: int) -> str:
        return f"{TRIED}{self._sent_name}/{block}"

    def _reserve(self, count: int) -> int:
        """Reserve counters of our own run durably, above all that were tried, and return the first."""
        while True:
            first = self._counters.reserve(self._sent_name, count)
            blocks = range(first // TRIED_COUNTERS, (first + count - 1) // TRIED_COUNTERS + 1)
            if not any(map(self._is_tried, blocks)):
                return first

    def _is_tried(self, block: int) -> bool:
        if block == self._untried_block:
            return False
        if self._counters.accepted(self._tried_name(block)):
            return True
        self._untried_block = block
        return False

    def _received_name(self, key_set: str, title: bytes) -> str:
        return f"received/{title.hex()}/{self.system_title.hex()}/{self._names[key_set]}/{key_set}"

    def _take_counter(self) -> int:
        if self._tried:
            counter, self._tried = self._tried[0], self._tried[1:]
            return counter
        if self._next >= self._reserved_end:
            self._next = self._reserve(self._counter_block)
            self._reserved_end = self._next + self._counter_block
        counter = self._checked(self._next)
        self._next += 1
        return counter

    def _take_broadcast_counter(self) -> int:
        counter = next(self._broadcast_run, None)
        if counter is None:
            first = self._counters.reserve(_sent_name(self.system_title, self.keys.broadcast), self._counter_block)
            self._broadcast_run = iter(range(first + 1, first + self._counter_block))
            counter = first
        return self._checked(counter)

    def _checked(self, counter: int) -> int:
        if counter > COUNTER_MAX:
            raise CounterExhaustedError(self.peer_title)
        return counter

    def _seal(self, octets: bytes, control: SecurityControl, counter: int, *, dedicated: bool) -> bytes:
        keys = self._key_set(control, is_dedicated=dedicated)
        return protect(octets, int(control), system_title=self.system_title, invocation_counter=counter, keys=keys)

    def _open(self, content: CipheredContent, title: bytes, *, is_dedicated: bool) -> bytes:
        control = content.security_control
        keys = self._key_set(control, is_dedicated=is_dedicated)
        if control & SecurityControl.AUTHENTICATION and not keys.authentication:
            raise KeyMissingError("no authentication key is at hand", None, "security-control", CLAUSE)
        return unprotect(
            content.payload, int(control), system_title=title, invocation_counter=content.invocation_counter, keys=keys
        )

    def _key_set(self, control: SecurityControl, *, is_dedicated: bool) -> SuiteKeys:
        encryption = self.keys.unicast
        if is_dedicated:
            encryption = self._dedicated_key
        elif control & SecurityControl.BROADCAST_KEY:
            encryption = self.keys.broadcast
        if not encryption:
            name = "dedicated" if is_dedicated else "broadcast"
            raise KeyMissingError(f"no {name} key is at hand", None, "security-control", CLAUSE)
        return SuiteKeys(encryption, self.keys.authentication, self.keys.suite)

    def _title_of(self, apdu: CipheredApdu | GeneralCipheredApdu) -> bytes:
        if isinstance(apdu, CipheredApdu):
            if not self.peer_title:
                raise SecurityError("the peer has not sent its system title", None, "system-title", CLAUSE)
            return self.peer_title
        if len(apdu.system_title) != SYSTEM_TITLE_SIZE:
            reason = f"a system title has {SYSTEM_TITLE_SIZE} octets, not {len(apdu.system_title)}"
            raise WireError(reason, None, "system-title", CLAUSE)
        if self._peer_title and apdu.system_title != self._peer_title:
            reason = f"comes from {apdu.system_title.hex()}, not from {self._peer_title.hex()}"
            raise SecurityError(reason, None, "system-title", CLAUSE)
        return apdu.system_title

    def _counter_name(self, content: CipheredContent, title: bytes) -> str:
        is_broadcast = bool(content.security_control & SecurityControl.BROADCAST_KEY)
        return self._received_name("broadcast" if is_broadcast else "unicast", title)

    def _refuse_replay(self, content: CipheredContent, title: bytes, *, is_dedicated: bool) -> None:
        """Look before the octets are deciphered; ``_accept`` decides."""
        if is_dedicated:
            last = self._dedicated_accepted
        else:
            last = self._counters.accepted(self._counter_name(content, title)) - 1
        if content.invocation_counter <= last:
            raise _replay(content.invocation_counter, last)

    def _accept(self, content: CipheredContent, title: bytes, *, is_dedicated: bool) -> None:
        counter = content.invocation_counter
        if is_dedicated:
            self._dedicated_accepted = counter
        # One above, as the store begins at 0 and a peer's first counter may be 0.
        elif not self._counters.accept(self._counter_name(content, title), counter + 1):
            raise _replay(counter, counter)


def prove(
    mechanism: AuthenticationMechanism,
    challenge: bytes,
    *,
    secret: bytes = b"",
    security: SecurityContext | None = None,
) -> bytes:
    """Return our proof over the peer's challenge, by an HLS mechanism; either role.

    Args:
        mechanism: of the association.
        challenge: StoC at the client, CtoS at the server.
        secret: of mechanisms that share one.
        security: keys and counters of mechanisms that need them; a counter is spent.

    Raises:
        ValueError: the mechanism has no challenges, or needs a security context.

    """
    row = _hls(mechanism, security)
    handshake = security.own_handshake(challenge) if row.needs_keys and security else Handshake(challenge, secret)
    assert row.prove is not None  # noqa: S101 - our own invariant: _hls looked
    return row.prove(handshake)


def check_proof(
    mechanism: AuthenticationMechanism,
    proof: bytes,
    challenge: bytes,
    *,
    secret: bytes = b"",
    security: SecurityContext | None = None,
    is_ciphered: bool = False,
) -> None:
    """Check the peer's proof over our challenge, by an HLS mechanism; either role.

    Args:
        mechanism: of the association.
        proof: f(CtoS) at the client, f(StoC) at the server.
        challenge: the challenge we sent: CtoS at the client, StoC at the server.
        secret: of mechanisms that share one.
        security: keys and counters of mechanisms that need them.
        is_ciphered: whether the proof came in a ciphered APDU, whose own counter was checked.

    Raises:
        KeyWrongError: the proof is wrong.
        WireError: it has another form.
        ValueError: the mechanism has no challenges, or needs a security context.

    """
    row = _hls(mechanism, security)
    handshake = security.peer_handshake(challenge) if row.needs_keys and security else Handshake(challenge, secret)
    assert row.check is not None  # noqa: S101 - our own invariant: a row has both functions or none
    counter = row.check(proof, handshake)
    if counter is not None and security is not None:
        security.note_proof(counter, is_ciphered=is_ciphered)


def _hls(mechanism: AuthenticationMechanism, security: SecurityContext | None) -> Mechanism:
    row = mechanism_of(mechanism)
    if row is None or not row.is_hls:
        raise ValueError(f"{mechanism.text} answers no challenges")
    if row.needs_keys and security is None:
        raise ValueError(f"{row.text} needs a security context")
    return row


def is_ciphered(octets: bytes) -> bool:
    """Return whether an APDU's tag is one of service-specific or general glo-/ded-ciphering."""
    return bool(octets) and octets[0] in _CIPHERED_TAGS


def _sent_name(title: bytes, key: bytes) -> str:
    """Name the counters that one title sends under one key."""
    return f"sent/{title.hex()}/{_name_of_key(key)}"


def _name_of_key(key: bytes) -> str:
    """Name a key by a digest that does not lead back to it."""
    return blake2b(key, digest_size=8, person=b"meterspan key").hexdigest()


def _replay(counter: int, last: int) -> ReplayError:
    reason = f"invocation counter {counter} is not above {last}"
    expected = last + 1 if last < COUNTER_MAX else None
    return ReplayError(reason, None, "invocation-counter", CLAUSE, expected=expected)


def _check_plain(plain: bytes, apdu: CipheredApdu | GeneralCipheredApdu, control: SecurityControl) -> None:
    """Check that the plaintext is the APDU it claims; without a tag this alone detects a wrong key."""
    expected = plain_tag(apdu.tag) if isinstance(apdu, CipheredApdu) else None
    fits = bool(plain) and (plain[0] == expected if expected is not None else plain[0] in _PLAIN_TAGS)
    if fits:
        return
    if control & SecurityControl.AUTHENTICATION:
        raise WireError("plaintext tag does not match the ciphered tag", 0, "apdu", CLAUSE)
    raise KeyWrongError("deciphers to no APDU", 0, "apdu", CLAUSE)


def _name_of(octets: bytes) -> str:
    return ApduTag(octets[0]).text if octets and octets[0] in _PLAIN_TAGS else "an APDU"
