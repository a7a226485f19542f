"""Draw the layers from the code: a row for each package, a cell for each module, an arc for imports between packages.

Rows stand in the order of the import contract, packages of one layer share a band. A cell is as wide as its module is
long. An arc runs from the importing package to the imported one and is as thick as imports are many; one that runs
upwards or between packages of one band breaks the contract and is red. Modules that import each other in a circle are
outlined in red.
"""

import argparse
import io
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final

import grimp

ROOT: Final = Path(__file__).parent.parent
WIDTH: Final = 1120
MARGIN: Final = 28
HEAD: Final = 104
ROW: Final = 30
BAR: Final = 20
BAND_GAP: Final = 10
NAMES: Final = 124
"""Where names end."""
BARS: Final = 138
BARS_MAX: Final = 572
"""Where the longest bar may end."""
OUT: Final = 666
IN: Final = 744
"""Where the numbers of imports end."""
ARCS: Final = 764
REACH: Final = 450
"""How far the control points of the longest arc lie out; the arc itself reaches three quarters of it."""
LONG: Final = 500
"""From so many lines on a module is marked as long."""
STYLE: Final = """
    .ground { fill: #ffffff; } .band { fill: #f3f6f4; } .name { fill: #13201b; font-weight: 600; }
    .text { fill: #56655e; } .title { fill: #13201b; font-size: 19px; font-weight: 650; letter-spacing: -.2px; }
    .small { font-size: 12px; font-variant-numeric: tabular-nums; } .module { fill: #2a9d8c; } .long { fill: #c7701a; }
    .arc { fill: none; stroke: #0b6e5f; stroke-opacity: .36; stroke-linecap: round; }
    .wrong { stroke: #c02a3d; stroke-opacity: .9; } .circle { stroke: #c02a3d; stroke-width: 2; }
    .dot { fill: #0b6e5f; }
    @media (prefers-color-scheme: dark) {
      .ground { fill: #0f1614; } .band { fill: #18211e; } .name, .title { fill: #e9f0ec; } .text { fill: #9dada5; }
      .module { fill: #35a893; } .long { fill: #e39a4c; } .dot { fill: #63d1bb; }
      .arc { stroke: #63d1bb; stroke-opacity: .34; } .wrong { stroke: #ff7f8c; stroke-opacity: .95; }
      .circle { stroke: #ff7f8c; }
    }
"""


@dataclass(frozen=True, slots=True)
class House:
    """What is drawn."""

    bands: tuple[tuple[str, ...], ...]
    """Packages from the uppermost layer down; those of one layer together."""
    modules: dict[str, tuple[tuple[str, int], ...]]
    """Package to its modules with their lines, longest first."""
    imports: Counter[tuple[str, str]]
    """Importing and imported package to the number of imports."""
    circular: frozenset[str]
    """Modules that import themselves through others."""

    @property
    def rows(self) -> tuple[str, ...]:
        """The packages from top to bottom."""
        return tuple(package for band in self.bands for package in band)

    def level(self, package: str) -> int:
        """Return the number of a package's band, from the top."""
        return next(number for number, band in enumerate(self.bands) if package in band)


