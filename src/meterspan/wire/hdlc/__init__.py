"""HDLC as DLMS/COSEM uses it: IEC 62056-46, MAC sublayer with frame format type 3, and its LLC header."""

from meterspan.wire.hdlc.address import HdlcAddress, read_address, write_address
from meterspan.wire.hdlc.frame import FrameKind, HdlcFrame, control_octet, read_frame, write_frame
from meterspan.wire.hdlc.parameters import HdlcParameters, read_parameters, write_parameters
from meterspan.wire.hdlc.reader import HdlcReader

__all__ = [
    "FrameKind",
    "HdlcAddress",
    "HdlcFrame",
    "HdlcParameters",
    "HdlcReader",
    "control_octet",
    "read_address",
    "read_frame",
    "read_parameters",
    "write_address",
    "write_frame",
    "write_parameters",
]
