"""Codes that several modules name: every name is one code, and no code has two names."""

from meterspan.quantities import Obis, codes


def test_each_code_has_one_name() -> None:
    named = [value for name in codes.__all__ if isinstance(value := getattr(codes, name), Obis)]
    assert len(named) == len(set(named)) == len(codes.__all__) - 1
    assert codes.CLOCK.f == codes.CURRENT_VALUE
