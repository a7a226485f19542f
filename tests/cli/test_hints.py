import re

import pytest

from meterspan.cli.hints import MBUS_OPTIONS, NEED_NO_OPTION, OPTIONS
from meterspan.cli.read import read
from meterspan.model.failures import FailureKind
from meterspan.runtime.endpoints import parse_transport


@pytest.mark.parametrize("kind", list(FailureKind))
def test_every_kind_of_failure_names_options_or_is_listed_as_needing_none(kind: FailureKind) -> None:
    assert (kind in OPTIONS) != (kind in NEED_NO_OPTION)


def test_the_options_named_are_options_of_read_and_of_its_endpoints() -> None:
    known = {f"--{name.replace('_', '-')}" for name in read.__annotations__} | {"--from", "--to", "--no-recover"}
    texts = " ".join([*OPTIONS.values(), *MBUS_OPTIONS.values()])
    assert set(re.findall(r"--[a-z-]+", texts)) <= known
    for name in set(re.findall(r"(\w+)=", texts)):
        value = {"secondary": "12345678", "address": "5", "baud": "9600"}[name]
        scheme = "serial:///dev/ttyUSB0" if name == "baud" else "mbus+tcp://127.0.0.1:10001"
        assert parse_transport(f"{scheme}?{name}={value}").options == {name: value}
