"""The wrapper that carries COSEM APDUs over TCP and UDP: IEC 62056-47."""

from meterspan.wire.wrapper.pdu import WrapperPdu, read_wpdu, write_wpdu
from meterspan.wire.wrapper.reader import WrapperReader, read_datagram

__all__ = ["WrapperPdu", "WrapperReader", "read_datagram", "read_wpdu", "write_wpdu"]
