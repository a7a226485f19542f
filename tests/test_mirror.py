"""Every module has its test module, or names its proof in ``proofs.toml``."""

import ast
import tomllib
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
SOURCE = TESTS.parent / "src" / "meterspan"
MODULES = sorted(
    path.relative_to(SOURCE).as_posix()
    for path in SOURCE.rglob("*.py")
    if path.name not in {"__init__.py", "__main__.py"}
)
PROOFS: dict[str, list[str]] = tomllib.loads((TESTS / "proofs.toml").read_text(encoding="utf-8"))


def mirror(module: str) -> Path:
    path = TESTS / module
    return path.with_name(f"test_{path.name}")


def names_defined(module: str) -> set[str]:
    """Public classes, functions and constants of a module."""
    tree = ast.parse((SOURCE / module).read_text(encoding="utf-8"))
    names = {node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)}
    for node in tree.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return {name for name in names if not name.startswith("_")}


def names_used(path: Path) -> set[str]:
    """Every name, attribute and imported module of a test file."""
    used: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name):
                used.add(name)
            case ast.ImportFrom(module=place, names=names):
                used |= {place or "", *(name.name for name in names)}
            case ast.Import(names=names):
                used |= {name.name for name in names}
    return used


def strings_of(path: Path) -> set[str]:
    """Every string of a test file, among them the arguments of the commands that it runs."""
    tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return {node.value for node in tree if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def imports_of(path: Path) -> set[str]:
    """Every module that a module of meterspan imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return found


IMPORTS = {module: imports_of(SOURCE / module) for module in MODULES}


def dotted(module: str) -> str:
    return f"meterspan.{module.removesuffix('.py').replace('/', '.')}"


def users_of(module: str) -> list[str]:
    """Modules that import a module, and commands that import a program (``app``) that imports it."""
    users = [user for user in MODULES if dotted(module) in IMPORTS[user]]
    programs = [dotted(user) for user in users if user.startswith("app/")]
    return users + [user for user in MODULES if user.startswith("cli/") and IMPORTS[user] & set(programs)]


def is_used(module: str, proof: Path) -> bool:
    """Whether a test uses a module, or what is built on it: a module that imports it, or a command that it runs."""
    used, said = names_used(proof), strings_of(proof)
    for user in (module, *users_of(module)):
        if dotted(user) in used or names_defined(user) & used:
            return True
        if user.startswith("cli/") and Path(user).stem in said:
            return True
    return False


@pytest.mark.parametrize("module", MODULES)
def test_a_module_has_its_test_module_or_names_its_proof(module: str) -> None:
    proofs = PROOFS.get(module, [])
    assert mirror(module).exists() or proofs, (
        f"write {mirror(module).relative_to(TESTS)}, or name the proof in proofs.toml"
    )
    for proof in proofs:
        assert is_used(module, TESTS / proof), f"{proof} uses nothing of {module}"


def test_the_list_of_proofs_holds_no_module_that_is_gone_or_has_a_test_module_of_its_own() -> None:
    assert set(PROOFS) <= set(MODULES)
    assert [module for module in PROOFS if mirror(module).exists()] == []
