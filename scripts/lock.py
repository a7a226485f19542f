"""Write the locks: for each level of ``scripts/setup`` the exact packages that it adds, with the hashes of their files.

Strategy: ``uv`` resolves all levels together, once, for every platform and every Python from the least one on; each
level is then resolved again within those versions and written without what the level below holds already.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
LEVELS: Final = {"run": ("build",), "test": ("test",), "check": ("check", "docs", "tools")}
"""Level of ``scripts/setup`` to the dependency groups that it adds."""
PYTHON_MIN: Final = "3.11.2"
"""Debian 12's."""


def main() -> None:
    """Resolve and write ``locks/run.txt``, ``locks/test.txt`` and ``locks/check.txt``."""
    locks = ROOT / "locks"
    locks.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        whole = Path(scratch, "whole.txt")
        whole.write_text("".join(pin for path in locks.glob("*.txt") for pin in _pins(path.read_text())))
        _resolve(whole, [group for groups in LEVELS.values() for group in groups], sys.argv[1:])
        groups: list[str] = []
        below: list[str] = []
        above = ""
        for level, added in LEVELS.items():
            groups += added
            part = Path(scratch, f"{level}.txt")
            _resolve(part, groups, ["--constraints", str(whole)])
            pins = _pins(part.read_text())
            header = (
                f"# Written by scripts/lock for Python {PYTHON_MIN} and later: {', '.join(added)} in pyproject.toml.\n"
            )
            (locks / f"{level}.txt").write_text(header + above + "".join(pin for pin in pins if pin not in below))
            below, above = pins, f"-r {level}.txt\n"


def _resolve(output: Path, groups: list[str], options: list[str]) -> None:
    command = [
        *(
            str(Path(sys.executable).parent / "uv"),
            "pip",
            "compile",
            "pyproject.toml",
            "--quiet",
            "--universal",
            "--python-version",
            PYTHON_MIN,
        ),
        *("--fork-strategy", "fewest", "--generate-hashes", "--no-header", "--no-annotate", "--no-emit-index-url"),
        *(word for group in groups for word in ("--group", group)),
        *options,
        *("--output-file", str(output)),
    ]
    subprocess.run(command, cwd=ROOT, check=True)


def _pins(text: str) -> list[str]:
    """Return each requirement with the lines of its hashes."""
    return re.findall(r"^\w.*\n(?:[ \t]+.*\n)*", text, flags=re.MULTILINE)


if __name__ == "__main__":
    main()
