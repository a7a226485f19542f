"""The picture of the layers shows what the code is."""

import subprocess
import sys
from pathlib import Path
from xml.etree.ElementTree import parse

import pytest

ROOT = Path(__file__).parent.parent
SVG = "{http://www.w3.org/2000/svg}"


def test_the_picture_has_every_package_every_module_and_no_import_against_the_layers(tmp_path: Path) -> None:
    pytest.importorskip("grimp", reason="scripts/setup check installs what draws")
    picture = tmp_path / "layers.svg"
    subprocess.run([sys.executable, ROOT / "scripts/draw_layers.py", picture], cwd=ROOT, check=True)
    drawing = parse(picture)  # noqa: S314 - written a moment ago
    packages = {path.parent.name for path in (ROOT / "src/meterspan").glob("*/__init__.py")}
    assert {text.text for text in drawing.iter(f"{SVG}text") if text.get("class") == "name"} == packages
    modules = list((ROOT / "src/meterspan").glob("*/**/*.py"))
    assert len([cell for cell in drawing.iter(f"{SVG}rect") if cell.find(f"{SVG}title") is not None]) == len(modules)
    arcs = {
        (arc.findtext(f"{SVG}title") or "").rpartition(" times")[0]: arc.get("class")
        for arc in drawing.iter(f"{SVG}path")
    }
    assert any(words.startswith("engine imports wire ") for words in arcs)
    assert [words for words, kind in arcs.items() if words and kind != "arc"] == []