def main() -> None:
    """Read a revision, or the working tree, and write its picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rev", help="a git revision; the working tree by default")
    parser.add_argument("picture", nargs="?", type=Path, default=Path("docs/images/layers.svg"))
    options = parser.parse_args()
    house, label = _of_revision(options.rev) if options.rev else (_read_house(ROOT), "")
    options.picture.write_text("\n".join(_draw(house, label)) + "\n")
    print(f"{options.picture}: {' '.join(_summary(house))}")


def _of_revision(revision: str) -> tuple[House, str]:
    def git(*words: str) -> bytes:
        return subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True).stdout

    with tempfile.TemporaryDirectory() as scratch:
        with tarfile.open(fileobj=io.BytesIO(git("archive", revision, "src", "pyproject.toml"))) as archive:
            archive.extractall(scratch)  # noqa: S202 - git's own, of this repository
        return _read_house(Path(scratch)), f" at {git('rev-parse', '--short=7', revision).decode().strip()}"


# --- reading ----------------------------------------------------------------------------------------------------


def _read_house(root: Path) -> House:
    sys.path.insert(0, str(root / "src"))
    graph = grimp.build_graph("meterspan", cache_dir=None)
    reaches = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    imports = Counter(
        (_package(importer), _package(imported))
        for importer, targets in reaches.items()
        for imported in targets
        if _package(importer) and _package(imported) and _package(importer) != _package(imported)
    )
    files = sorted((root / "src/meterspan").glob("*/**/*.py"))
    lines = {".".join(path.relative_to(root / "src").with_suffix("").parts): _length(path) for path in files}
    bands = _bands(root)
    modules = {
        package: tuple(sorted(((n, k) for n, k in lines.items() if _package(n) == package), key=lambda pair: -pair[1]))
        for band in bands
        for package in band
    }
    return House(bands, modules, imports, frozenset(_circular(reaches)))


def _package(module: str) -> str:
    return (*module.split("."), "")[1]


def _length(path: Path) -> int:
    return len(path.read_text().splitlines())


def _bands(root: Path) -> tuple[tuple[str, ...], ...]:
    contracts = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    return tuple(tuple(name.strip() for name in layer.split("|")) for layer in layers)


def _circular(reaches: dict[str, set[str]]) -> Iterator[str]:
    """Yield each module from which imports lead back to it."""
    for start, targets in reaches.items():
        seen: set[str] = set()
        waiting = list(targets)
        while waiting:
            module = waiting.pop()
            if module not in seen:
                seen.add(module)
                waiting.extend(reaches[module])
        if start in seen:
            yield start


# --- drawing ----------------------------------------------------------------------------------------------------


def _draw(house: House, label: str) -> Iterator[str]:
    tops = dict(_tops(house))
    height = max(tops.values()) + ROW + BAND_GAP + MARGIN / 2
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-size="13.5" role="img" '
        f'font-family="Inter, system-ui, sans-serif" aria-labelledby="t d">'
    )
    yield f'  <title id="t">The layers of meterspan{label}</title>\n  <desc id="d">{" ".join(_summary(house))}</desc>'
    yield f"  <style>{STYLE}  </style>"
    yield f'  <rect class="ground" width="{WIDTH}" height="{height}" rx="14"/>'
    yield from _heading(house, label)
    for band in house.bands:
        top, end = tops[band[0]] - BAND_GAP / 2, tops[band[-1]] + ROW + BAND_GAP / 2
        yield (
            f'  <rect class="band" x="{MARGIN / 2:g}" y="{top + 2:g}" width="{WIDTH - MARGIN}" '
            f'height="{end - top - 4:g}" rx="8"/>'
        )
    scale = (BARS_MAX - BARS) / max(_lines(house, package) for package in house.rows)
    for package in house.rows:
        yield from _row(house, package, tops[package], scale)
    yield from _arcs(house, tops)
    yield "</svg>"


def _tops(house: House) -> Iterator[tuple[str, float]]:
    top: float = HEAD
    for band in house.bands:
        for package in band:
            yield package, top
            top += ROW
        top += BAND_GAP


def _heading(house: House, label: str) -> Iterator[str]:
    yield f'  <text class="title" x="{MARGIN}" y="42">The layers of meterspan{label}</text>'
    for x, y, words in (
        (MARGIN, 64, _summary(house)[0]),
        (ARCS - 6, 42, "Imports"),
        (ARCS - 6, 64, _summary(house)[1]),
    ):
        yield f'  <text class="{"title" if y < 64 else "text"}" x="{x}" y="{y}">{words}</text>'
    keys = ((MARGIN, "module", "a module, as wide as long"), (MARGIN + 190, "long", f"{LONG} lines or more"))
    for x, kind, words in keys:
        yield f'  <rect class="{kind}" x="{x}" y="76" width="14" height="11" rx="2.5"/>'
        yield f'  <text class="text small" x="{x + 20}" y="86">{words}</text>'
    for x, kind, words in ((ARCS - 6, "arc", "downwards"), (ARCS + 110, "arc wrong", "upwards or sideways")):
        yield f'  <path class="{kind}" stroke-width="4" d="M{x} 82h22"/>'
        yield f'  <text class="text small" x="{x + 32}" y="86">{words}</text>'
    for x, words in ((OUT, "imports"), (IN, "imported")):
        yield f'  <text class="text small" x="{x}" y="86" text-anchor="end">{words}</text>'


def _row(house: House, package: str, top: float, scale: float) -> Iterator[str]:
    base = top + ROW / 2 + 4.5
    yield f'  <text class="name" x="{NAMES}" y="{base:g}" text-anchor="end">{package}</text>'
    x: float = BARS
    for module, lines in house.modules[package]:
        kind = ("long" if lines >= LONG else "module") + (" circle" if module in house.circular else "")
        width = max(scale * lines - 1.2, 0.8)
        yield (
            f'  <rect class="{kind}" x="{x:.1f}" y="{top + (ROW - BAR) / 2:g}" width="{width:.1f}" height="{BAR}" '
            f'rx="{min(2.5, width / 2):.1f}"><title>{escape(module)}: {lines} lines</title></rect>'
        )
        x += scale * lines
    total = f"{_lines(house, package):,}"
    yield f'  <text class="text small" x="{x + 6:.1f}" y="{base:g}">{total}</text>'
    sums = (
        sum(count for (importer, _), count in house.imports.items() if importer == package),
        sum(count for (_, imported), count in house.imports.items() if imported == package),
    )
    for end, count in zip((OUT, IN), sums, strict=True):
        yield f'  <text class="text small" x="{end}" y="{base:g}" text-anchor="end">{count or "·"}</text>'
    yield f'  <circle class="dot" cx="{ARCS - 5}" cy="{top + ROW / 2:g}" r="3.2"/>'


def _arcs(house: House, tops: dict[str, float]) -> Iterator[str]:
    span = max(tops.values()) - min(tops.values())
    for (importer, imported), count in sorted(house.imports.items(), key=lambda item: -item[1]):
        here, there = tops[importer] + ROW / 2, tops[imported] + ROW / 2
        wrong = house.level(importer) >= house.level(imported)
        swing = 14 + (REACH - 14) * abs(there - here) / span
        yield (
            f'  <path class="arc{" wrong" if wrong else ""}" stroke-width="{0.5 + 0.09 * count:.2f}" '
            f'd="M{ARCS} {here:g}C{ARCS + swing:.0f} {here:g} {ARCS + swing:.0f} {there:g} {ARCS} {there:g}">'
            f"<title>{importer} imports {imported} {count} times</title></path>"
        )


def _lines(house: House, package: str) -> int:
    return sum(lines for _, lines in house.modules[package])


def _summary(house: House) -> tuple[str, str]:
    every = [lines for package in house.rows for _, lines in house.modules[package]]
    wrong = sum(n for (upper, lower), n in house.imports.items() if house.level(upper) >= house.level(lower))
    return (
        (
            f"{len(house.rows)} packages in {len(house.bands)} layers, {len(every)} modules, {sum(every):,} lines. "
            f"The longest module has {max(every):,}."
        ),
        f"{house.imports.total():,}; {wrong} upwards or sideways, {len(house.circular)} modules in circles",
    )


if __name__ == "__main__":
    main()
