"""A client's request under way: the APDUs that carry it, and its answers (IEC 62056-5-3, 6.6 to 6.8).

Strategy: a pending request is a pure step machine. ``start`` returns the first APDU; ``answer`` processes a response
and returns the next APDU, or the finished event. A request longer than the server's PDU is sent in blocks or, for
lists, in several requests; one that the negotiated conformance does not cover fails before anything is sent.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias, TypeVar

from meterspan.engine.association.agreement import Agreement
from meterspan.engine.association.records import (
    Action,
    ActionDone,
    ActionList,
    ActionListDone,
    Encoded,
    Get,
    GetDone,
    GetList,
    Request,
    RequestFailed,
    Set,
    SetDone,
    SetList,
)
from meterspan.engine.block_transfer import BlockAssembly, BlockCutter
from meterspan.model.failures import Failure, FailureKind
from meterspan.wire.axdr import null, read_data, write_data, write_length
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
    ApduTag,
    AttributeSelection,
    Conformance,
    DataAccessResult,
    DataBlock,
    GetRequestNext,
    GetRequestNormal,
    GetRequestWithList,
    GetResponseNormal,
    GetResponseWithDatablock,
    GetResponseWithList,
    GetResult,
    InvokeIdAndPriority,
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
    apdu_name,
    data_octets_of_get,
    write_apdu,
)
from meterspan.wire.xdlms.action import read_outcome
from meterspan.wire.xdlms.common import read_list, read_result

__all__ = ["Done", "PendingRequest", "Step", "pending_request_for"]

CLAUSE = "IEC 62056-5-3, 6"
ItemT = TypeVar("ItemT")
LIST_ITEMS_MAX = 64
"""Attributes of one GET with-list: longer lists are asked in several requests, as many meters take few."""

Done: TypeAlias = GetDone | SetDone | ActionDone | ActionListDone | RequestFailed
Step: TypeAlias = Apdu | Done
"""The next step: an APDU to send, or the event that ends the request."""


class PendingRequest(Protocol):
    """One request under way."""

    @property
    def request_id(self) -> int:
        """The id that the caller knows the request by."""
        ...

    @property
    def invoke(self) -> InvokeIdAndPriority:
        """The invoke-id that its answers must carry."""
        ...

    def start(self) -> Step:
        """Begin; must be called once, first."""
        ...

    def answer(self, apdu: Apdu) -> Step:
        """Process an answer of the right invoke-id.

        Raises:
            WireError: the answer does not fit, or cannot be read.

        """
        ...

    def answer_unread(self, octets: bytes) -> Step | None:
        """Process an answer whose value is wanted as octets; None where the APDU must be decoded first."""
        ...


def pending_request_for(
    request: Request, request_id: int, invoke: InvokeIdAndPriority, agreement: Agreement, *, answer_max: int
) -> PendingRequest:
    """Return the pending request that carries a request out.

    Args:
        request: the services and attributes asked for.
        request_id: the id that the caller knows it by.
        invoke: the invoke-id of its APDUs.
        agreement: the terms of the association.
        answer_max: octets of the longest answer over all its blocks.

    """
    match request:
        case Get():
            return _PendingGet((request,), request_id, invoke, agreement, answer_max)
        case GetList():
            return _PendingGet(request.items, request_id, invoke, agreement, answer_max)
        case Set():
            return _PendingSet((request,), request_id, invoke, agreement)
        case SetList():
            return _PendingSet(request.items, request_id, invoke, agreement)
        case Action() | ActionList():
            return _PendingAction(request, request_id, invoke, agreement, answer_max)


class _PendingGet:
    """GET, normal or with-list, answers in blocks or not."""

    def __init__(
        self,
        items: Sequence[Get],
        request_id: int,
        invoke: InvokeIdAndPriority,
        agreement: Agreement,
        answer_max: int,
    ) -> None:
        self.request_id = request_id
        self.invoke = invoke
        self._items = items
        self._results: list[GetResult | Encoded] = []
        self._asked = 0
        self._assembly: BlockAssembly | None = None
        self._agreement = agreement
        self._answer_max = answer_max

    def start(self) -> Step:
        if Conformance.GET not in self._agreement.conformance:
            return _unsupported(self.request_id, "GET")
        if Conformance.SELECTIVE_ACCESS not in self._agreement.conformance and any(item.access for item in self._items):
            return _unsupported(self.request_id, "selective access")
        return self._ask()

    def answer(self, apdu: Apdu) -> Step:
        match apdu:
            case GetResponseNormal() if self._asked == 1:
                return self._take([apdu.result])
            case GetResponseWithList() if len(apdu.results) == self._asked:
                return self._take(apdu.results)
            case GetResponseWithDatablock():
                return self._take_block(apdu)
            case _:
                raise _misfit(apdu)

    def answer_unread(self, octets: bytes) -> Step | None:
        is_whole = octets[:2] == _GET_RESPONSE_NORMAL and octets[3:4] == b"\x00"
        if not is_whole or not self._wants_octets or octets[2] & 0x0F != self.invoke.invoke_id:
            return None
        return self._take([Encoded(data_octets_of_get(octets))])

    @property
    def _wants_octets(self) -> bool:
        return self._asked == 1 and self._items[len(self._results)].encoded

    def _ask(self) -> Step:
        rest = self._items[len(self._results) :]
        if not rest:
            return GetDone(self.request_id, tuple(self._results))
        self._assembly = None
        if len(rest) > 1 and not rest[0].encoded and Conformance.MULTIPLE_REFERENCES in self._agreement.conformance:
            request = self._list_request(rest)
            if request is not None:
                return request
        self._asked = 1
        request = GetRequestNormal(self.invoke, rest[0].attribute, rest[0].access)
        return request if _fits(request, self._agreement) else _too_long(self.request_id, "GET", self._agreement)

    def _list_request(self, rest: Sequence[Get]) -> Apdu | None:
        """Ask for as many as fit the server's PDU; None where fewer than two do."""
        plain = next((index for index, item in enumerate(rest) if item.encoded), len(rest))
        count = min(plain, LIST_ITEMS_MAX)
        while count > 1:
            chosen = tuple(AttributeSelection(item.attribute, item.access) for item in rest[:count])
            request = GetRequestWithList(self.invoke, chosen)
            if _fits(request, self._agreement):
                self._asked = count
                return request
            count //= 2
        return None

    def _take(self, results: Sequence[GetResult | Encoded]) -> Step:
        self._results += results
        return self._ask()

    def _take_block(self, apdu: GetResponseWithDatablock) -> Step:
        if not isinstance(apdu.result, bytes):
            return self._take([apdu.result] * self._asked)
        if self._assembly is None:
            self._assembly = BlockAssembly(self._answer_max)
        self._assembly.take(DataBlock(apdu.block_number, apdu.last_block, apdu.result))
        if not apdu.last_block:
            return GetRequestNext(self.invoke, apdu.block_number)
        return self._take(self._assembled(self._assembly.octets))

    def _assembled(self, octets: bytes) -> Sequence[GetResult | Encoded]:
        if self._asked == 1:
            return [Encoded(octets) if self._wants_octets else read_data(octets)]
        results = _read_whole_list(octets, read_result)
        if len(results) != self._asked:
            raise WireError(f"{len(results)} results for {self._asked} attributes", None, "result", CLAUSE)
        return results


