"""What the portal answers is decided by the type of what was raised, never by its words."""

import asyncio
from datetime import datetime

import httpx
import pytest

from meterspan.model.lookup_errors import UnknownHomeError, UnknownMeterError, UnknownOrderError, UnknownSupplyError
from meterspan.model.order_errors import TooManyOrdersError
from meterspan.model.storage.errors import (
    ConcurrentWriterError,
    DamagedBatchError,
    StorageError,
    StorageFullError,
    StorageLockedError,
    StorageUnavailableError,
    UnknownFormatError,
)
from meterspan.portal import create_app
from meterspan.portal.feeds import FeedsFullError, PeerFeedsFullError
from meterspan.portal.problems import HANDLED, ProblemError, problem_of
from meterspan.quantities import Commodity
from tests.portal.sample_views import NOW, SampleHomes, SampleNetwork


@pytest.mark.parametrize(
    ("error", "status", "kind", "said"),
    [
        (UnknownHomeError("villa"), 404, "unknown-home", "'villa'"),
        (UnknownSupplyError("villa", Commodity.GAS), 404, "no-such-supply", "gas"),
        (UnknownMeterError("MSP1"), 404, "unknown-meter", "'MSP1'"),
        (UnknownOrderError(7), 404, "unknown-order", "7"),
        (FeedsFullError(500), 503, "too-many-listeners", "500"),
        (PeerFeedsFullError(32), 429, "too-many-listeners-of-one-address", "32"),
        (TooManyOrdersError(256, "MSP1"), 429, "too-many-orders", "256 orders wait for MSP1"),
        (TooManyOrdersError(10_000), 429, "too-many-orders", "in all"),
        (StorageError("anything"), 503, "storage", "cannot be used"),
        (StorageFullError("database or disk"), 503, "storage", "full"),
        (StorageLockedError("database"), 503, "storage", "Another program"),
        (StorageUnavailableError("input/output error"), 503, "storage", "read-only"),
        (DamagedBatchError("batch 7"), 503, "storage", "not what was written"),
        (UnknownFormatError("journal.sqlite", 9, 3), 503, "storage", "newer version"),
        (ConcurrentWriterError("another process"), 503, "storage", "cannot be used"),
        (TimeoutError(), 503, "busy", "in time"),
        (RuntimeError("no home is called 'villa'"), 500, "fault", "log"),
        (KeyError("villa"), 500, "fault", "log"),
        (LookupError("no gas"), 500, "fault", "log"),
    ],
)
def test_an_error_has_the_problem_of_its_type(error: Exception, status: int, kind: str, said: str) -> None:
    problem = problem_of(error)
    assert (problem.status, problem.kind) == (status, kind)
    assert said in problem.detail
    assert len(problem.remedy) > 15


def test_a_problem_is_its_own_problem() -> None:
    problem = ProblemError(418, "teapot", title="Teapot", detail="It is one.", remedy="Ask for tea.")
    assert problem_of(problem) is problem


def test_each_type_with_a_problem_has_a_handler_and_so_has_a_fault() -> None:
    app = create_app(SampleHomes(), SampleNetwork(), clock=lambda: NOW)
    assert set(HANDLED) <= set(app.exception_handlers)
    assert Exception in HANDLED


@pytest.mark.parametrize("path", ["/api/v1/operator/summary", "/operator"])
def test_storage_trouble_is_503_with_a_time_to_come_back_and_a_line_in_the_log(path: str, caplog) -> None:
    class Full(SampleNetwork):
        def summary(self, now: datetime, network: str = ""):
            raise StorageFullError("no space left on device")

    response = _get(Full(), path)
    assert response.status_code == 503
    assert "Make room on the disk" in response.text
    assert [(record.reason, record.path) for record in caplog.records if record.name == "meterspan.portal.app"] == [
        ("no space left on device", path)
    ]
    if path.startswith("/api/"):
        assert response.headers["retry-after"] == "30"


def _get(network: SampleNetwork, path: str) -> httpx.Response:
    app = create_app(SampleHomes(), network, clock=lambda: NOW)

    async def run() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            return await client.get(path)

    return asyncio.run(run())
