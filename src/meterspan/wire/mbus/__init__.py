"""Wired M-Bus: link layer (EN 13757-2) and application layer with its data records (EN 13757-3)."""

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
    "Quantity",
    "RecordHeader",
    "Records",
    "Value",
    "ValueKind",
    "build_header",
    "build_record",
    "read_records",
    "write_records",
]
