"""A configuration that cannot work cannot be made."""

import pytest

from meterspan.engine.hdlc.config import HdlcConfig
from meterspan.wire.hdlc import HdlcAddress, HdlcParameters


@pytest.mark.parametrize(
    "bad", [{"parameters": HdlcParameters(2031, 128)}, {"apdu_size_max": 0}, {"retries_max": -1}, {"polls_max": -1}]
)
def test_a_configuration_that_cannot_work_cannot_be_made(bad):
    with pytest.raises(ValueError, match=r"information|negative"):
        HdlcConfig(HdlcAddress(16), HdlcAddress(1, 17, 2), **bad)
