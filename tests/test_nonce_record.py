"""The record of nonces finds what it is for, and sees all that is sent."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from meterspan.engine import security as sender
from meterspan.engine.security import SecurityContext, SecurityKeys
from tests.conftest import IN_PROCESSES
from tests.memory import MemoryState
from tests.nonce_record import FOLDER_VARIABLE, SENDERS, NonceRecord, recording, repeated_in

SOURCE = Path(__file__).parents[1] / "src" / "meterspan"
KEYS = SecurityKeys(bytes(16), bytes(range(16)))
PROGRAM = """
import sys
from meterspan.crypto.hls import Handshake  # noqa: F401 - both senders are loaded
from meterspan.engine.security import SecurityContext, SecurityKeys

class Forgetful:
    def reserve(self, name, count):
        return 7

    def __getattr__(self, name):
        return lambda *given: None

keys = SecurityKeys(bytes(16), bytes(range(16)))
for text in sys.argv[1:]:
    context = SecurityContext(b"TITLE\\0\\0\\1", keys, counters=Forgetful())
    context.protect(bytes.fromhex(text))
"""
GET, OTHER = "c001c100080000010000ff0200", "c001c100080000010000ff0300"


@pytest.mark.attack(4)
@pytest.mark.nonces_repeat("repeats them, so that the record finds it")
def test_two_contents_under_one_counter_are_found_and_one_content_sent_again_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record = NonceRecord()
    monkeypatch.setattr(sender, "protect", recording(sender.protect, record.note))
    for text, count in ((GET, 0), (GET, 0), (OTHER, 1)):
        context = SecurityContext(b"TITLE\0\0\1", KEYS, counters=MemoryState())
        context.protect(bytes.fromhex(text))
        assert len(record.repeated) == count
    record.begin()
    assert record.repeated == []


@pytest.mark.attack(4)
@pytest.mark.parametrize(
    ("worlds", "sent", "is_found"),
    [
        (["one"], ([GET, OTHER],), True),
        (["one", "one"], ([GET], [OTHER]), True),
        (["one", "one"], ([GET], [GET]), False),
        (["one", "two"], ([GET], [OTHER]), False),
    ],
)
def test_two_contents_under_one_counter_are_found_in_programs_that_share_marks(
    tmp_path: Path, worlds: list[str], sent: tuple[list[str], ...], is_found: bool
) -> None:
    (tmp_path / "nonces").mkdir()
    for world, texts in zip(worlds, sent, strict=True):
        paths = [str(IN_PROCESSES), str(SOURCE.parent), os.environ.get("PYTHONPATH", "")]
        named = {
            FOLDER_VARIABLE: str(tmp_path / "nonces"),
            "METERSPAN_MARKS": world,
            "PYTHONPATH": os.pathsep.join(paths),
        }
        subprocess.run([sys.executable, "-c", PROGRAM, *texts], check=True, env=os.environ | named)
    assert len(list((tmp_path / "nonces").iterdir())) == len(worlds)
    assert bool(repeated_in(tmp_path / "nonces")) == is_found


CIPHERS = {
    "cryptography.hazmat.primitives.ciphers": {"crypto/mbus_modes.py"},
    "cryptography.hazmat.primitives.ciphers.aead": {"crypto/gcm.py", "crypto/key_binding.py"},
    "cryptography.hazmat.decrepit.ciphers.algorithms": {"crypto/mbus_modes.py"},
    "meterspan.crypto.gcm": {"crypto/suites.py"},
    "meterspan.crypto.suites.protect": {"engine/security.py", "crypto/hls.py"},
    "meterspan.crypto.mbus_modes.cbc_encrypt": {"engine/mbus_security.py"},
    "meterspan.crypto.mbus_modes.insecure_des_cbc_encrypt": {"engine/mbus_security.py"},
    "meterspan.crypto.mbus_modes.ell_crypt": {"engine/mbus_security.py"},
}
"""What enciphers, and the modules that may import it; those of ``protect`` are the ones that are recorded."""


def _imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@pytest.mark.attack(4)
def test_only_the_known_modules_call_the_encryption_of_a_cipher() -> None:
    imported = {path.relative_to(SOURCE).as_posix(): _imported(path) for path in SOURCE.rglob("*.py")}
    for name, known in CIPHERS.items():
        assert {module for module, names in imported.items() if name in names} == known, name
    assert {module for module, names in imported.items() if "meterspan.crypto" in names} == {"crypto/suites.py"}
    recorded = {f"{name.removeprefix('meterspan.').replace('.', '/')}.py" for name in SENDERS}
    assert CIPHERS["meterspan.crypto.suites.protect"] == recorded
