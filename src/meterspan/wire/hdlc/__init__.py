"""HDLC as DLMS/COSEM uses it: IEC 62056-46, MAC sublayer with frame format type 3, and its LLC header."""

from meterspan.wire.hdlc.address import HdlcAddress, read_address, write_address
from meterspan.wire.hdlc.frame import FrameKind, HdlcFrame, control_octet, read_frame, write_frame
from meterspan.wire.hdlc.llc import LLC_COMMAND, LLC_RESPONSE, LLC_SIZE, has_llc, without_llc
from meterspan.wire.hdlc.parameters import HdlcParameters, read_parameters, write_parameters
from meterspan.wire.hdlc.reader import HdlcReader

__all__ = [
    "LLC_COMMAND",
    "LLC_RESPONSE",
    "LLC_SIZE",
    "FrameKind",
    "HdlcAddress",
    "HdlcFrame",
    "HdlcParameters",
    "HdlcReader",
    "control_octet",
    "has_llc",
    "read_address",
    "read_frame",
    "read_parameters",
    "without_llc",
    "write_address",
    "write_frame",
    "write_parameters",
]
