"""The one cache is bounded by octets, drops what was asked for longest ago, and never goes back to an older value."""

from meterspan.mdm.derived import OVERHEAD, Derived, Kept


def kept(value, stamp=1, octets=0):
    return Kept(stamp, (), 0, 0, value, octets)


def test_a_value_is_found_under_its_key_until_a_later_one_takes_its_place():
    derived = Derived()
    derived.put("a", kept("new", stamp=5))
    derived.put("a", kept("old", stamp=4))
    assert derived.get("a").value == "new"
    derived.put("a", kept("newest", stamp=6))
    assert derived.get("a").value == "newest"
    assert derived.get("b") is None
    assert len(derived) == 1


def test_what_was_asked_for_longest_ago_goes_where_there_is_no_room():
    derived = Derived(max_octets=3 * OVERHEAD + 100)
    for name in "abc":
        derived.put(name, kept(name))
    derived.get("a")
    derived.put("d", kept("d", octets=50))
    assert [derived.get(name) is None for name in "abcd"] == [False, True, False, False]


def test_a_value_larger_than_the_room_is_kept_alone():
    derived = Derived(max_octets=1_000)
    derived.put("a", kept("a"))
    derived.put("b", kept("b", octets=5_000))
    assert (derived.get("a"), derived.get("b").value) == (None, "b")
