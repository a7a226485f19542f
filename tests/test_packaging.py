"""What is installed is what is declared: locks with hashes for every Python, named dependencies, a whole wheel."""

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from meterspan import __version__

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
GROUPS = PROJECT["dependency-groups"]
LEVELS = {"run": ["build"], "test": ["build", "test"], "check": ["build", "test", "check", "docs", "tools"]}
PYTHONS = ("3.11.2", "3.12.0", "3.13.0")
PYTHON = ".".join(map(str, sys.version_info[:3]))
STATIC = ROOT / "src/meterspan/portal/static"


def lock(level: str) -> Iterator[str]:
    """Each requirement of a level with its hashes, those of the levels below first."""
    text = (ROOT / f"locks/{level}.txt").read_text()
    for below in re.findall(r"^-r (\w+)\.txt$", text, flags=re.MULTILINE):
        yield from lock(below)
    yield from re.findall(r"^\w.*\n(?:[ \t]+.*\n)*", text, flags=re.MULTILINE)


def pins(level: str, python: str) -> dict[str, Requirement]:
    """The requirements that a level has on a Python on Linux."""
    named = [Requirement(pin.partition("\\")[0]) for pin in lock(level)]
    return {canonicalize_name(pin.name): pin for pin in named if applies(pin, python)}


def applies(requirement: Requirement, python: str) -> bool:
    environment = {"python_version": python.rpartition(".")[0], "python_full_version": python, "extra": ""}
    return requirement.marker is None or requirement.marker.evaluate(environment)


def locked_version(pin: Requirement) -> str:
    (specifier,) = pin.specifier
    assert specifier.operator == "=="
    return specifier.version


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("level", LEVELS)
def test_the_lock_fits_what_the_project_asks_for(level: str, python: str) -> None:
    held = pins(level, python)
    asked = [*PROJECT["project"]["dependencies"], *(word for group in LEVELS[level] for word in GROUPS[group])]
    for requirement in map(Requirement, asked):
        assert locked_version(held[canonicalize_name(requirement.name)]) in requirement.specifier


@pytest.mark.parametrize("level", LEVELS)
def test_the_lock_is_closed_under_what_its_packages_need(level: str) -> None:
    held = pins(level, PYTHON)
    needed = {
        (name, canonicalize_name(need.name))
        for name in held
        for need in map(Requirement, needs_of(name))
        if applies(need, PYTHON)
    }
    assert {(name, need) for name, need in needed if need not in held} == set()


def needs_of(name: str) -> list[str]:
    """What an installed package needs; nothing is known of one that belongs to a level not installed here."""
    try:
        return distribution(name).requires or []
    except PackageNotFoundError:
        return []


def test_every_locked_file_has_its_hash_and_no_lock_names_a_registry() -> None:
    requirements = list(lock("check"))
    assert len(requirements) > 50
    assert [pin for pin in requirements if not re.search(r"--hash=sha256:[0-9a-f]{64}", pin)] == []
    assert [path.name for path in (ROOT / "locks").iterdir() if "://" in path.read_text()] == []


def test_the_installed_versions_are_the_locked_ones() -> None:
    held = pins("test", PYTHON)
    assert {name: distribution(name).version for name in held} == {name: locked_version(held[name]) for name in held}


def test_every_library_that_the_code_imports_is_a_declared_dependency() -> None:
    declared = {canonicalize_name(Requirement(text).name) for text in PROJECT["project"]["dependencies"]}
    owners = packages_distributions()
    imported = {name for path in (ROOT / "src").rglob("*.py") for name in top_names(ast.parse(path.read_text()))}
    libraries = imported - sys.stdlib_module_names - {"meterspan"}
    assert len(libraries) > 10
    assert [name for name in libraries if not declared & {canonicalize_name(owner) for owner in owners[name]}] == []


def top_names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def test_the_wheel_holds_every_file_of_the_package_and_the_licences(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    with zipfile.ZipFile(tmp_path / f"meterspan-{__version__}-py3-none-any.whl") as wheel:
        inside = set(wheel.namelist())
        metadata = wheel.read(f"meterspan-{__version__}.dist-info/METADATA").decode()
    ours = [path for path in (ROOT / "src/meterspan").rglob("*.*") if path.is_file() and path.suffix != ".pyc"]
    assert {path.relative_to(ROOT / "src").as_posix() for path in ours} <= inside
    assert any(name.endswith("licenses/LICENSE") for name in inside)
    assert f"Version: {__version__}" in metadata
    assert "License-Expression: Apache-2.0 AND OFL-1.1" in metadata


def test_every_font_that_styles_name_is_there_with_its_licence_and_no_other() -> None:
    fonts = STATIC / "fonts"
    styles = (fonts / "fonts.css").read_text()
    assert set(re.findall(r'url\("([^"]+)"\)', styles)) == {path.name for path in fonts.glob("*.woff2")}
    families = re.findall(r'font-family: "([^"]+)"', styles)
    for family in families:
        licence = (fonts / f"{family.lower().replace(' ', '-')}-OFL.txt").read_text()
        assert "SIL Open Font License, Version 1.1" in licence
    named = re.findall(r'font: [^;"]*"([^"]+)"', (STATIC / "portal.css").read_text())
    assert set(named) == set(families)


@pytest.mark.deep
@pytest.mark.timeout(1800)
def test_the_wheel_alone_runs_the_demo_and_its_pages() -> None:
    done = subprocess.run([ROOT / "scripts/try-wheel"], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the wheel is whole" in done.stdout
