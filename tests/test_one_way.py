"""One way for each thing: no constant, code or function of the sources is written in two places."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "meterspan"
TREES = {path.relative_to(SOURCE): ast.parse(path.read_text("utf-8")) for path in sorted(SOURCE.rglob("*.py"))}
OBIS_PARTS = range(5, 7)


def _codes(tree: ast.AST) -> Iterator[str]:
    """Yield the OBIS codes that are written out: ``Obis(1, 0, 1, 8, 0)``."""
    for node in ast.walk(tree):
        is_code = isinstance(node, ast.Call) and ast.unparse(node.func) == "Obis" and len(node.args) in OBIS_PARTS
        if is_code and all(isinstance(part, ast.Constant) for part in node.args):
            yield ast.unparse(node)


def test_an_obis_code_is_written_out_in_one_module_only() -> None:
    places = defaultdict(set)
    for path, tree in TREES.items():
        for code in _codes(tree):
            places[code].add(str(path))
    assert places["Obis(0, 0, 1, 0, 0)"] == {"quantities/codes.py"}
    assert {code: sorted(found) for code, found in places.items() if len(found) > 1} == {}
