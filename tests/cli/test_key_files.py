import os
import stat
import sys

import pytest
import typer
from rich.console import Console

from meterspan.app.meter_keys import MeterKeys
from meterspan.cli.key_files import (
    append_keys,
    given_keys,
    load_key_file,
    parse_key,
    parse_password,
    read_key_file,
    warn_of_visible_keys,
)
from meterspan.model.radio_protection import RadioProtection
from meterspan.quantities import UNITS, Scaled

KEY = bytes(range(16))


@pytest.fixture(autouse=True)
def files_are_their_owners():
    """The files that these tests write are private, as key files must be."""
    before = os.umask(0o077)
    yield
    os.umask(before)


def test_what_is_appended_is_read_again_and_only_its_owner_may(tmp_path):
    path = tmp_path / "folder" / "keys.toml"
    first, second = MeterKeys(KEY, bytes(16), b"pass\nword"), MeterKeys(KEY)
    append_keys(path, "MSP10000000042", first)
    append_keys(path, "MSP-10000042-03", second)
    assert read_key_file(path) == {"MSP10000000042": first, "MSP-10000042-03": second}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert KEY.hex() not in repr(first)


def test_a_radio_meters_entry_holds_the_protection_that_it_requires_and_the_most_that_its_register_rises(tmp_path):
    path = tmp_path / "keys.toml"
    path.write_text(
        f"[meters.A]\nkey = '{KEY.hex()}'\nprotection = 'authenticated'\nhourly_max = '2.5 m3'\n"
        f"[meters.B]\nkey = '{KEY.hex()}'\nhourly_max = '40 kWh'\n[meters.C]\nprotection = 'insecure-plain'\n"
    )
    assert read_key_file(path) == {
        "A": MeterKeys(KEY, protection=RadioProtection.AUTHENTICATED, hourly_max=Scaled(25, -1, UNITS["m3"])),
        "B": MeterKeys(KEY, hourly_max=Scaled(40, 3, UNITS["Wh"])),
        "C": MeterKeys(protection=RadioProtection.INSECURE_PLAIN),
    }


def test_secrets_come_as_text_or_from_files(tmp_path):
    path = tmp_path / "secret"
    path.write_text(KEY.hex(" ") + "\n")
    assert parse_key(f"@{path}", "--key") == parse_key(KEY.hex(), "--key") == KEY
    assert parse_key(None, "--key") == b""
    path.write_text("open sesame\n")
    assert parse_password(f"@{path}") == parse_password("open sesame") == b"open sesame"
    assert parse_password("hex:0001") == b"\x00\x01"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[meters.A]\nkey = '12'", "16 octets"),
        ("[meters.A]\nkey = 'zz'", "hexadecimal"),
        ("[meters.A]\nunknown = 'x'", "auth_key, hourly_max, key, password, protection"),
        ("[meters.A]\nprotection = 'none'", "insecure-plain, encrypted, authenticated"),
        (f"[meters.A]\nkey = '{KEY.hex()}'\nprotection = 'insecure-plain'", "cannot be insecure-plain"),
        ("[meters.A]\nprotection = 'authenticated'", "needs a key"),
        ("[meters.A]\nhourly_max = '3'", "like 2.5 m3"),
        ("[meters.A]\nhourly_max = 'three m3'", "like 2.5 m3"),
        ("[meters.A]\nhourly_max = '-3 m3'", "like 2.5 m3"),
        ("[meters.A]\nhourly_max = 'NaN m3'", "like 2.5 m3"),
        ("meters = 3", "write a table"),
        ("[[[", "is no TOML file"),
        ("\udcff", "is no UTF-8 text"),
    ],
)
def test_a_wrong_key_file_says_where(tmp_path, text, words):
    path = tmp_path / "keys.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(typer.BadParameter, match=words) as refused:
        read_key_file(path)
    with pytest.raises(ValueError, match=words) as again:
        load_key_file(path)
    assert str(again.value) == refused.value.message


def test_the_secrets_of_a_command_line_are_those_that_were_given():
    assert given_keys(KEY.hex(), None, "hex:0001") == MeterKeys(KEY, b"", b"\x00\x01")
    assert given_keys(None, KEY.hex(), None) == MeterKeys(b"", KEY)
    with pytest.raises(typer.BadParameter) as refused:
        given_keys(None, "12", None)
    assert refused.value.param_hint == "--auth-key"


@pytest.mark.parametrize(
    ("arguments", "is_warned"),
    [
        (["read", "--key", "00" * 16], True),
        (["read", "--password=x"], True),
        (["read", "--key", "@file"], False),
        (["read", "--auth-key=@file"], False),
        (["read", "--keys", "file"], False),
    ],
)
def test_visible_secrets_are_warned_of(monkeypatch, capsys, arguments, is_warned):
    monkeypatch.setattr(sys, "argv", ["meterspan", *arguments])
    warn_of_visible_keys(Console(stderr=True))
    assert ("visible to every user" in " ".join(capsys.readouterr().err.split())) == is_warned


@pytest.mark.finding("security M2")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666, 0o602])
def test_secrets_in_a_file_that_others_may_touch_are_refused_with_the_command_that_mends_it(tmp_path, mode):
    path = tmp_path / "keys.toml"
    path.write_text(f"[meters.A]\nkey = '{KEY.hex()}'\n")
    path.chmod(mode)
    with pytest.raises(typer.BadParameter, match=f"chmod 600 {path}"):
        read_key_file(path)
    with pytest.raises(typer.BadParameter, match=f"chmod 600 {path}"):
        parse_key(f"@{path}", "--key")
    path.chmod(0o600)
    assert read_key_file(path) == {"A": MeterKeys(KEY)}
