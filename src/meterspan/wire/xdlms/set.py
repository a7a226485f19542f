"""SET (IEC 62056-5-3, 6.7 and annex A): whole or in blocks, one attribute or a list."""

from dataclasses import dataclass
from typing import TypeAlias

from meterspan.wire.axdr import Data, read_data, write_data
from meterspan.wire.cursor import Cursor
from meterspan.wire.xdlms.codes import ApduTag, DataAccessResult
from meterspan.wire.xdlms.common import (
    Access,
    AttributeSelection,
    CosemAttributeDescriptor,
    DataBlock,
    InvokeIdAndPriority,
    read_access,
    read_access_result,
    read_attribute,
    read_block,
    read_choice,
    read_invoke_id,
    read_list,
    read_selection,
    write_access,
    write_attribute,
    write_block,
    write_invoke_id,
    write_list,
    write_selection,
)

__all__ = [
    "SetRequest",
    "SetRequestNormal",
    "SetRequestWithDatablock",
    "SetRequestWithFirstDatablock",
    "SetRequestWithList",
    "SetRequestWithListAndFirstDatablock",
    "SetResponse",
    "SetResponseDatablock",
    "SetResponseLastDatablock",
    "SetResponseLastDatablockWithList",
    "SetResponseNormal",
    "SetResponseWithList",
]


@dataclass(frozen=True, slots=True)
class SetRequestNormal:
    """Write one attribute."""

    invoke: InvokeIdAndPriority
    attribute: CosemAttributeDescriptor
    value: Data
    access: Access | None = None


@dataclass(frozen=True, slots=True)
class SetRequestWithFirstDatablock:
    """Begin to write one attribute in blocks."""

    invoke: InvokeIdAndPriority
    attribute: CosemAttributeDescriptor
    block: DataBlock
    access: Access | None = None


@dataclass(frozen=True, slots=True)
class SetRequestWithDatablock:
    """Go on with a block."""

    invoke: InvokeIdAndPriority
    block: DataBlock


@dataclass(frozen=True, slots=True)
class SetRequestWithList:
    """Write several attributes, values in the order of the attributes."""

    invoke: InvokeIdAndPriority
    attributes: tuple[AttributeSelection, ...]
    values: tuple[Data, ...]


@dataclass(frozen=True, slots=True)
class SetRequestWithListAndFirstDatablock:
    """Begin to write several attributes in blocks of one list of values."""

    invoke: InvokeIdAndPriority
    attributes: tuple[AttributeSelection, ...]
    block: DataBlock


@dataclass(frozen=True, slots=True)
class SetResponseNormal:
    """Whether the attribute was written."""

    invoke: InvokeIdAndPriority
    result: DataAccessResult


@dataclass(frozen=True, slots=True)
class SetResponseDatablock:
    """Block ``block_number`` is here; the next one may come."""

    invoke: InvokeIdAndPriority
    block_number: int


@dataclass(frozen=True, slots=True)
class SetResponseLastDatablock:
    """The last block is here, and whether the attribute was written."""

    invoke: InvokeIdAndPriority
    result: DataAccessResult
    block_number: int


@dataclass(frozen=True, slots=True)
class SetResponseLastDatablockWithList:
    """The last block is here, and which attributes were written."""

    invoke: InvokeIdAndPriority
    results: tuple[DataAccessResult, ...]
    block_number: int


@dataclass(frozen=True, slots=True)
class SetResponseWithList:
    """Which attributes were written, in the order of the request."""

    invoke: InvokeIdAndPriority
    results: tuple[DataAccessResult, ...]


SetRequest: TypeAlias = (
    SetRequestNormal
    | SetRequestWithFirstDatablock
    | SetRequestWithDatablock
    | SetRequestWithList
    | SetRequestWithListAndFirstDatablock
)
SetResponse: TypeAlias = (
    SetResponseNormal
    | SetResponseDatablock
    | SetResponseLastDatablock
    | SetResponseLastDatablockWithList
    | SetResponseWithList
)

