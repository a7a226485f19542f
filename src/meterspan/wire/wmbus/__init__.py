"""Wireless M-Bus (EN 13757-4): frames, extended link layer, AFL, transport layer and compact frames."""

from meterspan.wire.wmbus.compact import FormatStore, expand_compact, format_of, read_format_frame, write_compact
from meterspan.wire.wmbus.frame import FrameFormat, LinkHeader, read_link
from meterspan.wire.wmbus.layers import Afl, ExtendedLink
from meterspan.wire.wmbus.telegram import FragmentStore, WmbusFrame, read_frame, with_clear_link, write_frame

__all__ = [
    "Afl",
    "ExtendedLink",
    "FormatStore",
    "FragmentStore",
    "FrameFormat",
    "LinkHeader",
    "WmbusFrame",
    "expand_compact",
    "format_of",
    "read_format_frame",
    "read_frame",
    "read_link",
    "with_clear_link",
    "write_compact",
    "write_frame",
]
