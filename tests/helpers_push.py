"""The notifications of a foreign meter: a structure of one element for each push object (IEC 62056-6-2, 4.4.8)."""

from collections.abc import Sequence

from meterspan.engine.push import INVOKE_IDS
from meterspan.engine.push_body import PushValue
from meterspan.engine.security import SecurityContext
from meterspan.model.cosem.device import LogicalDevice
from meterspan.model.cosem.objects import AccessRefusedError
from meterspan.quantities import ClockTime
from meterspan.wire.axdr import Data, array, integer, long_unsigned, null, octet_string, structure
from meterspan.wire.xdlms import CaptureObjectDefinition, DataNotification, LongInvokeIdAndPriority, write_apdu


class PushSource:
    """Builds the notifications of one push setup.

    Args:
        device: whose attributes are pushed.
        security: ciphers them; None pushes in the clear.

    """

    def __init__(self, device: LogicalDevice, *, security: SecurityContext | None = None) -> None:
        self._device = device
        self._security = security
        self._last_invoke_id = 0

    def notification(
        self, objects: Sequence[CaptureObjectDefinition], now: float, *, time: ClockTime | None = None
    ) -> bytes:
        """Build one notification's octets, for ``Link.send_unnumbered``.

        Args:
            objects: the push object list; what cannot be read is pushed as null-data.
            now: UTC seconds.
            time: by the meter's clock; None leaves it out.

        """
        self._last_invoke_id = (self._last_invoke_id + 1) % INVOKE_IDS
        body = structure(*(self._value(item, now) for item in objects))
        plain = write_apdu(DataNotification(LongInvokeIdAndPriority(self._last_invoke_id), body, time))
        return plain if self._security is None else self._security.protect(plain, general=True)

    def _value(self, item: CaptureObjectDefinition, now: float) -> Data:
        found = self._device.find(item.class_id, item.instance)
        if found is None:
            return null()
        try:
            value = found.read(item.attribute, now)
        except AccessRefusedError:
            return null()
        if item.data_index == 0:
            return value
        return (
            value.items[item.data_index - 1] if value.is_composite and item.data_index <= len(value.items) else null()
        )


def write_described(values: Sequence[PushValue]) -> Data:
    """Build a body in which every value carries its own descriptor, as meterspan pushed up to 0.1."""
    return array(*map(_described, values))


def _described(value: PushValue) -> Data:
    of = value.definition
    assert of is not None
    return structure(long_unsigned(of.class_id), octet_string(of.instance), integer(of.attribute), value.value)
