"""Words and docstrings of sources, tests and documentation are plain: no private nouns, parameters explained."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
TEXTS = [
    *SOURCES,
    *sorted((ROOT / "src" / "meterspan" / "portal" / "catalogue").glob("*.toml")),
    *sorted((ROOT / "src" / "meterspan" / "portal" / "templates").glob("*.html")),
    *sorted((ROOT / "tests").rglob("*.py")),
    *sorted((ROOT / "bench").rglob("*.py")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "changelog.d").glob("*.md")),
    ROOT / "README.md",
]
PRIVATE_NOUNS = re.compile(
    r"harvest|keepsake|barren|chronicle|stranger|mishap|whoever|kept aside|keep_aside|hasty|thrifty", re.IGNORECASE
)
STORED_NAMES = re.compile(
    r"(TABLE|table|FROM|INTO) `*keepsake\b|\"strangers_recognised\"|\"kept aside\"|\"kept_aside\""
)
"""Names in files and reports of earlier versions: readers depend on them."""
IS_NONE = re.compile(r"\b(there\s+)?(?:is|are)\s+none\b")
"""Plainly: "is not one", "no meter has it"."""
TAGS = re.compile(r"\{[{%].*?[%}]\}", re.DOTALL)
"""The code of a template; its language has a test named ``none``."""
FIRST_WORDS = {"Give", "Gives", "Take", "Takes", "Tell", "Tells", "Say", "Says"}
PARAMETERS_UNEXPLAINED_MAX = 3
HELP_TEXT = re.compile(r"typer\.|port_option\(")
"""Annotations that hold the text of an option."""


def test_no_text_uses_a_private_noun():
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in TEXTS
        if path != Path(__file__)
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if PRIVATE_NOUNS.search(STORED_NAMES.sub("", line))
    ]
    assert found == []


def test_no_text_says_that_something_is_none():
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in TEXTS
        if path != Path(__file__)
        for match in IS_NONE.finditer(_without_tags(path))
        if match[1] is None
    ]
    assert found == []


def test_no_docstring_begins_with_a_verb_that_hides_what_a_function_returns():
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {text.splitlines()[0]}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        if (text := ast.get_docstring(node)) and text.split()[0] in FIRST_WORDS
    ]
    assert found == []


def test_each_public_function_with_four_parameters_explains_them():
    found = [
        f"{path.relative_to(ROOT)}:{function.lineno}: {function.name}"
        for path in SOURCES
        for function in _public(ast.parse(path.read_text("utf-8")))
        if len(names := _unexplained(function)) > PARAMETERS_UNEXPLAINED_MAX
        if not _explains(ast.get_docstring(function) or "", names)
    ]
    assert found == []


def _without_tags(path: Path) -> str:
    text = path.read_text("utf-8")
    return TAGS.sub("", text) if path.suffix == ".html" else text


def _public(node: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef) and not child.name.startswith("_"):
            yield from _public(child)
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) and not child.name.startswith("_"):
            yield child


def _explains(text: str, names: list[str]) -> bool:
    """Return whether the section ``Args`` has each name, alone or in a list."""
    return "Args:" in text and all(re.search(rf"^\s+(\w+, )*{name}\b.*:", text, re.MULTILINE) for name in names)


def _unexplained(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """Return the parameters, except those whose annotation holds the help text of the command line."""
    listed = function.args.posonlyargs + function.args.args + function.args.kwonlyargs
    return [
        item.arg
        for item in listed
        if item.arg not in {"self", "cls"}
        if item.annotation is None or not HELP_TEXT.search(ast.unparse(item.annotation))
    ]
