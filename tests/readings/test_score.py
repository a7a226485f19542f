"""The decode command against captured telegrams, where they are at hand; nothing of them is in the repository."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2].parent / "shared"
LEAST_SHARE = 0.965
"""Below what the decoder reached when this line was written; a fall means that a device family was broken."""


@pytest.mark.skipif(not (SHARED / "corpora").is_dir(), reason="no captured telegrams beside the repository")
def test_nearly_all_values_of_captured_telegrams_are_found_in_their_unit() -> None:
    command = [sys.executable, "-c", "from meterspan.cli import main; main()", "decode", "--jsonl", "-"]
    scored = [sys.executable, str(SHARED / "score.py"), str(SHARED / "corpora"), *command]
    done = subprocess.run(scored, capture_output=True, text=True, check=True, timeout=100, env={**os.environ})
    match = re.search(r"ALL: .* = ([\d.]+)$", done.stdout.strip())
    assert match is not None
    assert float(match[1]) >= LEAST_SHARE
