"""Meter data management: the one door to the store; derives intervals, versions, totals and cost."""

from meterspan.mdm.damage import Damage
from meterspan.mdm.data_management import MeterDataManagement, open_stores
from meterspan.mdm.operator_numbers import Totals, UnexplainedView
from meterspan.mdm.table_export import export_intervals, export_readings
from meterspan.mdm.table_import import ImportReport, import_csv
from meterspan.mdm.table_reader import RefusedLine
from meterspan.mdm.tables import CellKind, TableColumn, TableFormat, write_table
from meterspan.mdm.tariffs import parse_tariffs, read_tariffs
from meterspan.mdm.versions import IntervalVersion

__all__ = [
    "CellKind",
    "Damage",
    "ImportReport",
    "IntervalVersion",
    "MeterDataManagement",
    "RefusedLine",
    "TableColumn",
    "TableFormat",
    "Totals",
    "UnexplainedView",
    "export_intervals",
    "export_readings",
    "import_csv",
    "open_stores",
    "parse_tariffs",
    "read_tariffs",
    "write_table",
]
