"""Security contexts: one per device for sessions and pushes alike, kept while its keys and its title are the same."""

from dataclasses import replace

import pytest

from meterspan.engine.links import DeviceProtocol
from meterspan.engine.security import SecurityContext, SecurityKeys
from meterspan.head_end import contexts
from meterspan.head_end.contexts import ContextCache
from meterspan.head_end.inventory import Device, KeyCustody, KeyPurpose
from meterspan.head_end.system import HeadEnd
from meterspan.quantities import Commodity
from meterspan.wire.errors import KeyWrongError, SecurityError
from tests.memory import MemoryState

TITLE = b"MSP\0\0\0\0\1"
OUR_TITLE = b"MSPH\0\0\0\1"
CUSTODY = KeyCustody(bytes(32))


class NoSink:
    """A sink that no test here reaches."""


def wrapped(name, key):
    return tuple(
        (purpose, CUSTODY.wrap(key, name, purpose))
        for purpose in (KeyPurpose.GLOBAL_UNICAST, KeyPurpose.AUTHENTICATION)
    )


def device(number, key=bytes(16), title=TITLE):
    return Device(
        f"M{number}",
        Commodity.ELECTRICITY,
        DeviceProtocol.DLMS_WRAPPER,
        "",
        "cell",
        system_title=title,
        wrapped_keys=wrapped(f"M{number}", key),
    )


@pytest.fixture
def head_end():
    return HeadEnd(NoSink(), CUSTODY)


@pytest.fixture
def cache(head_end):
    return ContextCache(head_end, system_title=b"MSPH\0\0\0\1", counters=MemoryState())


def test_sessions_and_pushes_of_a_device_share_one_context_so_that_counters_rise_in_order(head_end, cache):
    head_end.add_device(device(1), 0.0)
    found, context = cache.of_title(TITLE)
    assert found == device(1)
    assert cache.of(replace(found, endpoint="10.0.0.9:4059")) is context


@pytest.mark.parametrize("change", [{"key": bytes(15) + b"\1"}, {"title": b"MSP\0\0\0\0\7"}])
def test_new_keys_or_another_system_title_give_a_new_context_for_it(cache, change):
    old = cache.of(device(1))
    new = cache.of(device(1, **change))
    assert new is not old
    assert new.peer_title == change.get("title", TITLE)
    assert cache.of(device(1, **change)) is new


def test_two_devices_never_share_a_context_even_with_equal_keys(cache):
    assert cache.of(device(1)) is not cache.of(device(2))


def test_an_unknown_title_has_no_context_and_keys_of_another_master_key_open_none(head_end, cache):
    assert cache.of_title(b"XXX\0\0\0\0\1") is None
    foreign = KeyCustody(b"\1" * 32).wrap(bytes(16), "M1", KeyPurpose.GLOBAL_UNICAST)
    head_end.add_device(replace(device(1), wrapped_keys=((KeyPurpose.GLOBAL_UNICAST, foreign),)), 0.0)
    with pytest.raises(KeyWrongError):
        cache.of_title(TITLE)


def test_a_device_without_keys_has_no_context(cache):
    with pytest.raises(ValueError, match="key"):
        cache.of(replace(device(1), wrapped_keys=()))


def test_beyond_the_bound_the_context_used_longest_ago_is_given_up(monkeypatch, cache):
    monkeypatch.setattr(contexts, "CONTEXTS_KEPT", 2)
    first, second = cache.of(device(1)), cache.of(device(2))
    assert cache.of(device(1)) is first
    cache.of(device(3))
    assert cache.of(device(1)) is first
    assert cache.of(device(2)) is not second


def proved(context, title):
    """Let a device with this title prove itself to a context."""
    peer = SecurityContext(title, SecurityKeys(bytes(16), bytes(16)), counters=MemoryState(), peer_title=OUR_TITLE)
    context.learn_peer(title)
    assert context.unprotect(peer.protect(bytes.fromhex("C40100"))).system_title == title


def test_a_title_that_was_only_claimed_is_not_kept(head_end):
    state = MemoryState()
    untitled = device(1, title=b"")
    cache = ContextCache(head_end, system_title=OUR_TITLE, counters=state, state=state)
    cache.of(untitled).learn_peer(b"FORGED\0\1")
    cache.pin(untitled)
    again = ContextCache(head_end, system_title=OUR_TITLE, counters=state, state=state)
    assert again.of(untitled).peer_title == b""
    proved(again.of(untitled), TITLE)


def test_a_title_that_was_proved_is_pinned_over_restarts_until_the_keys_change(head_end):
    state = MemoryState()
    untitled = device(1, title=b"")
    cache = ContextCache(head_end, system_title=OUR_TITLE, counters=state, state=state)
    proved(cache.of(untitled), TITLE)
    cache.pin(untitled)
    again = ContextCache(head_end, system_title=OUR_TITLE, counters=state, state=state)
    with pytest.raises(SecurityError, match="calls itself"):
        again.of(untitled).learn_peer(b"FORGED\0\1")
    assert again.of(device(1, key=bytes(15) + b"\1", title=b"")).peer_title == b""


def test_the_title_of_the_inventory_goes_before_a_pinned_one(head_end):
    state = MemoryState()
    cache = ContextCache(head_end, system_title=OUR_TITLE, counters=state, state=state)
    cache.of(device(1))
    cache.pin(device(1))
    assert state.kept == {}
