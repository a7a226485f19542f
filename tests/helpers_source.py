"""The source of the project as trees, for rules over the whole code."""

import ast
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "meterspan"


@cache
def parsed():
    """The path and tree of each module."""
    return [(path, ast.parse(path.read_text(encoding="utf-8"))) for path in sorted(SOURCE.rglob("*.py"))]
