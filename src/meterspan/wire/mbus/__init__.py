"""Wired M-Bus: link layer (EN 13757-2) and application layer with its data records (EN 13757-3)."""

from meterspan.wire.mbus.profile import Profile, expand_profile, is_profile
from meterspan.wire.mbus.records import (
    DataRecord,
    Function,
    RecordHeader,
    Records,
    build_header,
    build_record,
    read_records,
    write_records,
)
from meterspan.wire.mbus.values import Value
from meterspan.wire.mbus.vif import Quantity, ValueKind

__all__ = [
    "DataRecord",
    "Function",
    "Profile",
    "Quantity",
    "RecordHeader",
    "Records",
    "Value",
    "ValueKind",
    "build_header",
    "build_record",
    "expand_profile",
    "is_profile",
    "read_records",
    "write_records",
]
