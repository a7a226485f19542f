"""Quality flags are stored, so their numbers never change."""

from meterspan.quantities import Quality

STORED = [
    "CLOCK_INVALID",
    "CLOCK_ADJUSTED",
    "POWER_DOWN",
    "METER_RESET",
    "ROLLOVER",
    "EXCHANGED",
    "LATE",
    "DUPLICATE",
    "CONFLICT",
    "SPREAD",
    "ESTIMATED",
    "EDITED",
    "MISSING",
    "SPIKE",
    "ZERO_GLITCH",
    "SUM_CHECK",
    "NEGATIVE",
    "CRITICAL_ERROR",
    "OFF_GRID",
]


def test_the_flags_keep_the_bits_under_which_they_are_stored():
    assert {name: int(Quality[name]) for name in STORED} == {name: 1 << bit for bit, name in enumerate(STORED)}


def test_flags_fit_the_signed_32_bits_of_the_store():
    assert all(int(flag) < 1 << 31 for flag in Quality)
