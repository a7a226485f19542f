"""The meter desk of a running central system: changes of meters asked for in the portal or at its API."""

from collections.abc import Callable, Sequence

from meterspan.app.central_system import CentralSystem
from meterspan.app.start_check import StartSource, read_source
from meterspan.app.views_proxy import Call
from meterspan.head_end.inventory import DeviceKeys
from meterspan.model.meter_changes import ChangeRefusedError, ChangeView, ChangeWish, InstallationView
from meterspan.model.reasons import trouble_of
from meterspan.runtime.declared import ConfigError

__all__ = ["CentralMeterDesk"]


class CentralMeterDesk:
    """Changes meters of a central system (``MeterDesk``); called from any thread.

    Args:
        system: the central system.
        source: whose key file has the keys of new meters: keys never come over the portal.
        call: runs a function where the head end runs.
        on_change: called after each change.

    """

    def __init__(self, system: CentralSystem, source: StartSource, call: Call, on_change: Callable[[], None]) -> None:
        self._system = system
        self._source = source
        self._call = call
        self._on_change = on_change

    def change(self, wish: ChangeWish) -> ChangeView:
        """Make a change.

        Raises:
            UnknownMeterError: no such meter.
            ChangeRefusedError: it cannot be made; nothing was changed.

        """
        try:
            return self._system.change(wish, self._keys() if wish.entry is not None else {}, self._call)
        finally:
            self._on_change()

    def changes(self, limit: int = 100) -> Sequence[ChangeView]:
        """List the newest changes, newest first."""
        return self._system.changes(limit)

    def installations(self, device: str) -> Sequence[InstallationView]:
        """List the installations at the usage points that a meter measures or measured, oldest first."""
        return self._system.installations(device)

    def _keys(self) -> dict[str, DeviceKeys]:
        """Read the key file anew: the keys of a new meter were added to it while the program runs."""
        try:
            plan, found = read_source(self._source)
        except (ConfigError, OSError) as error:
            raise ChangeRefusedError([f"the configuration cannot be read: {trouble_of(error)}"]) from error
        faults = [str(fault) for fault in found.faults if fault.file and fault.file == str(plan.config.keys)]
        if faults:
            raise ChangeRefusedError(faults)
        return dict(plan.keys)
