"""ACTION (IEC 62056-5-3, 6.8 and annex A): whole or in parameter blocks, one method or a list."""

from dataclasses import dataclass
from typing import TypeAlias

from meterspan.wire.axdr import Data, read_data, read_flag, write_data
from meterspan.wire.cursor import Cursor
from meterspan.wire.xdlms.codes import ActionResult, ApduTag
from meterspan.wire.xdlms.common import (
    CosemMethodDescriptor,
    DataBlock,
    GetResult,
    InvokeIdAndPriority,
    read_block,
    read_choice,
    read_invoke_id,
    read_list,
    read_method,
    read_result,
    write_block,
    write_invoke_id,
    write_list,
    write_method,
    write_result,
)

__all__ = [
    "ActionOutcome",
    "ActionRequest",
    "ActionRequestNextPblock",
    "ActionRequestNormal",
    "ActionRequestWithFirstPblock",
    "ActionRequestWithList",
    "ActionRequestWithListAndFirstPblock",
    "ActionRequestWithPblock",
    "ActionResponse",
    "ActionResponseNextPblock",
    "ActionResponseNormal",
    "ActionResponseWithList",
    "ActionResponseWithPblock",
]


@dataclass(frozen=True, slots=True)
class ActionRequestNormal:
    """Invoke one method."""

    invoke: InvokeIdAndPriority
    method: CosemMethodDescriptor
    parameters: Data | None = None


@dataclass(frozen=True, slots=True)
class ActionRequestNextPblock:
    """Ask for the block of return parameters after ``block_number``."""

    invoke: InvokeIdAndPriority
    block_number: int


@dataclass(frozen=True, slots=True)
class ActionRequestWithList:
    """Invoke several methods, parameters in the order of the methods."""

    invoke: InvokeIdAndPriority
    methods: tuple[CosemMethodDescriptor, ...]
    parameters: tuple[Data, ...]


@dataclass(frozen=True, slots=True)
class ActionRequestWithFirstPblock:
    """Begin to invoke one method with parameters in blocks."""

    invoke: InvokeIdAndPriority
    method: CosemMethodDescriptor
    block: DataBlock


@dataclass(frozen=True, slots=True)
class ActionRequestWithListAndFirstPblock:
    """Begin to invoke several methods with parameters in blocks."""

    invoke: InvokeIdAndPriority
    methods: tuple[CosemMethodDescriptor, ...]
    block: DataBlock


@dataclass(frozen=True, slots=True)
class ActionRequestWithPblock:
    """Go on with a block of parameters."""

    invoke: InvokeIdAndPriority
    block: DataBlock


@dataclass(frozen=True, slots=True)
class ActionOutcome:
    """Whether a method ran, and what it returned (Action-Response-With-Optional-Data)."""

    result: ActionResult
    returned: GetResult | None = None


@dataclass(frozen=True, slots=True)
class ActionResponseNormal:
    """The outcome of one method."""

    invoke: InvokeIdAndPriority
    outcome: ActionOutcome


@dataclass(frozen=True, slots=True)
class ActionResponseWithPblock:
    """A block of return parameters."""

    invoke: InvokeIdAndPriority
    block: DataBlock


@dataclass(frozen=True, slots=True)
class ActionResponseWithList:
    """The outcomes in the order of the request."""

    invoke: InvokeIdAndPriority
    outcomes: tuple[ActionOutcome, ...]


@dataclass(frozen=True, slots=True)
class ActionResponseNextPblock:
    """Block ``block_number`` of the parameters is here; the next one may come."""

    invoke: InvokeIdAndPriority
    block_number: int


ActionRequest: TypeAlias = (
    ActionRequestNormal
    | ActionRequestNextPblock
    | ActionRequestWithList
    | ActionRequestWithFirstPblock
    | ActionRequestWithListAndFirstPblock
    | ActionRequestWithPblock
)
ActionResponse: TypeAlias = (
    ActionResponseNormal | ActionResponseWithPblock | ActionResponseWithList | ActionResponseNextPblock
)

_REQUESTS = (
    "action-request-normal",
    "action-request-next-pblock",
    "action-request-with-list",
    "action-request-with-first-pblock",
    "action-request-with-list-and-first-pblock",
    "action-request-with-pblock",
)
_RESPONSES = (
    "action-response-normal",
    "action-response-with-pblock",
    "action-response-with-list",
    "action-response-next-pblock",
)


