"""Initiate request and response (IEC 62056-5-3, 7.2 and annex A): what client and server agree on for an association.

The conformance block is the one BER-tagged field: 5F 1F 04 00 and 24 bits; some meters leave the 1F out.
"""

from dataclasses import dataclass

from meterspan.wire.axdr import read_flag, read_octets, write_octets
from meterspan.wire.cursor import Cursor
from meterspan.wire.errors import WireError
from meterspan.wire.xdlms.codes import ApduTag, Conformance

__all__ = ["DLMS_VERSION", "LN_VAA_NAME", "SN_VAA_NAME", "InitiateRequest", "InitiateResponse"]

CLAUSE = "IEC 62056-5-3, annex A"
DLMS_VERSION = 6
LN_VAA_NAME = 0x0007
SN_VAA_NAME = 0xFA00


@dataclass(frozen=True, slots=True)
class InitiateRequest:
    """What the client proposes.

    Attributes:
        conformance: services that the client can use.
        max_pdu_size: octets of the largest APDU that the client receives; 0 is no limit.
        dedicated_key: key of this association alone; only ever sent ciphered.
        response_allowed: False asks the server not to answer.
        quality_of_service: unused by COSEM; survives.
        dlms_version: 6.

    """

    conformance: Conformance
    max_pdu_size: int
    dedicated_key: bytes | None = None
    response_allowed: bool = True
    quality_of_service: int | None = None
    dlms_version: int = DLMS_VERSION

    def __repr__(self) -> str:
        """Write all but the key."""
        key = "None" if self.dedicated_key is None else "<dedicated key>"
        return (
            f"InitiateRequest(conformance={self.conformance!r}, max_pdu_size={self.max_pdu_size}, dedicated_key={key}, "
            f"response_allowed={self.response_allowed}, quality_of_service={self.quality_of_service}, "
            f"dlms_version={self.dlms_version})"
        )


@dataclass(frozen=True, slots=True)
class InitiateResponse:
    """What the server grants.

    Attributes:
        conformance: services of both sides.
        max_pdu_size: octets of the largest APDU that the server receives.
        vaa_name: 0x0007 for logical name referencing, the base name of the association for short names.
        quality_of_service: unused by COSEM; survives.
        dlms_version: 6.

    """

    conformance: Conformance
    max_pdu_size: int
    vaa_name: int = LN_VAA_NAME
    quality_of_service: int | None = None
    dlms_version: int = DLMS_VERSION


def read_initiate_request(cursor: Cursor) -> InitiateRequest:
    """Read what follows the tag of an initiate request."""
    dedicated_key = _read_dedicated_key(cursor)
    given = read_flag(cursor, "response-allowed given")
    response_allowed = read_flag(cursor, "response-allowed") if given else True
    quality = _read_quality(cursor, "proposed-quality-of-service")
    version = cursor.u8("proposed-dlms-version-number")
    conformance = _read_conformance(cursor, "proposed-conformance")
    max_pdu_size = cursor.big(2, "client-max-receive-pdu-size")
    return InitiateRequest(conformance, max_pdu_size, dedicated_key, response_allowed, quality, version)


def write_initiate_request(request: InitiateRequest) -> bytes:
    """Write an initiate request, tag first."""
    key = request.dedicated_key
    return b"".join(
        (
            bytes((ApduTag.INITIATE_REQUEST,)),
            b"\x00" if key is None else b"\x01" + write_octets(key),
            b"\x00" if request.response_allowed else b"\x01\x00",
            _write_quality(request.quality_of_service),
            bytes((request.dlms_version,)),
            _write_conformance(request.conformance),
            request.max_pdu_size.to_bytes(2, "big"),
        )
    )


def read_initiate_response(cursor: Cursor) -> InitiateResponse:
    """Read what follows the tag of an initiate response."""
    quality = _read_quality(cursor, "negotiated-quality-of-service")
    version = cursor.u8("negotiated-dlms-version-number")
    conformance = _read_conformance(cursor, "negotiated-conformance")
    max_pdu_size = cursor.big(2, "server-max-receive-pdu-size")
    vaa_name = cursor.big(2, "vaa-name")
    cursor.explain({LN_VAA_NAME: "logical names", SN_VAA_NAME: "short names"}.get(vaa_name, f"{vaa_name:#06x}"))
    return InitiateResponse(conformance, max_pdu_size, vaa_name, quality, version)


def write_initiate_response(response: InitiateResponse) -> bytes:
    """Write an initiate response, tag first."""
    return b"".join(
        (
            bytes((ApduTag.INITIATE_RESPONSE,)),
            _write_quality(response.quality_of_service),
            bytes((response.dlms_version,)),
            _write_conformance(response.conformance),
            response.max_pdu_size.to_bytes(2, "big"),
            response.vaa_name.to_bytes(2, "big"),
        )
    )


def _read_dedicated_key(cursor: Cursor) -> bytes | None:
    if not read_flag(cursor, "dedicated-key given"):
        return None
    trace, cursor.trace = cursor.trace, None  # a key is not explained
    position = cursor.position
    key = read_octets(cursor, "dedicated-key")
    cursor.trace = trace
    if trace is not None:
        size = cursor.position - position
        trace.add(position, bytes(size), "dedicated-key", f"{len(key)} octets, not shown")
    return key


def _read_quality(cursor: Cursor, name: str) -> int | None:
    return cursor.big(1, name, signed=True) if read_flag(cursor, f"{name} given") else None


def _write_quality(quality: int | None) -> bytes:
    return b"\x00" if quality is None else b"\x01" + quality.to_bytes(1, "big", signed=True)


def _read_conformance(cursor: Cursor, name: str) -> Conformance:
    position = cursor.position
    tag = cursor.u8(f"{name} tag")
    if cursor.peek() == b"\x1f":
        cursor.u8(f"{name} tag")
    head = cursor.take(2, f"{name} length, unused bits")
    if tag != 0x5F or head != b"\x04\x00":
        raise WireError("is not 5F 1F 04 00 and 24 bits", position, name, CLAUSE)
    conformance = Conformance(cursor.big(3, name))
    if cursor.trace is not None:
        cursor.explain(conformance.text)
    return conformance


def _write_conformance(conformance: Conformance) -> bytes:
    return b"\x5f\x1f\x04\x00" + int(conformance).to_bytes(3, "big")
