"""An order that is not taken says how many wait, and for which meter, in fields and in words."""

import pytest

from meterspan.model.order_errors import TooManyOrdersError


@pytest.mark.parametrize(
    ("error", "waiting", "device", "words"),
    [
        (TooManyOrdersError(256, "MSP1"), 256, "MSP1", "256 orders wait for MSP1"),
        (TooManyOrdersError(10_000), 10_000, "", "10000 orders wait in all"),
    ],
)
def test_the_bound_that_was_reached_is_told(error: TooManyOrdersError, waiting: int, device: str, words: str) -> None:
    assert (error.waiting, error.device, str(error)) == (waiting, device, words)