class _PendingSet:
    """SET, normal or with-list, in blocks where it does not fit."""

    def __init__(
        self, items: Sequence[Set], request_id: int, invoke: InvokeIdAndPriority, agreement: Agreement
    ) -> None:
        self.request_id = request_id
        self.invoke = invoke
        self._items = items
        self._results: list[DataAccessResult] = []
        self._asked = 0
        self._cutter: BlockCutter | None = None
        self._agreement = agreement

    def start(self) -> Step:
        if Conformance.SET not in self._agreement.conformance:
            return _unsupported(self.request_id, "SET")
        return self._ask()

    def answer(self, apdu: Apdu) -> Step:
        match apdu:
            case SetResponseNormal() if self._asked == 1:
                return self._take([apdu.result])
            case SetResponseWithList() if len(apdu.results) == self._asked:
                return self._take(apdu.results)
            case SetResponseLastDatablock() if self._asked == 1:
                return self._take([apdu.result])
            case SetResponseLastDatablockWithList() if len(apdu.results) == self._asked:
                return self._take(apdu.results)
            case SetResponseDatablock() if self._cutter is not None and not self._cutter.is_done:
                if apdu.block_number != self._cutter.number:
                    raise _misfit(apdu)
                return SetRequestWithDatablock(self.invoke, self._cutter.cut(self._agreement.block_max))
            case _:
                raise _misfit(apdu)

    def answer_unread(self, octets: bytes) -> Step | None:  # noqa: ARG002 - no SET answer holds a value
        return None

    def _ask(self) -> Step:
        rest = self._items[len(self._results) :]
        if not rest:
            return SetDone(self.request_id, tuple(self._results))
        self._cutter = None
        if len(rest) > 1 and Conformance.MULTIPLE_REFERENCES in self._agreement.conformance:
            return self._ask_list(rest)
        self._asked = 1
        item = rest[0]
        whole = SetRequestNormal(self.invoke, item.attribute, item.value)
        if _fits(whole, self._agreement):
            return whole
        room = _room(SetRequestWithFirstDatablock(self.invoke, whole.attribute, _NO_BLOCK), self._agreement)
        cutter = self._begin_blocks(write_data(item.value))
        if cutter is None or room < 1:
            return _too_long(self.request_id, "SET", self._agreement)
        return SetRequestWithFirstDatablock(self.invoke, whole.attribute, cutter.cut(room))

    def _ask_list(self, rest: Sequence[Set]) -> Step:
        self._asked = len(rest)
        attributes = tuple(AttributeSelection(item.attribute) for item in rest)
        values = tuple(item.value for item in rest)
        whole = SetRequestWithList(self.invoke, attributes, values)
        if _fits(whole, self._agreement):
            return whole
        cutter = self._begin_blocks(write_length(len(values)) + b"".join(map(write_data, values)))
        room = _room(SetRequestWithListAndFirstDatablock(self.invoke, attributes, _NO_BLOCK), self._agreement)
        if cutter is None or room < 1:
            return _too_long(self.request_id, "SET with-list", self._agreement)
        return SetRequestWithListAndFirstDatablock(self.invoke, attributes, cutter.cut(room))

    def _begin_blocks(self, octets: bytes) -> BlockCutter | None:
        if Conformance.BLOCK_TRANSFER_WITH_SET not in self._agreement.conformance:
            return None
        self._cutter = BlockCutter(octets)
        return self._cutter

    def _take(self, results: Sequence[DataAccessResult]) -> Step:
        self._results += results
        return self._ask()


