"""The master key: made once, for its owner only, outside the data; anything else is refused with what to do."""

import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.runtime.master_key import MASTER_KEY_SIZE, MasterKeyError, load_master_key


@pytest.fixture
def places(tmp_path):
    """The key file and the data folder."""
    return tmp_path / "config" / "master.key", tmp_path / "data"


def test_a_master_key_is_made_once_and_only_for_its_owner(places):
    path, _ = places
    first = load_master_key(*places)
    assert load_master_key(*places) == first
    assert len(first) == MASTER_KEY_SIZE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_two_stations_never_get_the_same_key(tmp_path):
    assert len({load_master_key(tmp_path / str(number), tmp_path / "data") for number in range(8)}) == 8


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o610, 0o601, 0o666])
def test_a_key_that_others_may_touch_is_refused_with_the_command_that_mends_it(places, mode):
    path, _ = places
    load_master_key(*places)
    path.chmod(mode)
    with pytest.raises(MasterKeyError, match=f"chmod 600 {path}"):
        load_master_key(*places)


@pytest.mark.parametrize("place", ["master.key", "deep/master.key", "../data/master.key"])
def test_a_key_in_the_data_folder_is_refused_and_none_is_made_there(tmp_path, place):
    data = tmp_path / "data"
    with pytest.raises(MasterKeyError, match="data folder"):
        load_master_key(data / place, data)
    assert not data.exists()


def test_a_link_into_the_data_folder_is_no_way_round(places):
    path, data = places
    data.mkdir()
    path.parent.symlink_to(data)
    with pytest.raises(MasterKeyError, match="data folder"):
        load_master_key(*places)


@given(st.one_of(st.text(max_size=80).map(str.encode), st.binary(max_size=80)))
def test_a_file_of_anything_else_gives_a_key_or_words(tmp_path_factory, octets):
    path = tmp_path_factory.getbasetemp() / "anything.key"
    path.write_bytes(octets)
    path.chmod(0o600)
    try:
        key = load_master_key(path, path.with_name("nowhere"))
    except MasterKeyError as error:
        assert str(path) in str(error)  # noqa: PT017 (both outcomes are lawful; the words are checked)
    else:
        assert key == bytes.fromhex(octets.decode())
        assert len(key) == MASTER_KEY_SIZE


@pytest.mark.parametrize(("octets", "words"), [("abcd", "2 octets; a master key has 32"), ("xyz", "64 hexadecimal")])
def test_what_is_no_key_is_named(places, octets, words):
    path, _ = places
    load_master_key(*places)
    path.write_text(octets)
    with pytest.raises(MasterKeyError, match=words):
        load_master_key(*places)


def test_a_folder_in_place_of_the_file_is_told_and_not_a_traceback(places):
    path, _ = places
    path.mkdir(parents=True, mode=0o700)
    with pytest.raises(MasterKeyError, match="is a directory"):
        load_master_key(*places)


@pytest.mark.finding("security low-9")
def test_a_lost_key_with_keys_at_rest_is_refused_with_words_and_never_made_anew(places):
    path, data = places
    with pytest.raises(MasterKeyError, match="put your copy of it back"):
        load_master_key(path, data, wraps=lambda: True)
    assert not path.exists()
    key = load_master_key(path, data, wraps=lambda: False)
    assert load_master_key(path, data, wraps=lambda: True) == key
