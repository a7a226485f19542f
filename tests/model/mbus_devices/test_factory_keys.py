"""Factory keys: zeros for any maker, and the published keys of some."""

import pytest

from meterspan.crypto.prios import DEFAULT_KEYS
from meterspan.model.mbus_devices import GRAMMARS
from meterspan.model.mbus_devices.factory_keys import ZERO_KEY, factory_keys_of


def test_zeros_are_tried_for_every_maker_and_first() -> None:
    assert factory_keys_of("MSP") == (bytes(16),)
    assert factory_keys_of("DME")[0] == ZERO_KEY


@pytest.mark.parametrize("maker", sorted(next(g for g in GRAMMARS if g.name == "Diehl PRIOS").manufacturers))
def test_the_key_of_diehl_is_its_prios_key_twice(maker: str) -> None:
    _, key = factory_keys_of(maker)
    assert key[:8] == key[8:]
    assert int.from_bytes(key[:4], "big") ^ int.from_bytes(key[4:8], "big") in DEFAULT_KEYS
