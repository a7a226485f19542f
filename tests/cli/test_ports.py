"""A port that no machine has is refused in words, before anything is opened or made."""

import pytest

from tests.helpers_bench import run_here


@pytest.mark.parametrize(
    "line", ["meter --wrapper 65536", "meter --p1=-1", "home --port 65536", "serve x.toml --port 65536"]
)
def test_a_port_beyond_65535_or_below_0_is_refused(line):
    refused = run_here(*line.split())
    assert refused.exit_code == 2
    assert "65535" in refused.stderr or "equal to 0" in refused.stderr
