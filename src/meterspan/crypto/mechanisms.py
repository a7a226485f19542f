"""The authentication mechanisms of DLMS/COSEM as one table: names, needs and proofs (IEC 62056-5-3, 5.7.4).

Both roles of an association, the inventory, the configuration and the commands take what they know of a mechanism from
its row here. A new mechanism is a row, its functions in ``crypto.hls``, and a test.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from meterspan.crypto.hls import Handshake, check_gmac, check_md5, check_sha1, prove_gmac, prove_md5, prove_sha1
from meterspan.wire.acse import AuthenticationMechanism

__all__ = ["HLS_MECHANISMS", "MECHANISMS", "Mechanism", "Security", "mechanism_of"]


class Security(StrEnum):
    """How an association is authenticated and protected: the name in inventory, configuration and commands."""

    NONE = "none"
    LLS = "lls"
    HLS_MD5 = "hls-md5"
    HLS_SHA1 = "hls-sha1"
    HLS_GMAC = "hls-gmac"

    @classmethod
    def _missing_(cls, value: object) -> "Security | None":
        """Return the member by the short name of its mechanism: hls5 is hls-gmac."""
        return next((row.security for row in MECHANISMS if row.short == value), None)

    @property
    def mechanism(self) -> "Mechanism":
        """The row of this name."""
        return next(row for row in MECHANISMS if row.security is self)


@dataclass(frozen=True, slots=True)
class Mechanism:
    """One authentication mechanism.

    Attributes:
        code: its number on the wire.
        security: its name.
        short: its short name on the command line.
        text: how people write it.
        needs_secret: a password (LLS) or a secret (HLS) is shared with the meter.
        needs_keys: encryption and authentication key, system titles and counters are needed.
        ciphered: whether meterspan associates in the ciphered context with it.
        prove: makes the proof over the peer's challenge; None for mechanisms without challenges.
        check: checks the peer's proof over ours, raising ``WireError``; returns the invocation counter in it, if any.

    """

    code: AuthenticationMechanism
    security: Security
    short: str
    text: str
    needs_secret: bool = False
    needs_keys: bool = False
    ciphered: bool = False
    prove: Callable[[Handshake], bytes] | None = None
    check: Callable[[bytes, Handshake], int | None] | None = None

    @property
    def is_hls(self) -> bool:
        """Whether both sides answer challenges."""
        return self.prove is not None


MECHANISMS: Final = (
    Mechanism(AuthenticationMechanism.LOWEST, Security.NONE, "none", "no authentication"),
    Mechanism(AuthenticationMechanism.LLS, Security.LLS, "lls", "LLS (password)", needs_secret=True),
    Mechanism(
        AuthenticationMechanism.HLS_MD5,
        Security.HLS_MD5,
        "hls3",
        "HLS-MD5",
        needs_secret=True,
        prove=prove_md5,
        check=check_md5,
    ),
    Mechanism(
        AuthenticationMechanism.HLS_SHA1,
        Security.HLS_SHA1,
        "hls4",
        "HLS-SHA1",
        needs_secret=True,
        prove=prove_sha1,
        check=check_sha1,
    ),
    Mechanism(
        AuthenticationMechanism.HLS_GMAC,
        Security.HLS_GMAC,
        "hls5",
        "HLS-GMAC",
        needs_keys=True,
        ciphered=True,
        prove=prove_gmac,
        check=check_gmac,
    ),
)
"""All that are implemented, in the order of their numbers."""
_BY_CODE: Final = {row.code: row for row in MECHANISMS}
HLS_MECHANISMS: Final = frozenset(row.code for row in MECHANISMS if row.is_hls)


def mechanism_of(code: AuthenticationMechanism) -> Mechanism | None:
    """Return the row of a mechanism, or None where it is not implemented."""
    return _BY_CODE.get(code)
