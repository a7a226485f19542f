"""Any xDLMS APDU by its first octet (IEC 62056-5-3, annex A, XDLMS-APDU)."""

from collections.abc import Callable
from typing import Any, TypeAlias

from meterspan.wire.cursor import Cursor
from meterspan.wire.errors import UnsupportedError
from meterspan.wire.xdlms import action, block_transfer, ciphered, faults, get, initiate, notify
from meterspan.wire.xdlms import set as set_
from meterspan.wire.xdlms.codes import DED_TAGS, GLO_TAGS, ApduTag

__all__ = ["Apdu", "read_apdu", "write_apdu"]

CLAUSE = "IEC 62056-5-3, annex A"

Apdu: TypeAlias = (
    initiate.InitiateRequest
    | initiate.InitiateResponse
    | faults.ConfirmedServiceError
    | faults.ExceptionResponse
    | get.GetRequest
    | get.GetResponse
    | set_.SetRequest
    | set_.SetResponse
    | action.ActionRequest
    | action.ActionResponse
    | notify.DataNotification
    | notify.DataNotificationConfirm
    | notify.EventNotificationRequest
    | block_transfer.GeneralBlockTransfer
    | ciphered.CipheredApdu
    | ciphered.GeneralCipheredApdu
    | ciphered.GeneralCiphering
)


def read_apdu(source: bytes | Cursor) -> Apdu:
    """Read one APDU; octets must be used up, a cursor is left behind the APDU.

    Raises:
        WireError: truncated, contradictory, or octets left over.
        UnsupportedError: a tag that this reader does not know.

    """
    cursor = source if isinstance(source, Cursor) else Cursor(source)
    position = cursor.position
    tag = cursor.u8("apdu")
    if cursor.trace is not None and tag in _KNOWN:
        cursor.explain(ApduTag(tag).text)
    apdu = _read_body(cursor, tag, position)
    if cursor is not source:
        cursor.finish("apdu")
    return apdu


def write_apdu(apdu: Apdu) -> bytes:
    """Write one APDU.

    Raises:
        ValueError: a field does not fit its octets.

    """
    try:
        return _WRITERS[type(apdu)](apdu)
    except OverflowError as error:
        raise ValueError(f"a field of {type(apdu).__name__} does not fit its octets: {error}") from error


def _read_body(cursor: Cursor, tag: int, position: int) -> Apdu:
    reader = _READERS.get(tag)
    if reader is not None:
        return reader(cursor)
    if tag in _SERVICE_CIPHERED:
        return ciphered.read_ciphered(cursor, ApduTag(tag))
    if tag in (ApduTag.GENERAL_GLO_CIPHERING, ApduTag.GENERAL_DED_CIPHERING):
        return ciphered.read_general_ciphered(cursor, ApduTag(tag))
    if tag in _KNOWN:
        raise UnsupportedError(f"{ApduTag(tag).text} is not read here", position, "apdu", CLAUSE)
    raise UnsupportedError(f"no APDU has tag {tag:#04x}", position, "apdu", CLAUSE)


_KNOWN = frozenset(map(int, ApduTag))
_SERVICE_CIPHERED = frozenset([*GLO_TAGS.values(), *DED_TAGS.values()])

_READERS: dict[int, Callable[[Cursor], Apdu]] = {
    ApduTag.INITIATE_REQUEST: initiate.read_initiate_request,
    ApduTag.INITIATE_RESPONSE: initiate.read_initiate_response,
    ApduTag.CONFIRMED_SERVICE_ERROR: faults.read_confirmed_service_error,
    ApduTag.DATA_NOTIFICATION: notify.read_data_notification,
    ApduTag.DATA_NOTIFICATION_CONFIRM: notify.read_data_notification_confirm,
    ApduTag.GET_REQUEST: get.read_get_request,
    ApduTag.SET_REQUEST: set_.read_set_request,
    ApduTag.EVENT_NOTIFICATION_REQUEST: notify.read_event_notification,
    ApduTag.ACTION_REQUEST: action.read_action_request,
    ApduTag.GET_RESPONSE: get.read_get_response,
    ApduTag.SET_RESPONSE: set_.read_set_response,
    ApduTag.ACTION_RESPONSE: action.read_action_response,
    ApduTag.EXCEPTION_RESPONSE: faults.read_exception_response,
    ApduTag.GENERAL_CIPHERING: ciphered.read_general_ciphering,
    ApduTag.GENERAL_BLOCK_TRANSFER: block_transfer.read_block_transfer,
}

_WRITERS: dict[type, Callable[[Any], bytes]] = {
    initiate.InitiateRequest: initiate.write_initiate_request,
    initiate.InitiateResponse: initiate.write_initiate_response,
    faults.ConfirmedServiceError: faults.write_confirmed_service_error,
    faults.ExceptionResponse: faults.write_exception_response,
    get.GetRequestNormal: get.write_get_request,
    get.GetRequestNext: get.write_get_request,
    get.GetRequestWithList: get.write_get_request,
    get.GetResponseNormal: get.write_get_response,
    get.GetResponseWithDatablock: get.write_get_response,
    get.GetResponseWithList: get.write_get_response,
    set_.SetRequestNormal: set_.write_set_request,
    set_.SetRequestWithFirstDatablock: set_.write_set_request,
    set_.SetRequestWithDatablock: set_.write_set_request,
    set_.SetRequestWithList: set_.write_set_request,
    set_.SetRequestWithListAndFirstDatablock: set_.write_set_request,
    set_.SetResponseNormal: set_.write_set_response,
    set_.SetResponseDatablock: set_.write_set_response,
    set_.SetResponseLastDatablock: set_.write_set_response,
    set_.SetResponseLastDatablockWithList: set_.write_set_response,
    set_.SetResponseWithList: set_.write_set_response,
    action.ActionRequestNormal: action.write_action_request,
    action.ActionRequestNextPblock: action.write_action_request,
    action.ActionRequestWithList: action.write_action_request,
    action.ActionRequestWithFirstPblock: action.write_action_request,
    action.ActionRequestWithListAndFirstPblock: action.write_action_request,
    action.ActionRequestWithPblock: action.write_action_request,
    action.ActionResponseNormal: action.write_action_response,
    action.ActionResponseWithPblock: action.write_action_response,
    action.ActionResponseWithList: action.write_action_response,
    action.ActionResponseNextPblock: action.write_action_response,
    notify.DataNotification: notify.write_data_notification,
    notify.DataNotificationConfirm: notify.write_data_notification_confirm,
    notify.EventNotificationRequest: notify.write_event_notification,
    block_transfer.GeneralBlockTransfer: block_transfer.write_block_transfer,
    ciphered.CipheredApdu: ciphered.write_ciphered,
    ciphered.GeneralCipheredApdu: ciphered.write_general_ciphered,
    ciphered.GeneralCiphering: ciphered.write_general_ciphering,
}
