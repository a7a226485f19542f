"""Loaded by every Python that a test starts: records the nonces of what it sends (``tests/nonce_record.py``).

A demo is left out: it plays a district with keys made of its seed, so each demo is a world of its own, and nothing that
is ciphered leaves its process.
"""

import importlib.util
import os
import sys
from pathlib import Path

_PLACE = Path(__file__).parents[1] / "nonce_record.py"

folder = os.environ.get("METERSPAN_TEST_NONCES")
if folder and "demo" not in sys.orig_argv:
    spec = importlib.util.spec_from_file_location("nonce_record", _PLACE)
    if spec is not None and spec.loader is not None:
        nonce_record = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(nonce_record)
        nonce_record.record_in(Path(folder), os.environ.get("METERSPAN_MARKS", ""))
