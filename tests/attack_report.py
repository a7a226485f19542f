"""A pytest plugin for ``scripts/test --attack``: a table of the twelve classes, from the tests that ran.

A test marked ``attack(n)`` is a property of class ``n``. Its cases are the examples that Hypothesis tried, what it
says by ``record_property("cases", …)``, or one. The worst case is what it says by ``record_property("worst", …)``, else
the test that took longest.
"""

import re
from collections import defaultdict
from collections.abc import Generator
from dataclasses import dataclass, field

import pytest

CLASSES = (
    "Nothing unauthenticated is believed or remembered",
    "Cost is bounded by octets received",
    "One bad item never ends a program, and never comes back",
    "A nonce is never used twice",
    "Secrets leave no trace",
    "Standard means standard",
    "Unknown is never 0 and never 100 %",
    "What is accepted is used; what is refused changes nothing",
    "An order tells the truth",
    "Size is expected",
    "The frame is explained to the end",
    "Accessible everywhere",
)
_PASSING = re.compile(r"(\d+) passing")


@dataclass
class ClassResult:
    """What the tests of one class did."""

    tests: int = 0
    cases: int = 0
    failed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    worst: list[tuple[float, str]] = field(default_factory=list)
    """Seconds and words."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Write the classes of a test into its report, which workers send on."""
    for item in items:
        item.user_properties += [("attack", number) for mark in item.iter_markers("attack") for number in mark.args]


class AttackReport:
    """Collects reports, and prints the table at the end."""

    def __init__(self) -> None:
        self.results: dict[int, ClassResult] = defaultdict(ClassResult)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count one test."""
        numbers = [value for name, value in report.user_properties if name == "attack"]
        if report.when != "call" and report.passed:
            return
        for number in numbers:
            result = self.results[int(str(number))]
            if report.skipped:
                result.skipped.append(report.nodeid)
                continue
            result.tests += 1
            result.cases += _cases(report)
            if report.failed:
                result.failed.append(report.nodeid)
            words = [str(value) for name, value in report.user_properties if name == "worst"]
            result.worst.append((report.duration, words[-1] if words else report.nodeid.split("::", 1)[-1]))

    @pytest.hookimpl(wrapper=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> Generator[None]:
        """Print the table."""
        yield
        terminalreporter.section("the twelve classes of attack")
        for number, title in enumerate(CLASSES, 1):
            result = self.results[number]
            state = "FAILED" if result.failed else "holds" if result.tests else "NO PROPERTY"
            skipped = f", {len(result.skipped)} skipped" if result.skipped else ""
            terminalreporter.write_line(
                f"{number:2}  {state:<11} {result.tests:5} tests {result.cases:8} cases{skipped}  {title}"
            )
            if result.worst:
                seconds, words = max(result.worst)
                terminalreporter.write_line(f"    worst: {seconds:.1f} s, {words}")


def pytest_configure(config: pytest.Config) -> None:
    """Collect where the tests' reports arrive."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(AttackReport(), "attack report")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail where a class has no property at all."""
    report = session.config.pluginmanager.get_plugin("attack report")
    if (
        report is not None
        and session.exitstatus == 0
        and len([r for r in report.results.values() if r.tests]) < len(CLASSES)
    ):
        session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED


def _cases(report: pytest.TestReport) -> int:
    """Return the examples of a Hypothesis test, or 1."""
    counts = [int(count) for count in _PASSING.findall(str(getattr(report, "_hypothesis_stats", "")))]
    cases = [int(str(value)) for name, value in report.user_properties if name == "cases"]
    return sum(cases) or sum(counts) or 1
