"""A record of every (key, system title, counter) that is sent, and of what was sent with it: none has two contents.

``protect`` is the one function that encrypts or authenticates what we send; its two users are wrapped here. Within the
process of the tests a world ends with a test or an example of Hypothesis, as each begins with counters of its own.
Programs that tests start load this module by ``in_processes/sitecustomize.py`` and write their records into the folder
that ``FOLDER_VARIABLE`` names; there a world is a folder of marks. The records hold digests only.
"""

import importlib.abc
import importlib.machinery
import os
import sys
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path
from types import ModuleType
from typing import Any

FOLDER_VARIABLE = "METERSPAN_TEST_NONCES"
SENDERS = ("meterspan.engine.security", "meterspan.crypto.hls")
"""The modules that call ``protect``."""
_PROTECTED = 0x30
_PAIR, _CONTENT = 16, 8

Note = Callable[[tuple[bytes, bytes, int], tuple[int, bytes, bytes]], None]


class NonceRecord:
    """The record of one world after another."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Begin a world, in which nothing was sent."""
        self._seen: dict[tuple[bytes, bytes, int], tuple[int, bytes, bytes]] = {}
        self.repeated: list[str] = []

    def note(self, pair: tuple[bytes, bytes, int], content: tuple[int, bytes, bytes]) -> None:
        if self._seen.setdefault(pair, content) != content:
            self.repeated.append(f"title {pair[1].hex()}, counter {pair[2]}")


class RecordFile:
    """The record of one process, as digests in a file."""

    def __init__(self, folder: Path, world: str) -> None:
        self._world = world.encode()
        self._file = os.open(folder / str(os.getpid()), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, pair: tuple[bytes, bytes, int], content: tuple[int, bytes, bytes]) -> None:
        name = blake2b(repr((self._world, pair)).encode(), digest_size=_PAIR).digest()
        os.write(self._file, name + blake2b(repr(content).encode(), digest_size=_CONTENT).digest())


def repeated_in(folder: Path) -> list[str]:
    """List the processes that sent a second content under a pair."""
    seen: dict[bytes, bytes] = {}
    found = []
    size = _PAIR + _CONTENT
    for path in sorted(folder.iterdir()):
        octets = path.read_bytes()
        for start in range(0, len(octets) - size + 1, size):
            pair, content = octets[start : start + _PAIR], octets[start + _PAIR : start + size]
            if seen.setdefault(pair, content) != content:
                found.append(path.name)
    return found


def recording(protect: Callable[..., bytes], note: Note) -> Callable[..., bytes]:
    """Wrap ``protect``."""

    def wrapped(plaintext: bytes, security_control: int, **given: Any) -> bytes:
        if security_control & _PROTECTED:
            keys = given["keys"]
            pair = (keys.encryption, given["system_title"], given["invocation_counter"])
            note(pair, (security_control, plaintext, keys.authentication))
        return protect(plaintext, security_control, **given)

    return wrapped


def wrap(module: ModuleType, note: Note) -> None:
    """Wrap the ``protect`` that a module calls."""
    module.protect = recording(module.protect, note)


class _Finder(importlib.abc.MetaPathFinder):
    """Wraps the senders when they are imported."""

    def __init__(self, note: Note) -> None:
        self._note = note

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in SENDERS:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def execute_and_wrap(module: ModuleType) -> None:
            execute(module)
            wrap(module, self._note)

        spec.loader.exec_module = execute_and_wrap
        return spec


def record_in(folder: Path, world: str) -> None:
    """Record what this process sends from now on; the senders are not imported yet."""
    sys.meta_path.insert(0, _Finder(RecordFile(folder, world).note))
