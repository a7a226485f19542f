"""Make the portal's fonts from those that their authors publish: the letters, weights and features that pages use.

Each family is cut by script, so that a browser loads what a page shows (``unicode-range`` in ``fonts.css``, which is
written here too). Both families are under the SIL Open Font License 1.1 without a reserved name; the licences lie
beside the files.
"""

import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont
from fontTools.varLib.instancer import instantiateVariableFont

FOLDER: Final = Path(__file__).parent.parent / "src/meterspan/portal/static/fonts"
LATIN: Final = (
    "U+0020-007E,U+00A0-00FF,U+0131,U+0152-0153,U+02C6,U+02DA,U+02DC,U+2002-200A,U+2010-2014,U+2018-201E,U+2020-2022,U+2026,"
    "U+202F,U+2030,U+2032-2033,U+2039-203A,U+2044,U+2080-2089,U+20AC,U+2122,U+2126,U+2190-2193,U+2206,U+2211-2212,U+2248,"
    "U+2260,U+2264-2265"
)
PRINTABLE: Final = "U+0020-007E,U+00A0,U+00B7,U+2026"


@dataclass(frozen=True, slots=True)
class Family:
    """One family: where its file is published, and the parts that are cut from it."""

    name: str
    """As styles name it."""
    package: str
    """On npm, with its version."""
    source: str
    """Path of the variable font in the package."""
    licence: str
    """Path of the licence in the package."""
    weights: tuple[int, int]
    """The least and the greatest weight that remain."""
    axes: dict[str, float]
    """The value at which each other axis is fixed."""
    features: tuple[str, ...]
    """Layout features that remain."""
    parts: dict[str, str]
    """Name of a part to its characters, as ``unicode-range`` writes them."""


FAMILIES: Final = (
    Family(
        "Inter",
        "inter-ui@4.1.1",
        "variable/InterVariable.woff2",
        "LICENSE.txt",
        (400, 700),
        {"opsz": 14},
        ("kern", "tnum", "ccmp", "locl", "mark"),
        {
            "latin": LATIN,
            "latin-ext": "U+0100-0130,U+0132-0151,U+0154-024F,U+1E00-1EFF",
            "greek": "U+0370-03FF",
            "cyrillic": "U+0400-04FF",
        },
    ),
    Family(
        "JetBrains Mono",
        "@fontsource-variable/jetbrains-mono@5.3.0",
        "files/jetbrains-mono-latin-wght-normal.woff2",
        "LICENSE",
        (400, 400),
        {},
        (),
        {"latin": PRINTABLE},
    ),
)


def main() -> None:
    """Write the fonts, their licences and ``fonts.css``."""
    FOLDER.mkdir(exist_ok=True)
    rules = []
    for family in FAMILIES:
        files = _fetch(family.package)
        slug = family.name.lower().replace(" ", "-")
        (FOLDER / f"{slug}-OFL.txt").write_bytes(files[f"package/{family.licence}"])
        for part, characters in family.parts.items():
            path = FOLDER / f"{slug}-{part}.woff2"
            _cut(files[f"package/{family.source}"], family, characters, path)
            rules.append(_rule(family, path.name, characters))
            print(f"{path.stat().st_size:7,} {path.name}")
    head = "/* Written by scripts/subset-fonts. Both families: SIL Open Font License 1.1, see *-OFL.txt. */\n"
    (FOLDER / "fonts.css").write_text(head + "".join(rules))


def _fetch(package: str) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as scratch:
        packed = subprocess.run(
            ["npm", "pack", "--silent", package], cwd=scratch, check=True, capture_output=True, text=True
        )
        with tarfile.open(Path(scratch, packed.stdout.split()[-1])) as archive:
            return {member.name: archive.extractfile(member).read() for member in archive if member.isfile()}


def _cut(source: bytes, family: Family, characters: str, path: Path) -> None:
    font = TTFont(BytesIO(source), recalcTimestamp=False)
    options = Options(
        layout_features=list(family.features), flavor="woff2", hinting=False, name_IDs=[0, 1, 2, 5, 13, 14]
    )
    subsetter = Subsetter(options)
    subsetter.populate(unicodes=_code_points(characters))
    subsetter.subset(font)
    instantiateVariableFont(font, {**family.axes, "wght": family.weights}, inplace=True)
    font.flavor = "woff2"
    font.save(path)


def _code_points(characters: str) -> set[int]:
    points: set[int] = set()
    for span in characters.replace("U+", "").split(","):
        first, _, last = span.partition("-")
        points.update(range(int(first, 16), int(last or first, 16) + 1))
    return points


def _rule(family: Family, file: str, characters: str) -> str:
    weights = " ".join(str(weight) for weight in sorted(set(family.weights)))
    return (
        f'@font-face {{ font-family: "{family.name}"; src: url("{file}") format("woff2"); '
        f"font-weight: {weights}; font-display: swap;\n  unicode-range: {characters}; }}\n"
    )


if __name__ == "__main__":
    main()
