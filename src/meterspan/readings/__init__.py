"""Decoding: any frame of any meter to readings (the decode contract)."""

from meterspan.readings.decoder import Decoder
from meterspan.readings.recognise import Format, recognise

__all__ = ["Decoder", "Format", "recognise"]