class _PendingAction:
    """ACTION, normal or with-list, parameters and return values in blocks where they do not fit."""

    def __init__(
        self,
        request: Action | ActionList,
        request_id: int,
        invoke: InvokeIdAndPriority,
        agreement: Agreement,
        answer_max: int,
    ) -> None:
        self.request_id = request_id
        self.invoke = invoke
        self._request = request
        self._items: tuple[Action, ...] = (request,) if isinstance(request, Action) else request.items
        self._outcomes: list[ActionOutcome] = []
        self._asked = 0
        self._cutter: BlockCutter | None = None
        self._assembly: BlockAssembly | None = None
        self._agreement = agreement
        self._answer_max = answer_max

    def start(self) -> Step:
        if Conformance.ACTION not in self._agreement.conformance:
            return _unsupported(self.request_id, "ACTION")
        return self._ask()

    def answer(self, apdu: Apdu) -> Step:
        match apdu:
            case ActionResponseNormal() if self._asked == 1:
                return self._take([apdu.outcome])
            case ActionResponseNormal() if apdu.outcome.result != ActionResult.SUCCESS:  # the whole list was aborted
                return self._take([apdu.outcome] * self._asked)
            case ActionResponseWithList() if self._asked > 1 and len(apdu.outcomes) == self._asked:
                return self._take(apdu.outcomes)
            case ActionResponseNextPblock() if self._cutter is not None and not self._cutter.is_done:
                if apdu.block_number != self._cutter.number:
                    raise _misfit(apdu)
                return ActionRequestWithPblock(self.invoke, self._cutter.cut(self._agreement.block_max))
            case ActionResponseWithPblock():
                return self._take_block(apdu.block)
            case _:
                raise _misfit(apdu)

    def answer_unread(self, octets: bytes) -> Step | None:  # noqa: ARG002 - an ACTION answer is always read
        return None

    def _ask(self) -> Step:
        done = len(self._outcomes)
        if done >= len(self._items):
            return self._finished()
        rest = self._items[done:]
        self._cutter = self._assembly = None
        if len(rest) > 1 and Conformance.MULTIPLE_REFERENCES in self._agreement.conformance:
            request = self._list_request(rest[:LIST_ITEMS_MAX])
            if request is not None:
                return request
        self._asked = 1
        return self._request_of(self._items[done])

    def _request_of(self, action: Action) -> Step:
        whole = ActionRequestNormal(self.invoke, action.method, action.parameter)
        if _fits(whole, self._agreement):
            return whole
        room = self._block_room(ActionRequestWithFirstPblock(self.invoke, action.method, _NO_BLOCK))
        if action.parameter is None or room < 1:
            return _too_long(self.request_id, "ACTION", self._agreement)
        self._cutter = BlockCutter(write_data(action.parameter))
        return ActionRequestWithFirstPblock(self.invoke, action.method, self._cutter.cut(room))

    def _list_request(self, rest: Sequence[Action]) -> Apdu | None:
        """Ask for all in one request, whole or in blocks; None where the server's PDU has no room for that."""
        methods = tuple(item.method for item in rest)
        parameters = tuple(null() if item.parameter is None else item.parameter for item in rest)
        self._asked = len(rest)
        whole = ActionRequestWithList(self.invoke, methods, parameters)
        if _fits(whole, self._agreement):
            return whole
        room = self._block_room(ActionRequestWithListAndFirstPblock(self.invoke, methods, _NO_BLOCK))
        if room < 1:
            return None
        self._cutter = BlockCutter(write_length(len(parameters)) + b"".join(map(write_data, parameters)))
        return ActionRequestWithListAndFirstPblock(self.invoke, methods, self._cutter.cut(room))

    def _block_room(self, first: Apdu) -> int:
        """Return how many octets fit a first block; 0 where parameters may not go in blocks."""
        has_blocks = Conformance.BLOCK_TRANSFER_WITH_ACTION in self._agreement.conformance
        return _room(first, self._agreement) if has_blocks else 0

    def _take_block(self, block: DataBlock) -> Step:
        if self._assembly is None:
            self._assembly = BlockAssembly(self._answer_max)
        self._assembly.take(block)
        if not block.last_block:
            return ActionRequestNextPblock(self.invoke, block.block_number)
        if self._asked == 1:
            return self._take([ActionOutcome(ActionResult.SUCCESS, read_data(self._assembly.octets))])
        outcomes = _read_whole_list(self._assembly.octets, read_outcome)
        if len(outcomes) != self._asked:
            raise WireError(f"{len(outcomes)} outcomes of {self._asked} methods", None, "list-of-responses", CLAUSE)
        return self._take(outcomes)

    def _take(self, outcomes: Sequence[ActionOutcome]) -> Step:
        self._outcomes += outcomes
        return self._ask()

    def _finished(self) -> Done:
        if isinstance(self._request, ActionList):
            return ActionListDone(self.request_id, tuple(self._outcomes))
        (outcome,) = self._outcomes
        return ActionDone(self.request_id, outcome.result, outcome.returned)


