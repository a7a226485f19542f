"""Meter data management: the one door to the store; derives intervals, versions, totals and cost."""

from meterspan.mdm.data_management import IntervalVersion, MeterDataManagement, Totals

__all__ = ["IntervalVersion", "MeterDataManagement", "Totals"]
