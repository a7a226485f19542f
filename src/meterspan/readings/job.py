"""The inputs of a decoding beside the octets: keys, options, learnt layouts, and the trace."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from meterspan.engine.wmbus_receiver import InsecureWmbusReceiver, WmbusReceiver
from meterspan.model.mbus_devices import SHIPPED_FORMATS
from meterspan.model.radio_protection import RadioProtection
from meterspan.wire import Trace
from meterspan.wire.wmbus import FormatStore

__all__ = ["DecodeJob", "ForAnyAddress", "Learnt"]

ValueT = TypeVar("ValueT")


class ForAnyAddress(Mapping[bytes, ValueT]):
    """One value for any address: the key of the current telegram; no address is in it while it is None."""

    def __init__(self, value: ValueT | None = None) -> None:
        self.value = value

    def __getitem__(self, address: bytes) -> ValueT:
        """Return the value."""
        if self.value is None:
            raise KeyError(address)
        return self.value

    def __iter__(self) -> Iterator[bytes]:
        """List nothing: any address has this value."""
        return iter(())

    def __len__(self) -> int:
        """Count it once, where there is a value."""
        return self.value is not None


class Learnt:
    """The state of a decoder between frames: compact formats and record layouts, both bounded by the receiver.

    Attributes:
        key: the key of the current telegram.
        required: the least protection of the current telegram; None: it is only looked at.

    Args:
        insecure: the receiver also opens modes 2 and 3 (DES), which protect nothing.

    """

    def __init__(self, *, insecure: bool = False) -> None:
        self.key: ForAnyAddress[bytes] = ForAnyAddress()
        self.required: ForAnyAddress[RadioProtection] = ForAnyAddress()
        self._strict = WmbusReceiver(self.key, FormatStore(SHIPPED_FORMATS), required=self.required)
        self._insecure = InsecureWmbusReceiver(self.key, FormatStore(SHIPPED_FORMATS), has_des=insecure)

    @property
    def receiver(self) -> WmbusReceiver:
        """The receiver of the current telegram: without a required protection it reads also what nothing protects."""
        return self._insecure if self.required.value is None else self._strict


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
        required: the least protection, see ``Decoder.decode``.

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
    required: RadioProtection | None = None
