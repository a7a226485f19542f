"""Killed mid-settlement: after reopening the same days are settled, and every version is there once."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from meterspan.quantities import DAY_S
from meterspan.store.reading_store import ReadingStore
from meterspan.store.registry import Registry
from tests.store import settle_child

CHILD = Path(settle_child.__file__)


def kill_again_and_again(directory, kills, seed):
    choose = random.Random(seed)  # noqa: S311 - moments of a test, not keys
    stored = set()
    for _ in range(kills):
        first = max(stored, default=-1) + 2
        child = subprocess.Popen(
            [sys.executable, str(CHILD), str(directory), str(first)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "up\n"
        time.sleep(choose.uniform(0, 0.4))
        child.send_signal(signal.SIGKILL)
        told = child.stdout.read().split("\n")[:-1]
        child.stdout.close()
        child.wait()
        stored |= {int(number) for number in told}
    return stored


def prove(directory, stored):
    registry = Registry.open(directory / "registry.sqlite")
    with ReadingStore(directory / "readings") as store:
        settle_child.settle(store, registry)
        assert len(store.days_to_settle()) == 0
        assert settle_child.settle(store, registry) == 0
        for number in stored:
            series, day = 1 + number % settle_child.METERS, settle_child.DAY + number // 7
            found = store.read([series], day * DAY_S, (day + 1) * DAY_S)
            assert number in found.value.tolist(), "stored, and lost"
            versions = registry.versions(f"MP{series}", day, day)
            assert [row.version for row in versions] == list(range(1, len(versions) + 1))
            assert versions[-1].intervals.value.tolist() == [len(found)], "a day that changed was not settled again"
    registry.close()


def test_five_kills_while_it_settles_leave_no_day_unsettled(tmp_path):
    stored = kill_again_and_again(tmp_path, 5, seed=3)
    assert len(stored) > 5
    prove(tmp_path, stored)


@pytest.mark.deep
def test_sixty_kills_while_it_settles_leave_no_day_unsettled(tmp_path):
    prove(tmp_path, kill_again_and_again(tmp_path, 60, seed=4))
