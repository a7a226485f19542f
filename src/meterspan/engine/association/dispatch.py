"""The server's side of GET, SET and ACTION (IEC 62056-5-3, 6.6 to 6.8): requests in, responses out, over one device.

Strategy: one ``Dispatcher`` per association. The association's access table is checked before an object is accessed.
Values longer than the client's PDU are sent in blocks, long requests are received in blocks; one transfer of each kind
at a time, all bounded. It does not depend on ciphering or on the link.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeAlias, TypeVar

from meterspan.engine.association.agreement import Agreement
from meterspan.engine.block_transfer import BlockAssembly, BlockCutter
from meterspan.model.cosem.device import AssociationDefinition, LogicalDevice, attribute_right, grant_for
from meterspan.model.cosem.objects import AccessRefusedError, ActionRefusedError, CosemObject
from meterspan.quantities import Obis
from meterspan.wire.axdr import Data, null, read_data, write_data
from meterspan.wire.cursor import Cursor
from meterspan.wire.errors import WireError
from meterspan.wire.xdlms import (
    ActionOutcome,
    ActionRequestNextPblock,
    ActionRequestNormal,
    ActionRequestWithFirstPblock,
    ActionRequestWithList,
    ActionRequestWithListAndFirstPblock,
    ActionRequestWithPblock,
    ActionResponseNextPblock,
    ActionResponseNormal,
    ActionResponseWithList,
    ActionResponseWithPblock,
    ActionResult,
    Apdu,
    AttributeSelection,
    Conformance,
    CosemAttributeDescriptor,
    CosemMethodDescriptor,
    DataAccessResult,
    DataBlock,
    ExceptionResponse,
    GetHead,
    GetRequestNext,
    GetRequestNormal,
    GetRequestWithList,
    GetResponseNormal,
    GetResponseWithDatablock,
    GetResponseWithList,
    GetResult,
    InvokeIdAndPriority,
    ServiceFault,
    SetRequestNormal,
    SetRequestWithDatablock,
    SetRequestWithFirstDatablock,
    SetRequestWithList,
    SetRequestWithListAndFirstDatablock,
    SetResponseDatablock,
    SetResponseLastDatablock,
    SetResponseLastDatablockWithList,
    SetResponseNormal,
    SetResponseWithList,
    StateFault,
    read_apdu,
    read_request_head,
    write_apdu,
)
from meterspan.wire.xdlms.action import write_outcome
from meterspan.wire.xdlms.common import read_list, write_list, write_result

__all__ = ["INCOMING_OCTETS_MAX", "LIST_ITEMS_MAX", "Dispatcher"]

TargetT = TypeVar("TargetT")
Targets: TypeAlias = Sequence[CosemAttributeDescriptor | CosemMethodDescriptor]
_PDU_TOO_LONG = ExceptionResponse(StateFault.SERVICE_NOT_ALLOWED, ServiceFault.PDU_TOO_LONG)
"""The answer to a request whose answer would be longer than the client's PDU: nothing of it was carried out."""
_UNAVAILABLE = ActionOutcome(ActionResult.DATA_BLOCK_UNAVAILABLE)
INCOMING_OCTETS_MAX = 1 << 20
"""Octets of one SET or ACTION over all its blocks: an activity calendar has thousands; an image goes by methods."""
LIST_ITEMS_MAX = 256
"""Attributes or methods of one list request."""

_NEEDED: Mapping[type, Conformance] = {
    GetRequestNormal: Conformance.GET,
    GetRequestNext: Conformance.GET | Conformance.BLOCK_TRANSFER_WITH_GET,
    GetRequestWithList: Conformance.GET | Conformance.MULTIPLE_REFERENCES,
    SetRequestNormal: Conformance.SET,
    SetRequestWithFirstDatablock: Conformance.SET | Conformance.BLOCK_TRANSFER_WITH_SET,
    SetRequestWithDatablock: Conformance.SET | Conformance.BLOCK_TRANSFER_WITH_SET,
    SetRequestWithList: Conformance.SET | Conformance.MULTIPLE_REFERENCES,
    SetRequestWithListAndFirstDatablock: (
        Conformance.SET | Conformance.BLOCK_TRANSFER_WITH_SET | Conformance.MULTIPLE_REFERENCES
    ),
    ActionRequestNormal: Conformance.ACTION,
    ActionRequestNextPblock: Conformance.ACTION | Conformance.BLOCK_TRANSFER_WITH_ACTION,
    ActionRequestWithList: Conformance.ACTION | Conformance.MULTIPLE_REFERENCES,
    ActionRequestWithFirstPblock: Conformance.ACTION | Conformance.BLOCK_TRANSFER_WITH_ACTION,
    ActionRequestWithPblock: Conformance.ACTION | Conformance.BLOCK_TRANSFER_WITH_ACTION,
    ActionRequestWithListAndFirstPblock: (
        Conformance.ACTION | Conformance.BLOCK_TRANSFER_WITH_ACTION | Conformance.MULTIPLE_REFERENCES
    ),
}
"""The conformance that each request needs."""