_GET_RESPONSE_NORMAL = bytes((ApduTag.GET_RESPONSE, 1))
_NO_BLOCK = DataBlock(1, last_block=False, raw_data=b"")
_LENGTH_SLACK = 3
"""A length field grows by up to three octets when the block is filled."""


def _read_whole_list(octets: bytes, read: Callable[[Cursor], ItemT]) -> tuple[ItemT, ...]:
    """Read the SEQUENCE OF results that a list answer in blocks makes up."""
    cursor = Cursor(octets)
    results = read_list(cursor, read, "result")
    cursor.finish("result")
    return results


def _misfit(apdu: Apdu) -> WireError:
    return WireError(f"{apdu_name(apdu)} does not answer the request", None, "apdu", CLAUSE)


def _unsupported(request_id: int, service: str) -> RequestFailed:
    reason = f"the association has no {service}: the negotiated conformance lacks it"
    return RequestFailed(request_id, Failure(FailureKind.UNSUPPORTED, reason))


def _too_long(request_id: int, service: str, agreement: Agreement) -> RequestFailed:
    reason = f"the {service} request does not fit the server's PDU of {agreement.max_pdu} octets, whole or in blocks"
    return RequestFailed(request_id, Failure(FailureKind.UNSUPPORTED, reason))


def _fits(apdu: Apdu, agreement: Agreement) -> bool:
    return len(write_apdu(apdu)) <= agreement.apdu_max


def _room(first: Apdu, agreement: Agreement) -> int:
    """Return how many octets of a value fit the first block; each later block holds more."""
    return agreement.apdu_max - len(write_apdu(first)) - _LENGTH_SLACK
