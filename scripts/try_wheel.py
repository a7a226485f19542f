"""Prove that the built wheel is whole: installed alone, its demo passes and its pages have everything they ask for."""

import re
import signal
import subprocess
import sys
import tempfile
import urllib.request
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urljoin

ROOT: Final = Path(__file__).parent.parent
PAGES: Final = ("", "operator", "api")
KINDS: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".woff2": "font/woff2"}
"""Suffix of a file that a page asks for, to the media type that it must have."""
PATIENCE_S: Final = 120


def main() -> None:
    """Build, install and use the wheel in a directory that is removed afterwards; exit 1 where something is missing."""
    with tempfile.TemporaryDirectory(prefix="meterspan-wheel-") as scratch:
        place = Path(scratch)
        program = _install(_build(place), place)
        print(_run(program, "--version", place=place).strip())
        print("demo --check …", flush=True)
        _run(program, "demo", "--check", "--json", place=place)
        print("demo's pages …", flush=True)
        found = _visit(program, place)
    print(f"the wheel is whole: {len(found)} files of {len(PAGES)} pages, {sum(found.values()):,} octets")


def _build(place: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(place)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = place.glob("*.whl")
    print(f"{wheel.name}: {wheel.stat().st_size:,} octets", flush=True)
    return wheel


def _install(wheel: Path, place: Path) -> Path:
    print("installing it and what it needs into an empty environment …", flush=True)
    venv.create(place / "empty", with_pip=True)
    pip = [str(place / "empty/bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, str(wheel)], cwd=place, check=True)
    return place / "empty/bin/meterspan"


def _run(program: Path, *words: str, place: Path) -> str:
    done = subprocess.run([program, *words], cwd=place, check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"meterspan {' '.join(words)} ended with {done.returncode}: {done.stdout[-2000:]}")
    return done.stdout


def _visit(program: Path, place: Path) -> dict[str, int]:
    """Return address and size of every file that the pages of a living demo ask for."""
    command = [program, "demo", "--homes", "2", "--days", "1", "--data", place / "data"]
    with subprocess.Popen(command, cwd=place, stderr=subprocess.PIPE, text=True) as demo:
        try:
            portal = next(_addresses(demo))
            return {address: size for page in PAGES for address, size in _load(urljoin(portal, page))}
        finally:
            demo.send_signal(signal.SIGINT)
            demo.communicate(timeout=PATIENCE_S)


def _addresses(demo: "subprocess.Popen[str]") -> Iterator[str]:
    printed = []
    for line in demo.stderr or ():
        printed.append(line)
        yield from re.findall(r"http://127\.0\.0\.1:\d+/", line)
    sys.exit(f"the demo printed no address: {''.join(printed)[-2000:]}")


def _load(page: str) -> Iterator[tuple[str, int]]:
    """Load a page and, from it and its styles and scripts on, each file of ours that is named."""
    waiting, seen = [page], {page}
    while waiting:
        address = waiting.pop()
        with urllib.request.urlopen(address, timeout=PATIENCE_S) as answer:  # noqa: S310 - our own server's
            body, kind = answer.read(), answer.headers.get_content_type()
        suffix = Path(address).suffix
        if KINDS.get(suffix, kind) != kind:
            sys.exit(f"{address} is served as {kind}")
        yield address, len(body)
        if kind in ("text/html", "text/css", "text/javascript"):
            named = re.findall(r"""(?:href|src)="(/static/[^"]+)"|url\("([^"]+)"\)|from "(\.[^"]+)\"""", body.decode())
            links = {urljoin(address, "".join(link)) for link in named} - seen
            waiting.extend(links)
            seen |= links


if __name__ == "__main__":
    main()
