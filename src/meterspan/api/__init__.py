"""What ``import meterspan`` offers is made here; import the names from ``meterspan``, never from these modules."""