_REQUESTS = (
    "set-request-normal",
    "set-request-with-first-datablock",
    "set-request-with-datablock",
    "set-request-with-list",
    "set-request-with-list-and-first-datablock",
)
_RESPONSES = (
    "set-response-normal",
    "set-response-datablock",
    "set-response-last-datablock",
    "set-response-last-datablock-with-list",
    "set-response-with-list",
)


def read_set_request(cursor: Cursor) -> SetRequest:
    """Read what follows the tag of a SET request."""
    choice = read_choice(cursor, "set-request", _REQUESTS, 1)
    invoke = read_invoke_id(cursor)
    if choice in (1, 2):
        attribute, access = read_attribute(cursor), read_access(cursor)
        if choice == 1:
            return SetRequestNormal(invoke, attribute, read_data(cursor, "value"), access)
        return SetRequestWithFirstDatablock(invoke, attribute, read_block(cursor), access)
    if choice == 3:
        return SetRequestWithDatablock(invoke, read_block(cursor))
    attributes = read_list(cursor, read_selection, "attribute-descriptor-list")
    if choice == 4:
        return SetRequestWithList(invoke, attributes, read_list(cursor, read_data, "value-list"))
    return SetRequestWithListAndFirstDatablock(invoke, attributes, read_block(cursor))


def write_set_request(request: SetRequest) -> bytes:
    """Write a SET request, tag first."""
    tag = bytes((ApduTag.SET_REQUEST,))
    invoke = write_invoke_id(request.invoke)
    match request:
        case SetRequestNormal():
            member = write_attribute(request.attribute) + write_access(request.access)
            return tag + b"\x01" + invoke + member + write_data(request.value)
        case SetRequestWithFirstDatablock():
            member = write_attribute(request.attribute) + write_access(request.access)
            return tag + b"\x02" + invoke + member + write_block(request.block)
        case SetRequestWithDatablock():
            return tag + b"\x03" + invoke + write_block(request.block)
        case SetRequestWithList():
            members = write_list(request.attributes, write_selection)
            return tag + b"\x04" + invoke + members + write_list(request.values, write_data)
        case SetRequestWithListAndFirstDatablock():
            return tag + b"\x05" + invoke + write_list(request.attributes, write_selection) + write_block(request.block)


def read_set_response(cursor: Cursor) -> SetResponse:
    """Read what follows the tag of a SET response."""
    choice = read_choice(cursor, "set-response", _RESPONSES, 1)
    invoke = read_invoke_id(cursor)
    if choice == 1:
        return SetResponseNormal(invoke, read_access_result(cursor))
    if choice == 2:
        return SetResponseDatablock(invoke, cursor.big(4, "block-number"))
    if choice == 3:
        return SetResponseLastDatablock(invoke, read_access_result(cursor), cursor.big(4, "block-number"))
    results = read_list(cursor, read_access_result, "result")
    if choice == 4:
        return SetResponseLastDatablockWithList(invoke, results, cursor.big(4, "block-number"))
    return SetResponseWithList(invoke, results)


def write_set_response(response: SetResponse) -> bytes:
    """Write a SET response, tag first."""
    tag = bytes((ApduTag.SET_RESPONSE,))
    invoke = write_invoke_id(response.invoke)
    match response:
        case SetResponseNormal():
            return tag + b"\x01" + invoke + _write_access_result(response.result)
        case SetResponseDatablock():
            return tag + b"\x02" + invoke + response.block_number.to_bytes(4, "big")
        case SetResponseLastDatablock():
            return (
                tag
                + b"\x03"
                + invoke
                + _write_access_result(response.result)
                + response.block_number.to_bytes(4, "big")
            )
        case SetResponseLastDatablockWithList():
            results = write_list(response.results, _write_access_result)
            return tag + b"\x04" + invoke + results + response.block_number.to_bytes(4, "big")
        case SetResponseWithList():
            return tag + b"\x05" + invoke + write_list(response.results, _write_access_result)


def _write_access_result(result: DataAccessResult) -> bytes:
    return bytes((result,))
