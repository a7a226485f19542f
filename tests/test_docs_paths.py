"""Every path, module and link that the documentation names exists."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "meterspan"
PAGES = [
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "changelog.d").glob("*.md")),
    *sorted(ROOT.glob("*.md")),
]
PACKAGES = {path.name for path in PACKAGE.iterdir() if path.is_dir()}
FOLDERS = {"src", "tests", "docs", "scripts", "bench", "examples", "changelog.d"}
CODE = re.compile(r"`([^`\n]+)`")
PATH = re.compile(r"[\w.-]+(/[\w.*-]+)+/?")
MODULE = re.compile(r"meterspan(\.\w+){2,}")
LINK = re.compile(r"\]\(([^)#\s:]+)(?:#[^)]*)?\)")


def test_every_path_that_a_page_names_exists():
    paths = [(page, path) for page, path in _code(PATH) if _is_ours(path)]
    assert paths
    assert [f"{page.name}: {path}" for page, path in paths if not _exists(path)] == []


def test_every_module_that_a_page_names_exists():
    names = list(_code(MODULE))
    assert names
    assert [f"{page.name}: {name}" for page, name in names if not _is_defined(name.split(".")[1:])] == []


def test_every_link_between_pages_leads_somewhere():
    links = [(page, link) for page in PAGES for link in LINK.findall(page.read_text("utf-8"))]
    assert links
    assert [f"{page.name}: {link}" for page, link in links if not (page.parent / link).exists()] == []


def _code(form: re.Pattern[str]) -> Iterator[tuple[Path, str]]:
    for page in PAGES:
        for name in CODE.findall(page.read_text("utf-8")):
            if form.fullmatch(name):
                yield page, name


def _is_ours(path: str) -> bool:
    """Return whether a path is of the repository; ``readings/`` without a module is of the data folder."""
    first = path.split("/", maxsplit=1)[0]
    return first in FOLDERS or (first in PACKAGES and (first != "readings" or path.endswith(".py")))


def _exists(path: str) -> bool:
    return any(any(base.glob(path.rstrip("/") + suffix)) for base in (ROOT, PACKAGE) for suffix in ("", ".py"))


def _is_defined(parts: list[str]) -> bool:
    """Return whether the names are a module, or a name in the text of one."""
    for count in range(len(parts), 0, -1):
        place = PACKAGE.joinpath(*parts[:count])
        module = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        if module.exists():
            return count == len(parts) or re.search(rf"\b{parts[count]}\b", module.read_text("utf-8")) is not None
    return False