class Dispatcher:
    """Serves one association's requests.

    Args:
        device: the objects.
        definition: the association, with its access table.
        agreement: the terms of the association.
        own: the association's own objects, by logical name.

    """

    def __init__(
        self,
        device: LogicalDevice,
        definition: AssociationDefinition,
        *,
        agreement: Agreement,
        own: Mapping[Obis, CosemObject],
    ) -> None:
        self._device = device
        self._definition = definition
        self._agreement = self._terms = agreement
        self._general_terms = replace(agreement, is_general=True)
        self._own = own
        self._get: tuple[int, BlockCutter] | None = None
        self._set: _Incoming[AttributeSelection] | None = None
        self._action_in: _Incoming[CosemMethodDescriptor] | None = None
        self._action_out: tuple[int, BlockCutter] | None = None
        self._is_authenticated = False

    def read(self, octets: bytes, *, authenticated: bool) -> Apdu:
        """Read a request; values for targets that the client may not write, run or select are null-data, not read.

        Raises:
            WireError: it is malformed, or of an unknown tag.

        """
        self._is_authenticated = authenticated
        head = read_request_head(octets)
        if isinstance(head, GetHead):
            is_refused = not self._may_select(head.target, head.selector)
        else:
            is_refused = head is not None and self._are_refused(head.targets)
        if head is not None and is_refused:
            return head.without_values()
        return read_apdu(octets)

    def handle(self, apdu: Apdu, now: float, *, authenticated: bool, general: bool = False) -> Apdu | None:
        """Serve one request and return its response; None where the service is unconfirmed.

        Args:
            apdu: the plain request.
            now: UTC seconds.
            authenticated: whether the request was cryptographically authenticated.
            general: whether it was protected by general ciphering, as the response will be.

        """
        self._terms = self._general_terms if general else self._agreement
        needed = _NEEDED.get(type(apdu))
        if needed is None:
            return ExceptionResponse(StateFault.SERVICE_UNKNOWN, ServiceFault.SERVICE_NOT_SUPPORTED)
        if needed not in self._agreement.conformance:
            return ExceptionResponse(StateFault.SERVICE_NOT_ALLOWED, ServiceFault.SERVICE_NOT_SUPPORTED)
        self._is_authenticated = authenticated
        response = self._respond(apdu, now)
        invoke = getattr(apdu, "invoke", None)
        return response if isinstance(invoke, InvokeIdAndPriority) and invoke.confirmed else None

    def _respond(self, apdu: Apdu, now: float) -> Apdu:
        match apdu:
            case GetRequestNormal():
                return self._get_one(apdu, now)
            case GetRequestWithList():
                return self._get_list(apdu, now)
            case GetRequestNext():
                return self._get_next(apdu)
            case SetRequestNormal():
                selection = AttributeSelection(apdu.attribute, apdu.access)
                return SetResponseNormal(apdu.invoke, self._write(selection, apdu.value, now))
            case SetRequestWithList():
                return self._set_list(apdu, now)
            case SetRequestWithFirstDatablock():
                return self._set_begin(apdu.invoke, (AttributeSelection(apdu.attribute, apdu.access),), apdu.block, now)
            case SetRequestWithListAndFirstDatablock():
                return self._set_begin(apdu.invoke, apdu.attributes, apdu.block, now, is_list=True)
            case SetRequestWithDatablock():
                return self._set_block(apdu.invoke, apdu.block, now)
            case ActionRequestNormal():
                return self._action_response(apdu.invoke, self._invoke(apdu.method, apdu.parameters, now))
            case ActionRequestWithList():
                return self._action_list(apdu, now)
            case ActionRequestWithFirstPblock():
                return self._action_begin(apdu.invoke, (apdu.method,), apdu.block, now)
            case ActionRequestWithListAndFirstPblock():
                return self._action_begin(apdu.invoke, apdu.methods, apdu.block, now, is_list=True)
            case ActionRequestWithPblock():
                return self._action_block(apdu.invoke, apdu.block, now)
            case ActionRequestNextPblock():
                return self._action_next(apdu)
            case _:
                return ExceptionResponse(StateFault.SERVICE_UNKNOWN, ServiceFault.SERVICE_NOT_SUPPORTED)

    # GET.

    def _get_one(self, request: GetRequestNormal, now: float) -> Apdu:
        self._get = None
        result = self._read(AttributeSelection(request.attribute, request.access), now)
        whole = GetResponseNormal(request.invoke, result)
        if not isinstance(result, Data) or self._fits(whole):
            return whole
        return self._get_blocks(request.invoke, write_data(result))

    def _get_list(self, request: GetRequestWithList, now: float) -> Apdu:
        self._get = None
        has_blocks = self._has_blocks(Conformance.BLOCK_TRANSFER_WITH_GET)
        unavailable = (DataAccessResult.DATA_BLOCK_UNAVAILABLE,) * len(request.attributes)
        refused = GetResponseWithList(request.invoke, unavailable)
        if len(request.attributes) > LIST_ITEMS_MAX or not (has_blocks or self._fits(refused)):
            return _PDU_TOO_LONG
        results = self._read_each(request.attributes, now)
        whole = GetResponseWithList(request.invoke, results)
        if self._fits(whole):
            return whole
        return self._get_blocks(request.invoke, write_list(results, write_result)) if has_blocks else refused

    def _read_each(self, selections: Sequence[AttributeSelection], now: float) -> tuple[GetResult, ...]:
        """Read what a list asks for; an attribute that it names many times is read once."""
        whole = {item.attribute for item in selections if item.access is None}
        values = {attribute: self._read(AttributeSelection(attribute), now) for attribute in whole}
        return tuple(values[item.attribute] if item.access is None else self._read(item, now) for item in selections)

    def _get_blocks(self, invoke: InvokeIdAndPriority, octets: bytes) -> Apdu:
        if not self._has_blocks(Conformance.BLOCK_TRANSFER_WITH_GET):
            return GetResponseNormal(invoke, DataAccessResult.DATA_BLOCK_UNAVAILABLE)
        self._get = (invoke.invoke_id, BlockCutter(octets))
        return self._next_get_block(invoke, self._get[1])

    def _get_next(self, request: GetRequestNext) -> Apdu:
        running, self._get = self._get, None
        if running is None or running[0] != request.invoke.invoke_id or not self._has_room:
            return _get_aborted(request, DataAccessResult.NO_LONG_GET_IN_PROGRESS)
        cutter = running[1]
        if request.block_number == cutter.number - 1 and cutter.last is not None:
            self._get = running
            return _get_block(request.invoke, cutter.last)  # our block was lost on the way: asked for again
        if cutter.is_done and request.block_number == cutter.number:
            return _get_aborted(request, DataAccessResult.NO_LONG_GET_IN_PROGRESS)
        if request.block_number != cutter.number:
            return _get_aborted(request, DataAccessResult.DATA_BLOCK_NUMBER_INVALID)
        self._get = running
        return self._next_get_block(request.invoke, cutter)

    def _next_get_block(self, invoke: InvokeIdAndPriority, cutter: BlockCutter) -> Apdu:
        return _get_block(invoke, cutter.cut(self._terms.block_max))

    @property
    def _has_room(self) -> bool:
        """Whether a block has room for any octet, with the protection of this request."""
        return self._terms.block_max >= 1

    # SET.

    def _set_list(self, request: SetRequestWithList, now: float) -> Apdu:
        written = (DataAccessResult.SUCCESS,) * len(request.attributes)
        if not self._fits(SetResponseWithList(request.invoke, written)):
            return _PDU_TOO_LONG
        results = self._write_all(request.attributes, request.values, now)
        if results is None:
            return ExceptionResponse(StateFault.SERVICE_NOT_ALLOWED, ServiceFault.OTHER_REASON)
        return SetResponseWithList(request.invoke, results)

    def _set_begin(
        self,
        invoke: InvokeIdAndPriority,
        attributes: tuple[AttributeSelection, ...],
        block: DataBlock,
        now: float,
        *,
        is_list: bool = False,
    ) -> Apdu:
        written = (DataAccessResult.SUCCESS,) * len(attributes)
        if is_list and not self._fits(SetResponseLastDatablockWithList(invoke, written, block.block_number)):
            self._set = None
            return _PDU_TOO_LONG
        self._set = _Incoming(invoke.invoke_id, attributes, BlockAssembly(INCOMING_OCTETS_MAX), is_list)
        return self._set_block(invoke, block, now)

    def _set_block(self, invoke: InvokeIdAndPriority, block: DataBlock, now: float) -> Apdu:
        incoming, self._set = self._set, None
        if incoming is None or incoming.invoke_id != invoke.invoke_id:
            result = DataAccessResult.NO_LONG_SET_IN_PROGRESS
            return SetResponseLastDatablock(invoke, result, block.block_number)
        if block.block_number != incoming.assembly.number + 1:
            return SetResponseLastDatablock(invoke, DataAccessResult.DATA_BLOCK_NUMBER_INVALID, block.block_number)
        try:
            incoming.assembly.take(block)
            if not block.last_block:
                self._set = incoming
                return SetResponseDatablock(invoke, block.block_number)
            targets = tuple(selection.attribute for selection in incoming.targets)
            values = self._read_values(targets, incoming)
        except WireError:
            result = DataAccessResult.LONG_SET_ABORTED
            return SetResponseLastDatablock(invoke, result, block.block_number)
        results = self._write_all(incoming.targets, values, now)
        if results is None:
            return SetResponseLastDatablock(invoke, DataAccessResult.LONG_SET_ABORTED, block.block_number)
        if incoming.is_list:
            return SetResponseLastDatablockWithList(invoke, results, block.block_number)
        return SetResponseLastDatablock(invoke, results[0], block.block_number)

    def _write_all(
        self, attributes: tuple[AttributeSelection, ...], values: tuple[Data, ...], now: float
    ) -> tuple[DataAccessResult, ...] | None:
        if len(attributes) != len(values) or len(attributes) > LIST_ITEMS_MAX:
            return None
        return tuple(self._write(target, value, now) for target, value in zip(attributes, values, strict=True))

    # ACTION.

    def _action_list(self, request: ActionRequestWithList, now: float) -> Apdu:
        if len(request.methods) != len(request.parameters) or len(request.methods) > LIST_ITEMS_MAX:
            return ExceptionResponse(StateFault.SERVICE_NOT_ALLOWED, ServiceFault.OTHER_REASON)
        if not self._fits_outcomes(request.invoke, request.methods):
            return _PDU_TOO_LONG
        return self._outcomes_response(request.invoke, self._invoke_all(request.methods, request.parameters, now))

    def _action_begin(
        self,
        invoke: InvokeIdAndPriority,
        methods: tuple[CosemMethodDescriptor, ...],
        block: DataBlock,
        now: float,
        *,
        is_list: bool = False,
    ) -> Apdu:
        if is_list and not self._fits_outcomes(invoke, methods):
            self._action_in = None
            return _PDU_TOO_LONG
        self._action_in = _Incoming(invoke.invoke_id, methods, BlockAssembly(INCOMING_OCTETS_MAX), is_list)
        return self._action_block(invoke, block, now)

    def _action_block(self, invoke: InvokeIdAndPriority, block: DataBlock, now: float) -> Apdu:
        incoming, self._action_in = self._action_in, None
        if incoming is None or incoming.invoke_id != invoke.invoke_id:
            return ActionResponseNormal(invoke, ActionOutcome(ActionResult.NO_LONG_ACTION_IN_PROGRESS))
        try:
            incoming.assembly.take(block)
            if not block.last_block:
                self._action_in = incoming
                return ActionResponseNextPblock(invoke, block.block_number)
            parameters = self._read_values(incoming.targets, incoming)
        except WireError:
            return ActionResponseNormal(invoke, ActionOutcome(ActionResult.LONG_ACTION_ABORTED))
        if len(parameters) != len(incoming.targets):
            return ActionResponseNormal(invoke, ActionOutcome(ActionResult.LONG_ACTION_ABORTED))
        outcomes = self._invoke_all(incoming.targets, parameters, now)
        if incoming.is_list:
            return self._outcomes_response(invoke, outcomes)
        return self._action_response(invoke, outcomes[0])

    def _action_response(self, invoke: InvokeIdAndPriority, outcome: ActionOutcome) -> Apdu:
        whole = ActionResponseNormal(invoke, outcome)
        if not isinstance(outcome.returned, Data) or self._fits(whole):
            return whole
        if not self._has_blocks(Conformance.BLOCK_TRANSFER_WITH_ACTION):
            return ActionResponseNormal(invoke, _UNAVAILABLE)
        return self._action_blocks(invoke, write_data(outcome.returned))

    def _outcomes_response(self, invoke: InvokeIdAndPriority, outcomes: tuple[ActionOutcome, ...]) -> Apdu:
        whole = ActionResponseWithList(invoke, outcomes)
        if self._fits(whole):
            return whole
        if self._has_blocks(Conformance.BLOCK_TRANSFER_WITH_ACTION):
            return self._action_blocks(invoke, write_list(outcomes, write_outcome))
        return ActionResponseWithList(
            invoke, tuple(outcome if outcome.returned is None else _UNAVAILABLE for outcome in outcomes)
        )

    def _action_blocks(self, invoke: InvokeIdAndPriority, octets: bytes) -> Apdu:
        cutter = BlockCutter(octets)
        block = cutter.cut(self._terms.block_max)
        self._action_out = None if block.last_block else (invoke.invoke_id, cutter)
        return ActionResponseWithPblock(invoke, block)

    def _fits_outcomes(self, invoke: InvokeIdAndPriority, methods: tuple[CosemMethodDescriptor, ...]) -> bool:
        """Whether at least the bare outcomes of these methods fit an answer, so that none runs unanswered."""
        return self._fits(ActionResponseWithList(invoke, (_UNAVAILABLE,) * len(methods)))

    def _action_next(self, request: ActionRequestNextPblock) -> Apdu:
        running, self._action_out = self._action_out, None
        is_running = running is not None and running[0] == request.invoke.invoke_id and self._has_room
        if running is None or not is_running or request.block_number != running[1].number:
            return ActionResponseNormal(request.invoke, ActionOutcome(ActionResult.NO_LONG_ACTION_IN_PROGRESS))
        block = running[1].cut(self._terms.block_max)
        if not block.last_block:
            self._action_out = running
        return ActionResponseWithPblock(request.invoke, block)

    def _invoke_all(
        self, methods: tuple[CosemMethodDescriptor, ...], parameters: tuple[Data, ...], now: float
    ) -> tuple[ActionOutcome, ...]:
        return tuple(self._invoke(method, data, now) for method, data in zip(methods, parameters, strict=True))

    def _fits(self, response: Apdu) -> bool:
        """Whether a response is no longer than the client's PDU."""
        return len(write_apdu(response)) <= self._terms.apdu_max

    def _has_blocks(self, service: Conformance) -> bool:
        """Whether a long answer of a service may go in blocks, and a block has room for any of it."""
        return service in self._agreement.conformance and self._has_room

    def _read_values(self, targets: Targets, incoming: "_Incoming[TargetT]") -> tuple[Data, ...]:
        """Read the values received in blocks, unless the client may write or run none of the targets."""
        if self._are_refused(targets):
            return (null(),) * len(targets)
        octets = incoming.assembly.octets
        if not incoming.is_list:
            return (read_data(octets),)
        cursor = Cursor(octets)
        values = read_list(cursor, read_data, "value-list")
        cursor.finish("value-list")
        return values

    # Objects, by right.

    def _are_refused(self, targets: Targets) -> bool:
        """Whether the client may write or run none of these."""
        return all(self._refusal_of(target) is not None for target in targets)

    def _refusal_of(self, target: CosemAttributeDescriptor | CosemMethodDescriptor) -> object | None:
        item = self._find(target.class_id, target.instance)
        if isinstance(item, DataAccessResult):
            return item
        if isinstance(target, CosemAttributeDescriptor):
            return self._refusal(item, target.attribute, write=True)
        return None if self._may_invoke(item, target.method) else ActionResult.READ_WRITE_DENIED

    def _read(self, selection: AttributeSelection, now: float) -> GetResult:
        target = selection.attribute
        if selection.access is not None and Conformance.SELECTIVE_ACCESS not in self._agreement.conformance:
            return DataAccessResult.SCOPE_OF_ACCESS_VIOLATED
        item = self._find(target.class_id, target.instance)
        if isinstance(item, DataAccessResult):
            return item
        refusal = self._refusal(item, target.attribute, write=False)
        if refusal is not None:
            return refusal
        try:
            return item.read(target.attribute, now, selection.access)
        except AccessRefusedError as error:
            return error.result

    def _write(self, selection: AttributeSelection, value: Data, now: float) -> DataAccessResult:
        target = selection.attribute
        if selection.access is not None:
            return DataAccessResult.SCOPE_OF_ACCESS_VIOLATED
        item = self._find(target.class_id, target.instance)
        if isinstance(item, DataAccessResult):
            return item
        refusal = self._refusal(item, target.attribute, write=True)
        if refusal is not None:
            return refusal
        try:
            item.write(target.attribute, value, now)
        except AccessRefusedError as error:
            return error.result
        return DataAccessResult.SUCCESS

    def _invoke(self, method: CosemMethodDescriptor, parameters: Data | None, now: float) -> ActionOutcome:
        item = self._find(method.class_id, method.instance)
        if isinstance(item, DataAccessResult):
            return ActionOutcome(ActionResult(int(item)))
        if not self._may_invoke(item, method.method):
            return ActionOutcome(ActionResult.READ_WRITE_DENIED)
        try:
            returned = item.invoke(method.method, null() if parameters is None else parameters, now)
        except ActionRefusedError as error:
            return ActionOutcome(error.result)
        return ActionOutcome(ActionResult.SUCCESS, returned)

    def _may_select(self, target: CosemAttributeDescriptor, selector: int) -> bool:
        item = self._find(target.class_id, target.instance)
        if isinstance(item, DataAccessResult) or self._refusal(item, target.attribute, write=False) is not None:
            return False
        return selector in item.selectors(target.attribute)

    def _may_invoke(self, item: CosemObject, number: int) -> bool:
        grant, declared = grant_for(self._definition, item), item.interface.methods.get(number)
        access = None if grant is None or declared is None else grant.method_access(declared)
        return bool(access) and (self._is_authenticated or not (access and access.authenticated))

    def _find(self, class_id: int, name: Obis) -> CosemObject | DataAccessResult:
        own = self._own.get(name)
        item = own if own is not None and own.interface.class_id == class_id else self._device.find(class_id, name)
        if item is not None and grant_for(self._definition, item) is not None:
            return item
        is_shown = item is None and (own is not None or self._shows_name(name))
        return DataAccessResult.OBJECT_CLASS_INCONSISTENT if is_shown else DataAccessResult.OBJECT_UNDEFINED

    def _shows_name(self, name: Obis) -> bool:
        """Whether the client is shown an object of this name: one that it is not shown does not exist for it."""
        return any(grant_for(self._definition, item) is not None for item in self._device.named(name))

    def _refusal(self, item: CosemObject, number: int, *, write: bool) -> DataAccessResult | None:
        """Return why an attribute may not be accessed, or None."""
        declared = item.interface.attributes.get(number)
        grant = grant_for(self._definition, item)
        if declared is None or grant is None:
            return DataAccessResult.OBJECT_UNAVAILABLE
        access = attribute_right(grant, item, number)
        if not write and number not in item.readable:
            access = grant.attribute_access(declared)  # where it is granted, reading it says "unavailable"
        is_granted = access.writable if write else access.readable
        if not is_granted or (access.authenticated and not self._is_authenticated):
            return DataAccessResult.READ_WRITE_DENIED
        return None


@dataclass(frozen=True, slots=True)
class _Incoming(Generic[TargetT]):
    """A request received in blocks."""

    invoke_id: int
    targets: tuple[TargetT, ...]
    assembly: BlockAssembly
    is_list: bool


def _get_block(invoke: InvokeIdAndPriority, block: DataBlock) -> Apdu:
    return GetResponseWithDatablock(invoke, block.block_number, block.last_block, block.raw_data)


def _get_aborted(request: GetRequestNext, result: DataAccessResult) -> Apdu:
    return GetResponseWithDatablock(request.invoke, request.block_number, last_block=True, result=result)
