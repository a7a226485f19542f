"""The machine as the marks of invocation counters know it: its name, its boot, and the folder of its marks."""

import os
from hashlib import blake2b
from pathlib import Path
from typing import Final

from meterspan.store.counter_marks import MarksPlace

__all__ = ["MARKS_VARIABLE", "this_machine"]

MARKS_VARIABLE: Final = "METERSPAN_MARKS"
"""Names the folder of the marks, where the usual one is not kept on this machine: in a container, for example."""
_MACHINE: Final = Path("/etc/machine-id")
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


def this_machine() -> MarksPlace:
    """Return where the marks of this machine are: beside the folder of all states, not in it."""
    return MarksPlace(_folder(), _short(_MACHINE), _short(_BOOT))


def _folder() -> Path:
    chosen = os.environ.get(MARKS_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "meterspan-marks"


def _short(path: Path) -> str:
    """Return a digest of what a file says, as the name of a machine is not for others (machine-id(5)); "" without."""
    try:
        text = path.read_bytes().strip()
    except OSError:
        return ""
    return blake2b(text, digest_size=8, person=b"meterspan marks").hexdigest() if text else ""
