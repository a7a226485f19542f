"""Fixtures of the interop tests: the peers' environment, a driver to ask, and meters of both makes that run."""

import json
import subprocess
import sys

import pytest

from tests.interop.helpers import AUTH_KEY, KEY, PASSWORD, PATIENCE_S, PEER_PYTHON, PEERS, SERVER_TITLE, started
from tests.interop.matrix import MatrixPlugin, Row, note_cells


def pytest_addoption(parser):
    """Let the matrix be printed."""
    parser.addoption("--matrix", action="store_true", help="print the interoperability matrix at the end")


def pytest_configure(config):
    """Register the marks of the matrix, and print it where it is asked for."""
    config.addinivalue_line("markers", "peer(name): the program that the test runs against")
    config.addinivalue_line("markers", "matrix(*rows): the rows of the interoperability matrix that the test proves")
    if config.getoption("--matrix", default=False) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(MatrixPlugin())


ORDINARY = {Row.ASSOCIATION, Row.PROFILE, Row.THEIR_METER, Row.PROGRAMS, Row.P1, Row.WIRED, Row.WIRELESS, Row.BUS}
"""The rows that every run of the tests proves; the others take minutes, and run with --interop and --deep."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Let each marked test carry its cells in its report, and leave what takes minutes to longer runs."""
    note_cells(items)
    for item in items:
        rows = {row for mark in item.iter_markers("matrix") for row in mark.args}
        if rows and not rows & ORDINARY:
            item.add_marker(pytest.mark.deep)


@pytest.fixture(scope="session")
def peer_python():
    """Return the interpreter of the peers' environment."""
    if not PEER_PYTHON.exists():
        pytest.skip("the peers are not installed in .venv/peers; run scripts/setup-peers")
    return PEER_PYTHON


@pytest.fixture
def ask(peer_python):
    """Return a function that runs a peer's driver once and returns the JSON it prints."""

    def run(driver, task, *, timeout_s=PATIENCE_S):
        done = subprocess.run(
            [peer_python, PEERS / driver, json.dumps(task)],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.fixture(scope="module", params=["wrapper", "hdlc"])
def our_meter(request, peer_python):
    """Run our meter in a process of its own, over either link."""
    with started(sys.executable, "tests/interop/serve_meter.py", request.param) as meter:
        yield {"link": request.param, **meter}


@pytest.fixture(scope="module", params=["wrapper", "hdlc"])
def gurux_meter(request, peer_python):
    """Run a Gurux meter in a process of its own, over either link."""
    task = {
        "link": request.param,
        "title": SERVER_TITLE.hex(),
        "key": KEY.hex(),
        "auth_key": AUTH_KEY.hex(),
        "password": PASSWORD,
        "now": 1_772_492_434,
    }
    with started(peer_python, PEERS / "gurux_meter.py", json.dumps(task)) as meter:
        yield {"link": request.param, **task, **meter}
