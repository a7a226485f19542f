"""GET (IEC 62056-5-3, 6.6 and annex A): request normal, next, with-list; response normal, with-datablock, with-list."""

from dataclasses import dataclass
from typing import TypeAlias

from meterspan.wire.axdr import read_flag, read_octets, write_octets
from meterspan.wire.cursor import Cursor
from meterspan.wire.errors import UnsupportedError
from meterspan.wire.xdlms.codes import ApduTag, DataAccessResult
from meterspan.wire.xdlms.common import (
    Access,
    AttributeSelection,
    CosemAttributeDescriptor,
    GetResult,
    InvokeIdAndPriority,
    read_access,
    read_access_result,
    read_attribute,
    read_choice,
    read_invoke_id,
    read_list,
    read_result,
    read_selection,
    write_access,
    write_attribute,
    write_invoke_id,
    write_list,
    write_result,
    write_selection,
)

__all__ = [
    "GetRequest",
    "GetRequestNext",
    "GetRequestNormal",
    "GetRequestWithList",
    "GetResponse",
    "GetResponseNormal",
    "GetResponseWithDatablock",
    "GetResponseWithList",
    "data_octets_of_get",
]


@dataclass(frozen=True, slots=True)
class GetRequestNormal:
    """Read one attribute, or the part of it that ``access`` selects."""

    invoke: InvokeIdAndPriority
    attribute: CosemAttributeDescriptor
    access: Access | None = None


@dataclass(frozen=True, slots=True)
class GetRequestNext:
    """Ask for the block after ``block_number``."""

    invoke: InvokeIdAndPriority
    block_number: int


@dataclass(frozen=True, slots=True)
class GetRequestWithList:
    """Read several attributes."""

    invoke: InvokeIdAndPriority
    attributes: tuple[AttributeSelection, ...]


@dataclass(frozen=True, slots=True)
class GetResponseNormal:
    """The value, or why there is none."""

    invoke: InvokeIdAndPriority
    result: GetResult


@dataclass(frozen=True, slots=True)
class GetResponseWithDatablock:
    """One block of an encoded value, or why the transfer ends; ``result`` is raw octets of A-XDR."""

    invoke: InvokeIdAndPriority
    block_number: int
    last_block: bool
    result: bytes | DataAccessResult


@dataclass(frozen=True, slots=True)
class GetResponseWithList:
    """One result for each attribute of the request, in its order."""

    invoke: InvokeIdAndPriority
    results: tuple[GetResult, ...]


GetRequest: TypeAlias = GetRequestNormal | GetRequestNext | GetRequestWithList
GetResponse: TypeAlias = GetResponseNormal | GetResponseWithDatablock | GetResponseWithList

_REQUESTS = ("get-request-normal", "get-request-next", "get-request-with-list")
_RESPONSES = ("get-response-normal", "get-response-with-datablock", "get-response-with-list")
_NORMAL_RESPONSE_HEAD = 4
"""Octets before the value: tag, choice, invoke-id, result choice."""


def read_get_request(cursor: Cursor) -> GetRequest:
    """Read what follows the tag of a GET request."""
    choice = read_choice(cursor, "get-request", _REQUESTS, 1)
    invoke = read_invoke_id(cursor)
    if choice == 1:
        return GetRequestNormal(invoke, read_attribute(cursor), read_access(cursor))
    if choice == 2:
        return GetRequestNext(invoke, cursor.big(4, "block-number"))
    return GetRequestWithList(invoke, read_list(cursor, read_selection, "attribute-descriptor-list"))


def write_get_request(request: GetRequest) -> bytes:
    """Write a GET request, tag first."""
    tag = bytes((ApduTag.GET_REQUEST,))
    invoke = write_invoke_id(request.invoke)
    match request:
        case GetRequestNormal():
            return tag + b"\x01" + invoke + write_attribute(request.attribute) + write_access(request.access)
        case GetRequestNext():
            return tag + b"\x02" + invoke + request.block_number.to_bytes(4, "big")
        case GetRequestWithList():
            return tag + b"\x03" + invoke + write_list(request.attributes, write_selection)


def read_get_response(cursor: Cursor) -> GetResponse:
    """Read what follows the tag of a GET response."""
    choice = read_choice(cursor, "get-response", _RESPONSES, 1)
    invoke = read_invoke_id(cursor)
    if choice == 1:
        return GetResponseNormal(invoke, read_result(cursor))
    if choice == 2:
        last_block = read_flag(cursor, "last-block")
        block_number = cursor.big(4, "block-number")
        return GetResponseWithDatablock(invoke, block_number, last_block, _read_block_result(cursor))
    return GetResponseWithList(invoke, read_list(cursor, read_result, "result"))


def write_get_response(response: GetResponse) -> bytes:
    """Write a GET response, tag first."""
    tag = bytes((ApduTag.GET_RESPONSE,))
    invoke = write_invoke_id(response.invoke)
    match response:
        case GetResponseNormal():
            return tag + b"\x01" + invoke + write_result(response.result)
        case GetResponseWithDatablock():
            head = bytes((response.last_block,)) + response.block_number.to_bytes(4, "big")
            result = response.result
            tail = b"\x00" + write_octets(result) if isinstance(result, bytes) else bytes((1, result))
            return tag + b"\x02" + invoke + head + tail
        case GetResponseWithList():
            return tag + b"\x03" + invoke + write_list(response.results, write_result)


def data_octets_of_get(octets: bytes) -> bytes:
    """Cut the encoded value out of a plain get-response-normal without reading it, for the column reader.

    Raises:
        UnsupportedError: another APDU, or a response that carries no data.

    """
    head = octets[:_NORMAL_RESPONSE_HEAD]
    if len(head) < _NORMAL_RESPONSE_HEAD or head[:2] != b"\xc4\x01" or head[3] != 0:
        raise UnsupportedError("no get-response-normal with data", 0, "get-response")
    return octets[_NORMAL_RESPONSE_HEAD:]


def _read_block_result(cursor: Cursor) -> bytes | DataAccessResult:
    if read_choice(cursor, "result", ("raw-data", "data-access-result")) == 0:
        return read_octets(cursor, "raw-data")
    return read_access_result(cursor)