def read_action_request(cursor: Cursor) -> ActionRequest:
    """Read what follows the tag of an ACTION request."""
    choice = read_choice(cursor, "action-request", _REQUESTS, 1)
    invoke = read_invoke_id(cursor)
    if choice == 1:
        method = read_method(cursor)
        present = read_flag(cursor, "method-invocation-parameters present")
        return ActionRequestNormal(invoke, method, read_data(cursor, "parameters") if present else None)
    if choice == 2:
        return ActionRequestNextPblock(invoke, cursor.big(4, "block-number"))
    if choice == 4:
        return ActionRequestWithFirstPblock(invoke, read_method(cursor), read_block(cursor))
    if choice == 6:
        return ActionRequestWithPblock(invoke, read_block(cursor))
    methods = read_list(cursor, read_method, "method-descriptor-list")
    if choice == 3:
        return ActionRequestWithList(invoke, methods, read_list(cursor, read_data, "parameters"))
    return ActionRequestWithListAndFirstPblock(invoke, methods, read_block(cursor))


def write_action_request(request: ActionRequest) -> bytes:
    """Write an ACTION request, tag first."""
    tag = bytes((ApduTag.ACTION_REQUEST,))
    invoke = write_invoke_id(request.invoke)
    match request:
        case ActionRequestNormal():
            parameters = b"\x00" if request.parameters is None else b"\x01" + write_data(request.parameters)
            return tag + b"\x01" + invoke + write_method(request.method) + parameters
        case ActionRequestNextPblock():
            return tag + b"\x02" + invoke + request.block_number.to_bytes(4, "big")
        case ActionRequestWithList():
            methods = write_list(request.methods, write_method)
            return tag + b"\x03" + invoke + methods + write_list(request.parameters, write_data)
        case ActionRequestWithFirstPblock():
            return tag + b"\x04" + invoke + write_method(request.method) + write_block(request.block)
        case ActionRequestWithListAndFirstPblock():
            return tag + b"\x05" + invoke + write_list(request.methods, write_method) + write_block(request.block)
        case ActionRequestWithPblock():
            return tag + b"\x06" + invoke + write_block(request.block)


def read_action_response(cursor: Cursor) -> ActionResponse:
    """Read what follows the tag of an ACTION response."""
    choice = read_choice(cursor, "action-response", _RESPONSES, 1)
    invoke = read_invoke_id(cursor)
    if choice == 1:
        return ActionResponseNormal(invoke, read_outcome(cursor))
    if choice == 2:
        return ActionResponseWithPblock(invoke, read_block(cursor))
    if choice == 3:
        return ActionResponseWithList(invoke, read_list(cursor, read_outcome, "list-of-responses"))
    return ActionResponseNextPblock(invoke, cursor.big(4, "block-number"))


def write_action_response(response: ActionResponse) -> bytes:
    """Write an ACTION response, tag first."""
    tag = bytes((ApduTag.ACTION_RESPONSE,))
    invoke = write_invoke_id(response.invoke)
    match response:
        case ActionResponseNormal():
            return tag + b"\x01" + invoke + write_outcome(response.outcome)
        case ActionResponseWithPblock():
            return tag + b"\x02" + invoke + write_block(response.block)
        case ActionResponseWithList():
            return tag + b"\x03" + invoke + write_list(response.outcomes, write_outcome)
        case ActionResponseNextPblock():
            return tag + b"\x04" + invoke + response.block_number.to_bytes(4, "big")


def read_outcome(cursor: Cursor) -> ActionOutcome:
    """Read Action-Response-With-Optional-Data."""
    result = ActionResult(cursor.u8("action-result"))
    if cursor.trace is not None:
        cursor.explain(result.text)
    present = read_flag(cursor, "return-parameters present")
    return ActionOutcome(result, read_result(cursor) if present else None)


def write_outcome(outcome: ActionOutcome) -> bytes:
    """Write Action-Response-With-Optional-Data."""
    head = bytes((outcome.result,))
    return head + b"\x00" if outcome.returned is None else head + b"\x01" + write_result(outcome.returned)
