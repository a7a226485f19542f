"""The head of a SET or ACTION request: what stands before its values (IEC 62056-5-3, annex A).

A server decides by the head whether the client may write there, before it reads a value of any size.
"""

from dataclasses import dataclass
from typing import TypeAlias

from meterspan.wire.axdr import null
from meterspan.wire.cursor import Cursor
from meterspan.wire.xdlms.action import ActionRequestNormal, ActionRequestWithList
from meterspan.wire.xdlms.codes import ApduTag
from meterspan.wire.xdlms.common import (
    AttributeSelection,
    CosemAttributeDescriptor,
    CosemMethodDescriptor,
    InvokeIdAndPriority,
    read_attribute,
    read_invoke_id,
    read_list,
    read_method,
    read_selection,
)
from meterspan.wire.xdlms.set import SetRequestNormal, SetRequestWithList

__all__ = ["ActionHead", "RequestHead", "SetHead", "read_request_head"]

_NORMAL = {ApduTag.SET_REQUEST: 1, ApduTag.ACTION_REQUEST: 1}
_WITH_LIST = {ApduTag.SET_REQUEST: 4, ApduTag.ACTION_REQUEST: 3}


@dataclass(frozen=True, slots=True)
class SetHead:
    """The attributes that a SET wants to write."""

    invoke: InvokeIdAndPriority
    targets: tuple[CosemAttributeDescriptor, ...]
    is_list: bool

    def without_values(self) -> SetRequestNormal | SetRequestWithList:
        """Return the request with null-data for each value."""
        if not self.is_list:
            return SetRequestNormal(self.invoke, self.targets[0], null())
        selections = tuple(AttributeSelection(target) for target in self.targets)
        return SetRequestWithList(self.invoke, selections, (null(),) * len(selections))


@dataclass(frozen=True, slots=True)
class ActionHead:
    """The methods that an ACTION wants to run."""

    invoke: InvokeIdAndPriority
    targets: tuple[CosemMethodDescriptor, ...]
    is_list: bool

    def without_values(self) -> ActionRequestNormal | ActionRequestWithList:
        """Return the request with null-data for each parameter."""
        if not self.is_list:
            return ActionRequestNormal(self.invoke, self.targets[0], null())
        return ActionRequestWithList(self.invoke, self.targets, (null(),) * len(self.targets))


RequestHead: TypeAlias = SetHead | ActionHead


def read_request_head(octets: bytes) -> RequestHead | None:
    """Read the head of a SET or ACTION request that carries whole values; None for any other APDU.

    Raises:
        WireError: truncated, or malformed.

    """
    if len(octets) < 2 or octets[0] not in _NORMAL:
        return None
    tag, choice = ApduTag(octets[0]), octets[1]
    if choice not in (_NORMAL[tag], _WITH_LIST[tag]):
        return None
    cursor, is_list = Cursor(octets, 2), choice == _WITH_LIST[tag]
    invoke = read_invoke_id(cursor)
    if tag is ApduTag.ACTION_REQUEST:
        methods = read_list(cursor, read_method, "methods") if is_list else (read_method(cursor),)
        return ActionHead(invoke, methods, is_list)
    if not is_list:
        return SetHead(invoke, (read_attribute(cursor),), is_list)
    selections = read_list(cursor, read_selection, "attribute-descriptor-list")
    return SetHead(invoke, tuple(selection.attribute for selection in selections), is_list)
