"""The one home of Hypothesis strategies: one per record, used by every law."""

from hypothesis import strategies as st

from meterspan.quantities import Obis

octets = st.integers(0, 0xFF)
obis_codes = st.builds(Obis, octets, octets, octets, octets, octets, octets)
