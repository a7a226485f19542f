"""The inputs of a decoding beside the octets: keys, options, learnt layouts, and the trace."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from meterspan.engine.wmbus_receiver import WmbusReceiver
from meterspan.model.mbus_devices import SHIPPED_FORMATS
from meterspan.wire import Trace
from meterspan.wire.wmbus import FormatStore

__all__ = ["DecodeJob", "Learnt", "OneKey"]


class OneKey(Mapping[bytes, bytes]):
    """The key of the current telegram, for any address."""

    def __init__(self) -> None:
        self.value: bytes | None = None

    def __getitem__(self, address: bytes) -> bytes:
        """Return the key."""
        if self.value is None:
            raise KeyError(address)
        return self.value

    def __iter__(self) -> Iterator[bytes]:
        """List nothing: any address has this key."""
        return iter(())

    def __len__(self) -> int:
        """Count nothing."""
        return 0


class Learnt:
    """The state of a decoder between frames: compact formats and record layouts, both bounded by the receiver.

    Attributes:
        key: the key of the current telegram.
        receiver: opens and reads wireless telegrams.

    Args:
        insecure: the receiver also opens modes 2 and 3 (DES), which protect nothing.

    """

    def __init__(self, *, insecure: bool = False) -> None:
        self.key = OneKey()
        self.receiver = WmbusReceiver(self.key, FormatStore(SHIPPED_FORMATS), insecure=insecure)


@dataclass(slots=True)
class DecodeJob:
    """One decoding.

    Attributes:
        key: the encryption key, where one was given.
        auth_key: the authentication key of DLMS.
        meter_id: the expected meter.
        fix_unsigned_power: see ``decode_sml``.
        learnt: what earlier frames taught.
        trace: collects what each octet means.
        base: where the octets in hand begin in the frame, for the trace.
        insecure: open also what protects nothing, see ``Decoder``.
        now: UTC seconds of reception, None where it is not known.

    """

    key: bytes | None = field(default=None, repr=False)
    auth_key: bytes | None = field(default=None, repr=False)
    meter_id: str | None = None
    fix_unsigned_power: bool = False
    learnt: Learnt = field(default_factory=Learnt)
    trace: Trace | None = None
    base: int = 0
    insecure: bool = False
    now: float | None = None
