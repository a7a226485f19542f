"""Meter data management: from raw readings to true intervals, totals, versions and cost."""
