import errno

import pytest

from meterspan.model.reasons import reason_of, trouble_of


@pytest.mark.parametrize(
    ("error", "reason", "trouble"),
    [
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "a.toml"), *["no such file or directory"] * 2),
        (OSError("odd"), "odd", "odd"),
        (OSError(), "OSError", "OSError"),
        (ValueError("no tariff"), "no tariff", "no tariff"),
        (UnicodeDecodeError("utf-8", b"ab\xff", 2, 3, "odd"), *["is no UTF-8 text (octet 2)"] * 2),
    ],
)
def test_an_error_is_told_without_its_number(error, reason, trouble):
    named = "a.toml: " if getattr(error, "filename", None) else ""
    assert (reason_of(error), trouble_of(error)) == (reason, named + trouble)
