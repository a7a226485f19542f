import pytest

from meterspan.cli.hints import HINTS, NEED_NO_HINT
from meterspan.model.failures import FailureKind


@pytest.mark.parametrize("kind", list(FailureKind))
def test_every_kind_of_failure_has_a_hint_or_is_listed_as_needing_none(kind: FailureKind) -> None:
    assert (kind in HINTS) != (kind in NEED_NO_HINT)


def test_hints_name_options_that_read_has() -> None:
    from meterspan.cli.read import read  # noqa: PLC0415 - only this test loads it

    known = {f"--{name.replace('_', '-')}" for name in read.__annotations__} | {"--from", "--to", "--no-recover"}
    named = {word.strip("?,;:.") for hint in HINTS.values() for word in hint.split() if word.startswith("--")}
    assert named <= known
