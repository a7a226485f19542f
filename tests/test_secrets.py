"""Rules over the whole code: no record shows a secret, and no traceback shows the values of a program."""

import dataclasses
import pkgutil
import re
from importlib import import_module
from pathlib import Path

import pytest

import meterspan
from meterspan.app.meter_keys import MeterKeys
from meterspan.engine.security import SecurityContext, SecurityKeys
from meterspan.head_end.inventory import KeyCustody
from tests.memory import MemoryState

SECRET = re.compile(
    r"(?:^|_)(?:keys?|secrets?|passwords?|challenge|encryption|authentication|authentication_value)(?:$|_)"
)
PLANTED = b"PLANTED-SECRET!!"
HELD = re.compile(r"\b(?:bytes|str|bytearray)\b")
SHOWN = {
    "Phrase.key": "the name of a phrase",
    "Afl.key_information": "a header field that is sent in the clear",
}
"""Fields whose names read like secrets, and what they are."""


def _dataclasses():
    for module in pkgutil.walk_packages(meterspan.__path__, "meterspan."):
        for value in vars(import_module(module.name)).values():
            if isinstance(value, type) and value.__module__ == module.name and dataclasses.is_dataclass(value):
                yield value


RECORDS = sorted(set(_dataclasses()), key=lambda kind: (kind.__module__, kind.__qualname__))


def _secrets(kind):
    return [
        field
        for field in dataclasses.fields(kind)
        if SECRET.search(field.name)
        and f"{kind.__name__}.{field.name}" not in SHOWN
        and (field.type in (bytes, str) or (HELD.search(str(field.type)) and "Callable" not in str(field.type)))
    ]


HOLDERS = [kind for kind in RECORDS if _secrets(kind)]


def test_the_rule_sees_the_records_of_the_package():
    assert len(RECORDS) > 400
    assert {"MeterKeys", "SecurityKeys", "SuiteKeys", "DeviceKeys", "DerivedKeys", "Handshake", "Protection"} <= {
        kind.__name__ for kind in HOLDERS
    }
    names = {f"{kind.__name__}.{field.name}" for kind in RECORDS for field in dataclasses.fields(kind)}
    assert set(SHOWN) <= names


@pytest.mark.attack(5)
@pytest.mark.finding("security low-7")
@pytest.mark.parametrize("kind", HOLDERS, ids=lambda kind: kind.__name__)
def test_no_record_shows_the_secrets_that_it_holds(kind):
    record = object.__new__(kind)
    for field in dataclasses.fields(kind):
        held = [field.name for field in _secrets(kind)]
        is_text = "bytes" not in str(field.type)
        planted = PLANTED.decode() if is_text else PLANTED
        object.__setattr__(record, field.name, planted if field.name in held else None)
    for shown in (repr(record), f"{record}"):
        assert PLANTED.decode() not in shown
        assert PLANTED.hex() not in shown


@pytest.mark.parametrize(
    "holder",
    [
        KeyCustody(PLANTED * 2),
        MeterKeys(PLANTED, PLANTED, PLANTED),
        SecurityKeys(PLANTED, PLANTED),
        SecurityContext(b"MSP\0\0\0\0\1", SecurityKeys(PLANTED, PLANTED), counters=MemoryState()),
    ],
    ids=lambda holder: type(holder).__name__,
)
def test_no_keeper_of_keys_shows_them(holder):
    assert PLANTED.decode() not in f"{holder!r} {holder}"
    assert PLANTED.hex() not in f"{holder!r} {holder}"


@pytest.mark.attack(5)
@pytest.mark.finding("security M1", "users A13")
def test_folders_and_empty_files_are_made_in_one_place_so_that_all_are_private():
    root = Path(meterspan.__file__).parent
    makers = re.compile(r"\.(?:mkdir|touch|makedirs)\(|\bumask\b|NamedTemporaryFile|\bO_CREAT\b")
    found = {path.relative_to(root).as_posix() for path in root.rglob("*.py") if makers.search(path.read_text("utf-8"))}
    assert found == {"store/private_files.py", "runtime/master_key.py", "app/meter_keys.py"}
