"""The short path over a known layout gives what the walk gives."""

from hypothesis import given, settings
from hypothesis import strategies as st

from meterspan.wire.mbus import read_records
from meterspan.wire.mbus.layout import MAX_LAYOUTS, LayoutCache, compile_layout
from tests.strategies import mbus_record_octets

PLAIN = bytes.fromhex("2F2F0413E8030000023BC8000C7878563412 0D11034142432F2F".replace(" ", ""))


@settings(max_examples=200)
@given(st.lists(mbus_record_octets(), max_size=5), st.integers(0, 3), st.randoms(use_true_random=False))
def test_a_layout_reads_any_plaintext_that_fits_as_the_walk_does(parts, fillers, random):
    octets = b"\x2f" * fillers + b"".join(parts) + b"\x2f" * fillers
    layout = compile_layout(octets)
    assert layout is not None
    assert layout.fits(octets)
    assert layout.read(octets) == read_records(octets)
    mask = layout.mask.to_bytes(len(octets), "big")
    other = bytes(octet if fixed else random.randrange(256) for octet, fixed in zip(octets, mask, strict=True))
    assert layout.fits(other)
    assert layout.read(other) == read_records(other)
    assert layout.values(other) == [record.value for record in read_records(other).records]


def test_other_headers_or_lengths_do_not_fit():
    layout = compile_layout(PLAIN)
    mask = layout.mask.to_bytes(len(PLAIN), "big")
    for at, fixed in enumerate(mask):
        changed = bytearray(PLAIN)
        changed[at] ^= 0x01
        assert layout.fits(bytes(changed)) == (not fixed)
    assert not layout.fits(PLAIN[:-1])
    assert not layout.fits(PLAIN + b"\x2f")


def test_damaged_records_and_manufacturer_data_have_no_layout():
    assert compile_layout(bytes.fromhex("0413E80300")) is None
    assert compile_layout(bytes.fromhex("0F0102")) is None


def test_offsets_are_moved_by_the_base():
    records = compile_layout(PLAIN).read(PLAIN, 15).records
    assert [record.offset for record in records] == [17, 23, 27, 33]


def test_a_cache_is_bounded_and_finds_only_what_fits():
    cache = LayoutCache()
    assert cache.find(b"a", PLAIN) is None
    assert cache.learn(b"a", PLAIN) is cache.find(b"a", PLAIN)
    assert cache.find(b"a", PLAIN[:-1]) is None
    assert cache.learn(b"b", b"\x0f") is None
    for number in range(MAX_LAYOUTS + 10):
        cache.learn(number.to_bytes(2, "big"), PLAIN)
    assert len(cache) == MAX_LAYOUTS
