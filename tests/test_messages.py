"""Every sentence that a person is shown about a fault: rules over all messages, and over what programs print.

A fault of octets reads ``field: reason, at octet n (clause)``. Its reason stands alone ("CRC differs"), or is said of
its field ("length: needs 2 octets, has 1"); it names what the standard names, not what the code calls it.
"""

import ast
import re
import typing
from importlib import import_module
from pathlib import Path

import pytest

from meterspan import decode
from meterspan.cli import COMMANDS, main
from meterspan.mdm import MeterDataManagement
from meterspan.readings.decoder import Format
from meterspan.wire.errors import TruncatedError, WireError
from tests.helpers_bench import run_here
from tests.helpers_source import SOURCE, parsed

KINDS = {"BadParameter", "ConfigFault", "EndpointError"}
PREDICATES = {
    *("announces", "answers", "calls", "carries", "deciphers", "does", "echoes", "has", "holds", "is", "needs"),
    *("nests", "says", "stands"),
}
"""First words of a reason that is said of its field."""
WORD, VALUE = re.compile(r"[^\W_]+"), re.compile(r"\{[^}]*\}")
NAMES_OF_CODE = re.compile(r"__name__|\{\w*(apdu|record|frame)\}")
ERRNO = re.compile(r"\[Errno|Errno \d|codec can't|Traceback|Value error|object at 0x|<class|None\b")


def wire_errors(kind=WireError):
    yield kind.__name__
    for below in kind.__subclasses__():
        yield from wire_errors(below)


def text_of(node):
    """The words of a literal, a value in braces; None where the words come from elsewhere."""
    match node:
        case ast.Constant(value=str() as words):
            return words
        case ast.JoinedStr(values=parts):
            return "".join(p.value if isinstance(p, ast.Constant) else "{" + ast.unparse(p.value) + "}" for p in parts)
    return None


def messages():
    """Where, kind, reason and field (None where it is no literal) of each message of a fault in the code."""
    kinds = set(wire_errors()) | KINDS
    for path, tree in parsed():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            place = 2 if name == "ConfigFault" else 0
            if name in kinds and len(node.args) > place and (reason := text_of(node.args[place])) is not None:
                given = {word.arg: word.value for word in node.keywords}
                field = node.args[2] if name != "ConfigFault" and len(node.args) > 2 else given.get("field")
                yield f"{path.relative_to(SOURCE)}:{node.lineno}", name, reason, "" if field is None else text_of(field)


@pytest.mark.finding("users B10")
def test_each_reason_is_a_sentence_of_its_own_or_of_its_field():
    of_octets, wrong = set(wire_errors()), []
    found = list(messages())
    assert len(found) > 300, "the walk no longer finds the messages"
    for where, kind, reason, field in found:
        first = reason.split(maxsplit=1)[0]
        if NAMES_OF_CODE.search(reason):
            wrong.append(f"{where}: {reason!r} shows a name of the code")
        if reason != reason.strip() or reason.endswith((".", ":", "!")):
            wrong.append(f"{where}: {reason!r} ends oddly")
        if first[:1].isupper() and first[1:].islower():
            wrong.append(f"{where}: {reason!r} begins with a capital letter")
        if kind in of_octets and first in PREDICATES:
            if field == "":
                wrong.append(f"{where}: {reason!r} is said of nothing")
            elif field is not None and set(WORD.findall(field)) <= set(WORD.findall(VALUE.sub("", reason))):
                wrong.append(f"{where}: {reason!r} has the words of its field {field!r}, which is then not shown")
    assert not wrong, "\n".join(wrong)


def test_what_the_system_says_of_a_file_is_shown_in_words():
    wrong = []
    for path, tree in parsed():
        for node in ast.walk(tree):
            if not isinstance(node, ast.ExceptHandler) or node.type is None or node.name is None:
                continue
            if "OSError" not in ast.unparse(node.type):
                continue
            for inner in ast.walk(node):
                shown = isinstance(inner, ast.FormattedValue) and ast.unparse(inner.value) == node.name
                told = isinstance(inner, ast.Call) and ast.unparse(inner.func) in {"str", "plain", "repr"}
                if shown or (told and node.name in map(ast.unparse, inner.args)):
                    wrong.append(f"{path.relative_to(SOURCE)}:{inner.lineno}")
    assert set(wrong) == set(), "use model.reasons.reason_of or trouble_of"


def test_a_fault_of_octets_names_field_place_and_clause_once():
    assert str(TruncatedError("needs 1 octets, has 0", 3, "length", "A-XDR")) == (
        "length: needs 1 octet, has 0, at octet 3 (A-XDR)"
    )
    assert str(WireError("no flag closes the frame", 4, "flag")) == "no flag closes the frame, at octet 4"
    assert str(WireError("11 octets left over")) == "11 octets left over"
    assert str(WireError("CRC differs", None, "payload CRC")) == "payload CRC: CRC differs"


DAMAGED = [
    *(bytes([first]) + filling for first in range(256) for filling in (b"", b"\x00", b"\xff" * 9, bytes(range(40)))),
]


