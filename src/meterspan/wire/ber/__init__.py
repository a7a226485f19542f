"""BER (ITU-T X.690): definite-length tag, length, value."""

from meterspan.wire.ber.tlv import Tlv, read_tag, read_tlv, write_tlv

__all__ = ["Tlv", "read_tag", "read_tlv", "write_tlv"]
