"""A home's access point on G1: its COSEM server for reads, and its uplink for pushes, under one run of counters."""

from collections.abc import Callable

from meterspan.engine.links import TRANSPORTS
from meterspan.engine.security import SecurityKeys
from meterspan.engine.uplink import Uplink
from meterspan.lnap.access_point import AccessPoint
from meterspan.lnap.cosem import LnapAccess, logical_device
from meterspan.runtime.dlms_server import DeviceSecurity, DlmsServer
from meterspan.runtime.endpoints import Endpoint
from meterspan.runtime.state import StateFile
from meterspan.runtime.uplink_host import UplinkHost

__all__ = ["LnapUpstream"]


class LnapUpstream:
    """The upstream connection of one access point.

    Args:
        point: whose rows and objects these are.
        keys: shared with the head end.
        state: keeps the counters.
        clock: UTC seconds.
        on_note: called with a sentence for each event on G1.

    """

    def __init__(
        self,
        point: AccessPoint,
        keys: SecurityKeys,
        *,
        state: StateFile,
        clock: Callable[[], float],
        on_note: Callable[[str], None],
    ) -> None:
        self._point = point
        self._clock = clock
        self._on_note = on_note
        self._security = DeviceSecurity(point.config.system_title, keys, state)
        access = LnapAccess(self._security.invocation_counter, self._security.client_title)
        self.server = DlmsServer(lambda: logical_device(point, access), self._security, clock=clock, on_note=on_note)

    def uplink(self, endpoint: Endpoint) -> UplinkHost:
        """Make the uplink to a head end, which runs once ``run`` is awaited."""
        uplink = Uplink(self._point, self._security.context(), TRANSPORTS[endpoint.scheme].push_sender())
        return UplinkHost(uplink, endpoint, clock=self._clock, on_note=self._on_note)
