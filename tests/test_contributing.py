"""The page for contributors names files that exist, and its examples touch no file beyond its lists."""

import os
import re
import shutil
import subprocess
import sys
from filecmp import dircmp
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "contributing.md"


def _sections() -> dict[str, str]:
    parts = re.split(r"^## (.+)$", PAGE.read_text("utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def _blocks(text: str, kind: str) -> list[list[str]]:
    return [
        block.strip().splitlines() for block in re.findall(rf"^```{kind}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    ]


def _listed(text: str) -> list[str]:
    """Return the patterns of a section's list of files, the ones in brackets too."""
    return [line.split()[0].strip("[]") for block in _blocks(text, "files") for line in block]


def _needed(title: str) -> list[str]:
    """Return the patterns of the files that every such change touches."""
    return [path for path in (line.split()[0] for line in _blocks(SECTIONS[title], "files")[0]) if path[0] != "["]


SECTIONS = _sections()
EXAMPLES = [(title, example) for title, text in SECTIONS.items() for example in _blocks(text, "example")]


def test_every_way_to_extend_has_its_section() -> None:
    things = ("driver", "COSEM class", "transport", "page", "command", "security suite", "backend of the store")
    assert list(SECTIONS) == [f"A {thing}" for thing in things]


@pytest.mark.parametrize("title", SECTIONS)
def test_the_files_of_a_section_exist_and_are_at_most_four_without_those_for_special_cases(title: str) -> None:
    (block,) = _blocks(SECTIONS[title], "files")
    for line in block:
        pattern, _, words = line.partition(" ")
        assert list(ROOT.glob(pattern.strip("[]"))), f"{pattern} names no file"
        assert words.strip(), f"{pattern} does not say what is written there"
    assert 1 <= len(_needed(title)) <= 4


@pytest.mark.parametrize(("title", "example"), EXAMPLES, ids=[example[0] for _, example in EXAMPLES])
def test_an_example_touches_files_that_exist_and_are_in_the_list(title: str, example: list[str]) -> None:
    head, *touched = example
    assert re.search(r"commit [0-9a-f]{7,40}\b", head), f"{head!r} names no commit"
    patterns = _listed(SECTIONS[title])
    for path in touched:
        assert (ROOT / path).is_file(), f"{path} is gone"
        assert any(fnmatchcase(path, pattern) for pattern in patterns), f"{path} is not in the list of {title!r}"


def test_tests_that_the_page_names_exist() -> None:
    for named in re.findall(r"`(tests/[\w./*]+)`", PAGE.read_text("utf-8")):
        assert list(ROOT.glob(named)), f"{named} is gone"


PAGE_FILES = [
    "src/meterspan/model/views.py",
    "src/meterspan/head_end/views.py",
    "src/meterspan/portal/operator_pages.py",
    "src/meterspan/portal/templates/*.html",
]
QUEUE_RECORD = """\
@dataclass(frozen=True, slots=True)
class QueueView:
    waiting: int
    oldest: datetime | None


"""
QUEUE_ANSWER = """\
    def queue(self) -> QueueView:
        waiting = [record for record in self._head_end.orders.newest(10_000) if record.is_waiting]
        return QueueView(len(waiting), utc(min(record.asked_at for record in waiting)) if waiting else None)

"""
QUEUE_ROUTE = """\
    @router.get("/operator/queue", dependencies=_OPERATOR)
    def show_queue(request: Request) -> Response:
        return pages.render(request, "queue.html", queue=pages.sources.desk.queue())

"""
QUEUE_TEMPLATE = """\
{#- words
[en]
title = "Queue of reads"
waiting = "{n} reads wait"

[de]
title = "Warteschlange der Abfragen"
waiting = "{n} Abfragen warten"
-#}
{% extends "base.html" %}
{% block title %}{{ t("queue.title") }}{% endblock %}
{% block main %}<h1>{{ t("queue.title") }}</h1><p>{{ t("queue.waiting", n=queue.waiting) }}</p>{% endblock %}
"""
SHOW_QUEUE = """
import asyncio
from datetime import UTC, datetime

import httpx

from meterspan.engine.links import DeviceProtocol
from meterspan.head_end.inventory import ChannelPlan, Device, KeyCustody
from meterspan.head_end.planner import ReadPolicy
from meterspan.head_end.system import HeadEnd
from meterspan.head_end.views import HeadEndViews
from meterspan.portal import create_app
from meterspan.quantities import Commodity, Obis

now = datetime(2026, 11, 21, 12, tzinfo=UTC)
head_end = HeadEnd(None, KeyCustody(bytes(32)), ReadPolicy(read_every_s=3_600, spread_s=600, settle_s=60))
registers = (ChannelPlan(Obis(1, 0, 1, 8, 0)),)
meter = Device("M1", Commodity.ELECTRICITY, DeviceProtocol.DLMS_WRAPPER, "M1:4059", "cell", channels=registers)
head_end.add_device(meter, int(now.timestamp()))
views = HeadEndViews(head_end, None, None, lambda: now)
views.order("M1", now, 60)
app = create_app(None, views, clock=lambda: now, orders=views)


async def show(language):
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        answer = await client.get("/operator/queue", headers={"Accept-Language": language})
        print(answer.status_code, answer.text)


for language in ("en", "de"):
    asyncio.run(show(language))
"""


def _insert(path: Path, before: str, text: str) -> None:
    source = path.read_text("utf-8")
    assert source.count(before) == 1, f"{before!r} is not in {path.name} once"
    path.write_text(source.replace(before, text + before), "utf-8")


def _changed(left: Path, right: Path) -> set[str]:
    """Return the files that differ or are in one folder only, as paths below it."""
    pending, found = [(dircmp(left, right, ignore=["__pycache__"]), "")], set()
    while pending:
        compared, prefix = pending.pop()
        found |= {prefix + name for name in compared.left_only + compared.right_only + compared.diff_files}
        pending += [(below, f"{prefix}{name}/") for name, below in compared.subdirs.items()]
    return found


def test_a_page_with_new_data_is_added_by_the_four_files_of_its_list_and_speaks_both_languages(tmp_path: Path) -> None:
    assert _needed("A page") == PAGE_FILES
    copy = tmp_path / "src" / "meterspan"
    shutil.copytree(ROOT / "src" / "meterspan", copy)
    _insert(copy / "model" / "views.py", "class OrderDesk(Protocol):", QUEUE_RECORD)
    _insert(copy / "model" / "views.py", "    def orders(self, limit", "    def queue(self) -> QueueView: ...\n\n")
    _insert(copy / "head_end" / "views.py", "    QuarantineView,\n", "    QueueView,\n")
    _insert(copy / "head_end" / "views.py", "    def orders(self, limit", QUEUE_ANSWER)
    routes = copy / "portal" / "operator_pages.py"
    _insert(routes, '    Tab("/operator/damage"', '    Tab("/operator/queue", "queue.title"),\n')
    _insert(routes, '    @router.get("/operator/orders"', QUEUE_ROUTE)
    (copy / "portal" / "templates" / "queue.html").write_text(QUEUE_TEMPLATE, "utf-8")

    changed = {f"src/meterspan/{name}" for name in _changed(ROOT / "src" / "meterspan", copy)}
    assert len(changed) == len(PAGE_FILES)
    assert all(any(fnmatchcase(name, pattern) for pattern in PAGE_FILES) for name in changed)

    shown = subprocess.run(
        [sys.executable, "-c", SHOW_QUEUE],
        env=os.environ | {"PYTHONPATH": str(tmp_path / "src")},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    assert shown.count("200 <!doctype html>") == 2
    for title, waiting in (("Queue of reads", "1 reads wait"), ("Warteschlange der Abfragen", "1 Abfragen warten")):
        assert f"<h1>{title}</h1><p>{waiting}</p>" in shown
        assert f'<a href="/operator/queue" aria-current="page">{title}</a>' in shown


def test_each_page_of_the_operator_has_its_words_in_its_template() -> None:
    routes = (ROOT / "src/meterspan/portal/operator_pages.py").read_text("utf-8")
    templates = re.findall(r'"(\w+\.html)"', routes)
    assert len(templates) >= 5
    for name in templates:
        text = (ROOT / "src/meterspan/portal/templates" / name).read_text("utf-8")
        assert re.match(r"\{#- words\n\[en\]\n", text), f"{name} does not begin with its words"
