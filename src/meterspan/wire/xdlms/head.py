"""The head of a request: what stands before its values or access parameters (IEC 62056-5-3, annex A).

A server decides by the head whether the client may read, write or run there, before it reads a value of any size.
"""

from dataclasses import dataclass
from typing import TypeAlias

from meterspan.wire.axdr import null, read_flag
from meterspan.wire.cursor import Cursor
from meterspan.wire.xdlms.action import ActionRequestNormal, ActionRequestWithList
from meterspan.wire.xdlms.codes import ApduTag
from meterspan.wire.xdlms.common import (
    AttributeSelection,
    CosemAttributeDescriptor,
    CosemMethodDescriptor,
    InvokeIdAndPriority,
    OtherAccess,
    read_attribute,
    read_invoke_id,
    read_list,
    read_method,
    read_selection,
)
from meterspan.wire.xdlms.get import GetRequestNormal
from meterspan.wire.xdlms.set import SetRequestNormal, SetRequestWithList

__all__ = ["ActionHead", "GetHead", "RequestHead", "SetHead", "read_request_head"]

_NORMAL = {ApduTag.GET_REQUEST: 1, ApduTag.SET_REQUEST: 1, ApduTag.ACTION_REQUEST: 1}
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


@dataclass(frozen=True, slots=True)
class GetHead:
    """The attribute that a GET wants a selection of."""

    invoke: InvokeIdAndPriority
    target: CosemAttributeDescriptor
    selector: int

    def without_values(self) -> GetRequestNormal:
        """Return the request with null-data for the access parameters."""
        return GetRequestNormal(self.invoke, self.target, OtherAccess(self.selector, null()))


RequestHead: TypeAlias = GetHead | SetHead | ActionHead


def read_request_head(octets: bytes) -> RequestHead | None:
    """Read the head of a request that carries whole values, or of a GET with selection; None for any other APDU.

    Raises:
        WireError: truncated, or malformed.

    """
    if len(octets) < 2 or octets[0] not in _NORMAL:
        return None
    tag, choice = ApduTag(octets[0]), octets[1]
    if choice not in (_NORMAL[tag], _WITH_LIST.get(tag)):
        return None
    cursor, is_list = Cursor(octets, 2), choice == _WITH_LIST.get(tag)
    invoke = read_invoke_id(cursor)
    if tag is ApduTag.GET_REQUEST:
        attribute = read_attribute(cursor)
        has_selection = read_flag(cursor, "access-selection present")
        return GetHead(invoke, attribute, cursor.u8("access-selector")) if has_selection else None
    if tag is ApduTag.ACTION_REQUEST:
        methods = read_list(cursor, read_method, "methods") if is_list else (read_method(cursor),)
        return ActionHead(invoke, methods, is_list)
    if not is_list:
        return SetHead(invoke, (read_attribute(cursor),), is_list)
    selections = read_list(cursor, read_selection, "attribute-descriptor-list")
    return SetHead(invoke, tuple(selection.attribute for selection in selections), is_list)
