"""Decoding: any frame of any meter to readings (the decode contract)."""

from meterspan.engine.decode.decoder import Decoder
from meterspan.engine.decode.recognise import Format, recognise

__all__ = ["Decoder", "Format", "recognise"]
