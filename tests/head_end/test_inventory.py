"""The inventory under any sequence of records, and its keys: wrapped at rest, opened by their master key only."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from meterspan.crypto.key_wrap import wrap_key
from meterspan.crypto.mechanisms import MECHANISMS
from meterspan.engine.links import DeviceProtocol
from meterspan.head_end.inventory import Device, Inventory, KeyCustody, KeyPurpose, purposes_of
from meterspan.quantities import Commodity
from meterspan.wire.errors import KeyWrongError

KEY = bytes(range(16))
METER = Device("M1", Commodity.ELECTRICITY, DeviceProtocol.DLMS_WRAPPER, "10.0.0.1:4059", "cell")
names = st.sampled_from(["M1", "M2", "M3"])
titles = st.sampled_from([b"", b"MSP\0\0\0\0\1", b"MSP\0\0\0\0\2"])
master_keys = st.sampled_from([16, 24, 32]).flatmap(lambda size: st.binary(min_size=size, max_size=size))


class Records(RuleBasedStateMachine):
    """Puts records in any order; a plain dictionary says what must be found."""

    def __init__(self) -> None:
        super().__init__()
        self.inventory = Inventory()
        self.expected: dict[str, Device] = {}
        self.holder: dict[bytes, str] = {}

    @rule(name=names, title=titles)
    def put(self, name, title):
        device = replace(METER, device=name, system_title=title)
        self.inventory.put(device)
        self.expected[name] = device
        self.holder[title] = name

    @invariant()
    def the_newest_record_of_each_device_is_found(self):
        assert list(self.inventory) == list(self.expected.values())
        assert len(self.inventory) == len(self.expected)
        for name in ("M1", "M2", "M3"):
            assert self.inventory.get(name) == self.expected.get(name)

    @invariant()
    def a_title_finds_the_device_that_has_it_and_was_put_last(self):
        for title in (b"MSP\0\0\0\0\1", b"MSP\0\0\0\0\2"):
            device = self.expected.get(self.holder.get(title, ""))
            has_it = device is not None and device.system_title == title
            assert self.inventory.of_title(title) == (device if has_it else None)

    @invariant()
    def no_title_finds_no_device(self):
        assert self.inventory.of_title(b"") is None


TestRecords = Records.TestCase


@given(master_keys, st.binary(max_size=255))
def test_a_wrapped_key_is_opened_by_its_master_key_and_is_not_seen_in_the_wrapping(master_key, key):
    custody = KeyCustody(master_key)
    wrapped = custody.wrap(key, "M1", KeyPurpose.RADIO)
    assert custody.unwrap(wrapped, "M1", KeyPurpose.RADIO) == key
    assert len(key) < 8 or key not in wrapped


@given(master_keys, st.binary(max_size=40), st.data())
def test_another_master_key_or_a_changed_octet_opens_nothing(master_key, key, data):
    wrapped = KeyCustody(master_key).wrap(key, "M1", KeyPurpose.RADIO)
    place = data.draw(st.integers(0, len(wrapped) - 1))
    changed = bytes([*wrapped[:place], wrapped[place] ^ data.draw(st.integers(1, 255)), *wrapped[place + 1 :]])
    other = bytes([master_key[0] ^ 1]) + master_key[1:]
    with pytest.raises(KeyWrongError):
        KeyCustody(master_key).unwrap(changed, "M1", KeyPurpose.RADIO)
    with pytest.raises(KeyWrongError):
        KeyCustody(other).unwrap(wrapped, "M1", KeyPurpose.RADIO)


names = st.text(max_size=12)
purposes = st.sampled_from(KeyPurpose)


@pytest.mark.attack(5)
@pytest.mark.finding("security M7")
@given(st.binary(max_size=40), st.tuples(names, purposes), st.tuples(names, purposes))
def test_a_wrapped_key_opens_for_its_own_device_and_purpose_alone(key, own, other):
    custody = KeyCustody(bytes(32))
    wrapped = custody.wrap(key, *own)
    assert (custody.wrap(key, *other) == wrapped) == (own == other)
    assert custody.unwrap(wrapped, *own) == key
    if own != other:
        with pytest.raises(KeyWrongError, match="another master key, device or purpose"):
            custody.unwrap(wrapped, *other)


@pytest.mark.finding("security M7")
def test_keys_copied_from_another_record_do_not_open():
    custody = KeyCustody(bytes(32))
    rogue = replace(
        METER, device="ROGUE", wrapped_keys=((KeyPurpose.RADIO, custody.wrap(KEY, "ROGUE", KeyPurpose.RADIO)),)
    )
    assert custody.keys_of(rogue).radio == KEY
    with pytest.raises(KeyWrongError):
        custody.keys_of(replace(METER, wrapped_keys=rogue.wrapped_keys))


@given(st.binary(max_size=40))
def test_a_key_that_an_earlier_release_wrapped_is_bound_once_and_then_stays(key):
    custody, padded = KeyCustody(bytes(32)), bytes([len(key)]) + key
    unbound = wrap_key((padded + bytes(-len(padded) % 8)).ljust(16, b"\0"), kek=bytes(32))
    old = replace(METER, wrapped_keys=((KeyPurpose.PASSWORD, unbound),))
    with pytest.raises(KeyWrongError):
        custody.keys_of(old)
    bound = custody.bound(old)
    assert custody.keys_of(bound).password == key
    assert custody.bound(bound) is bound
    with pytest.raises(KeyWrongError):
        KeyCustody(b"\1" * 32).bound(old)


@given(st.integers(0, 64).filter(lambda size: size not in (16, 24, 32)))
def test_a_master_key_of_another_length_is_refused(size):
    with pytest.raises(ValueError, match=f"16, 24 or 32 octets, not {size}"):
        KeyCustody(bytes(size))


@given(st.dictionaries(st.sampled_from(KeyPurpose), st.binary(min_size=1, max_size=32)))
def test_each_key_of_a_device_opens_under_its_purpose_and_is_not_shown(keys):
    custody = KeyCustody(bytes(32))
    wrapped = tuple((purpose, custody.wrap(key, METER.device, purpose)) for purpose, key in keys.items())
    device = replace(METER, wrapped_keys=wrapped)
    opened = custody.keys_of(device)
    shown = {purpose: getattr(opened, purpose.replace("-", "_")) for purpose in KeyPurpose}
    assert shown == {purpose: keys.get(purpose) for purpose in KeyPurpose}
    assert repr(opened) == "DeviceKeys()"
    assert "wrapped_keys" not in repr(device)


@pytest.mark.parametrize("mechanism", MECHANISMS, ids=lambda mechanism: mechanism.short)
def test_a_mechanism_asks_for_exactly_the_keys_that_it_uses(mechanism):
    purposes = set(purposes_of(mechanism))
    assert (KeyPurpose.PASSWORD in purposes) == mechanism.needs_secret
    both = {KeyPurpose.GLOBAL_UNICAST, KeyPurpose.AUTHENTICATION}
    assert purposes & both == (both if mechanism.needs_keys else set())
    assert KeyPurpose.RADIO not in purposes