@pytest.mark.parametrize("kind", [None, *Format], ids=str)
def test_what_is_printed_of_damaged_octets_reads_as_one_sentence(kind):
    shape = re.compile(r"^[^\n]*[^\s.:,]$")
    for octets in DAMAGED:
        for error in decode(octets, as_=kind and str(kind)).errors:
            words = str(error)
            assert shape.match(words), words
            assert not ERRNO.search(words), words
            assert not words.startswith(tuple(f"{word} " for word in PREDICATES)), f"{words} is said of nothing"


WRONG_VALUES = {
    "export o.csv --resolution year": "'year' is not one of 'day', 'month'.",
    "meters nix": "'nix' is not one of",
    "serve x --port abc": "should be a valid integer",
    "read tcp://x:1 --timeout abc": "should be a valid number",
    "read tcp://x:1 --client 1000": "should be less than or equal to 127",
    "meter --wrapper=-5": "should be greater than or equal to 0",
    "read tcp://x:1 --auth nix": "'nix' is not one of",
}


@pytest.mark.finding("users B10")
@pytest.mark.parametrize("line", WRONG_VALUES)
def test_a_wrong_value_is_told_without_the_words_of_a_library(line):
    said = " ".join(run_here(*line.split()).stderr.replace("│", " ").split())
    assert f": {WRONG_VALUES[line]}" in said
    assert not re.search("Value error|Input should|unable to parse", said)


BAD_FILES = {
    ("demo", "data"): ["--data", "FILE"],
    ("meter", "keys"): ["--keys", "FOLDER"],
    ("meter", "state"): ["--state", "FILE"],
    ("read", "keys"): ["tcp://127.0.0.1:1", "--keys", "MISSING"],
    ("read", "state"): ["tcp://127.0.0.1:1", "--state", "FILE"],
    ("listen", "keys"): ["udp://127.0.0.1:1", "--keys", "BINARY"],
    ("display", "tariffs"): ["--tariffs", "MISSING", "tcp://127.0.0.1:1"],
    ("home", "keys"): ["--p1", "tcp://127.0.0.1:1", "--keys", "FOLDER"],
    ("home", "tariffs"): ["--p1", "tcp://127.0.0.1:1", "--tariffs", "BINARY"],
    ("home", "data"): ["--p1", "tcp://127.0.0.1:1", "--data", "FILE"],
    ("serve", "config"): ["MISSING"],
    ("serve", "data"): ["--data", "FILE"],
    ("serve", "master_key_file"): ["--data", "NEW", "--master-key-file", "FOLDER"],
    ("meters", "config"): ["remove", "M", "--config", "BINARY"],
    ("meters", "data"): ["remove", "M", "--data", "FILE"],
    ("meters", "master_key_file"): ["remove", "M", "--data", "NEW", "--master-key-file", "FOLDER"],
    ("import", "file"): ["FOLDER", "--data", "NEW", "--home", "h"],
    ("import", "data"): ["TABLE", "--data", "FILE", "--home", "h"],
    ("import", "rejects"): ["TABLE", "--data", "NEW", "--home", "h", "--rejects", "FOLDER"],
    ("export", "file"): ["FOLDER", "--data", "KEPT", "--format", "csv"],
    ("export", "data"): ["OUT.csv", "--data", "FILE"],
    ("export", "tariffs"): ["OUT.csv", "--data", "NEW", "--what", "totals", "--tariffs", "MISSING"],
    ("doctor", "data"): ["MISSING"],
}
"""A place of each kind that cannot be used, for each option of each command that takes one."""


def places_of_commands():
    for command, (target, _) in COMMANDS.items():
        module, _, function = target.partition(":")
        for name, kind in typing.get_type_hints(getattr(import_module(module), function)).items():
            if Path in (kind, *typing.get_args(kind)):
                yield command, name


def test_each_option_that_takes_a_file_is_tried_with_a_bad_one():
    assert set(BAD_FILES) == set(places_of_commands())


@pytest.mark.finding("users B10")
@pytest.mark.parametrize("which", BAD_FILES, ids=" ".join)
def test_a_file_that_cannot_be_used_is_named_in_plain_words(tmp_path, monkeypatch, capsys, which):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in ("HOME", "COLUMNS"):
        monkeypatch.setenv(name, {"HOME": str(tmp_path), "COLUMNS": "300"}[name])
    (tmp_path / "FOLDER").mkdir()
    (tmp_path / "FILE").write_text("a text\n", encoding="utf-8")
    (tmp_path / "BINARY").write_bytes(b"\xff\xfe\x00\x80" * 20)
    (tmp_path / "BINARY").chmod(0o600)
    MeterDataManagement(tmp_path / "KEPT" / "data").close()
    row = "M,1-0:1.8.0,2026-03-01T00:00Z,1,kWh"
    (tmp_path / "TABLE").write_text(f"device,obis,time,value,unit\n{row}\n", encoding="utf-8")
    arguments = [str(tmp_path / word) if word.partition(".")[0].isupper() else word for word in BAD_FILES[which]]
    monkeypatch.setattr("sys.argv", ["meterspan", which[0], *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    said = "".join(capsys.readouterr())
    bad = next(word for word in arguments if Path(word).name in {"FILE", "FOLDER", "BINARY", "MISSING"})
    assert ended.value.code not in {0, None}, said
    assert bad in re.sub(r"[\s│]", "", said), said
    assert not ERRNO.search(said), said
