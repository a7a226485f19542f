"""The meters of a wired M-Bus behind an access point: who is at which address, and which of them cannot be read.

Strategy: an address is configured by a person, so the meter that answers there belongs to the home, as the meter of a
P1 port does; it gets a channel once its first readout has a register that bills. Another meter at the address that is
read twice in a row has replaced the earlier one. What is known survives a restart, because rows may wait.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from meterspan.lnap.access_point import AccessPoint
from meterspan.lnap.channel import LocalMeter, MBusChannel
from meterspan.lnap.kept_state import DamagedEntryError
from meterspan.model.failures import Failure, FailureKind
from meterspan.model.identity import mbus_device
from meterspan.model.ports import StateStore
from meterspan.model.quarantine import FrameFault, QuarantinedFrame
from meterspan.quantities import CATALOGUE, Commodity
from meterspan.readings.mbus_decode import wired_sender
from meterspan.wire.errors import UnsupportedError

__all__ = ["WiredHeard", "WiredMeterNotRead", "WiredMeters"]

WIRED_KEPT: Final = "wired meters"


@dataclass(frozen=True, slots=True)
class WiredHeard:
    """A readout that was captured.

    Attributes:
        channel: of the meter.
        replaces: the meter that was read at the same address before, "" for none.

    """

    channel: MBusChannel
    replaces: str


@dataclass(frozen=True, slots=True)
class WiredMeterNotRead:
    """A meter of the bus cannot be read, or for another reason than before; one for each change.

    Attributes:
        source: where the slave is.
        device: the meter that was read there before, "" for none.
        time: UTC seconds.
        failure: why.

    """

    source: str
    device: str
    time: float
    failure: Failure


_UNREADABLE: Final = Failure(FailureKind.UNREADABLE, "its readout cannot be used; the quarantine names the reason")


class _KeptWired(msgspec.Struct):
    """The state file: commodity by device, and by address the device and the one that it replaced."""

    devices: dict[str, Commodity] = {}
    places: dict[str, tuple[str, str]] = {}


class WiredMeters:
    """The wired meters of one home.

    Args:
        home: that they belong to.
        keys: of meters whose readouts are encrypted, by device.
        state: keeps who is where.

    Raises:
        DamagedEntryError: the kept state cannot be read.

    """

    def __init__(self, home: str, keys: Mapping[str, bytes], state: StateStore) -> None:
        self._home = home
        self._keys = keys
        self._state = state
        self._kept = _read(state.load(WIRED_KEPT))
        self._new: dict[str, str] = {}
        """By address, another device than before that was read there once."""
        self._failed: dict[str, FailureKind] = {}

    def __contains__(self, device: str) -> bool:
        """Whether a meter was ever read on the wired bus."""
        return device in self._kept.devices

    @property
    def failing(self) -> Mapping[str, FailureKind]:
        """The addresses whose last readout failed, and how."""
        return self._failed

    def known(self) -> list[LocalMeter]:
        """List the meters that were read before the start."""
        return [self._meter(device, commodity) for device, commodity in self._kept.devices.items()]

    def hear(
        self, octets: bytes, now: float, source: str, *, point: AccessPoint, install: Callable[[LocalMeter], None]
    ) -> WiredHeard | WiredMeterNotRead | None:
        """Process the frames of one readout; return what was captured; else as ``fail`` does.

        Args:
            octets: as they were received.
            now: UTC seconds.
            source: where the slave is.
            point: the access point that captures it.
            install: installs a meter that is read for the first time.

        Raises:
            StorageError: rows or state cannot be stored now.

        """
        sender = wired_sender(octets)
        device = "" if sender is None else mbus_device(sender)
        heard = point.read_wired(octets, self._keys.get(device, b""), now, source)
        if heard is None:
            return self._note_failure(_UNREADABLE, now, source)
        found = heard.devices[0]
        try:
            self._admit(found.device, found.commodity, point, install)
        except ValueError as error:
            point.keep_damaged(octets, UnsupportedError(str(error)), now, source, found.device)
            return self._note_failure(Failure(FailureKind.UNSUPPORTED, str(error)), now, source)
        channel = point.channel(found.device)
        if channel is None or not point.take_wired(heard, now, source):
            return self._note_failure(_UNREADABLE, now, source)
        self._failed.pop(source, None)
        return WiredHeard(channel, self._replaced(source, found.device))

    def fail(
        self, failure: Failure, octets: bytes, now: float, source: str, *, point: AccessPoint
    ) -> WiredMeterNotRead | None:
        """Process a readout that failed; return what there is to report, None where it was reported already.

        Args:
            failure: why.
            octets: a damaged answer, b"" for none; it is quarantined.
            now: UTC seconds.
            source: where the slave is.
            point: whose quarantine keeps the octets.

        """
        if octets:
            device = self._kept.places.get(source, ("", ""))[0]
            point.quarantine_frame(QuarantinedFrame(now, source, FrameFault.DAMAGED, str(failure), octets, device))
        return self._note_failure(failure, now, source)

    def _note_failure(self, failure: Failure, now: float, source: str) -> WiredMeterNotRead | None:
        if self._failed.get(source) is failure.kind:
            return None
        self._failed[source] = failure.kind
        return WiredMeterNotRead(source, self._kept.places.get(source, ("", ""))[0], now, failure)

    def _admit(
        self, device: str, commodity: Commodity, point: AccessPoint, install: Callable[[LocalMeter], None]
    ) -> None:
        """Install a meter that is read for the first time.

        Raises:
            ValueError: no channel is free.

        """
        if point.channel(device) is None:
            install(self._meter(device, commodity))
        if device not in self._kept.devices:
            self._kept.devices[device] = commodity
            self._save()

    def _replaced(self, source: str, device: str) -> str:
        """Note who was read at an address; return the meter that it replaced, once it was read twice."""
        before = self._kept.places.get(source)
        if before is not None and before[0] == device:
            self._new.pop(source, None)
            return before[1]
        if before is not None and self._new.get(source) != device:
            self._new[source] = device
            return ""
        self._new.pop(source, None)
        self._kept.places[source] = (device, "" if before is None else before[0])
        self._save()
        return self._kept.places[source][1]

    def _meter(self, device: str, commodity: Commodity) -> LocalMeter:
        registers = (CATALOGUE[commodity].register,)
        return LocalMeter(device, commodity, self._home, registers, self._keys.get(device, b""), is_wired=True)

    def _save(self) -> None:
        self._state.save(WIRED_KEPT, msgspec.json.encode(self._kept))


def _read(octets: bytes | None) -> _KeptWired:
    try:
        return msgspec.json.decode(octets or b"{}", type=_KeptWired)
    except (msgspec.DecodeError, ValueError) as error:
        raise DamagedEntryError(WIRED_KEPT, "the meters of the wired M-Bus", error) from error
