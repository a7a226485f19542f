"""Keys with which meters are shipped: anybody knows them, so what they open is as good as in the clear."""

from collections.abc import Mapping
from typing import Final

__all__ = ["ZERO_KEY", "factory_keys_of"]

ZERO_KEY: Final = bytes(16)
"""AES-128 key of many makers' meters until they get one of their own."""
_DIEHL = bytes.fromhex("51728910E66D83F8") * 2  # the key of PRIOS, twice; published by the users of IZAR and HYDRUS
_OF_MAKER: Mapping[str, tuple[bytes, ...]] = dict.fromkeys(("DME", "HYD", "SAP", "SPX"), (_DIEHL,))


def factory_keys_of(manufacturer: str) -> tuple[bytes, ...]:
    """Return the AES-128 keys with which meters of a maker are known to be shipped, zeros first."""
    return (ZERO_KEY, *_OF_MAKER.get(manufacturer, ()))
