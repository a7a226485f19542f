"""The one home of Hypothesis strategies: one per record, used by every law."""

from hypothesis import strategies as st

from meterspan.quantities import Obis
from meterspan.wire.hdlc import HdlcAddress, HdlcFrame, HdlcParameters

octets = st.integers(0, 0xFF)
obis_codes = st.builds(Obis, octets, octets, octets, octets, octets, octets)

# --- links: HDLC and wrapper -----------------------------------------------------------------------------------------


def hdlc_addresses():
    """Every form that the standard or a meter writes."""
    forms = {1: (7, 0), 2: (7, 7), 3: (14, 7), 4: (14, 14)}
    return st.one_of(
        st.builds(
            HdlcAddress,
            st.integers(0, (1 << upper) - 1),
            st.integers(0, (1 << lower) - 1) if lower else st.none(),
            st.just(size),
        )
        for size, (upper, lower) in forms.items()
    )


def hdlc_frames(information_max=200):
    """Any frame that can be written, whatever its control octet."""
    return st.builds(
        HdlcFrame, hdlc_addresses(), hdlc_addresses(), octets, st.binary(max_size=information_max), st.booleans()
    )


def hdlc_parameters():
    """What a station may say of itself, with parameters that we do not know."""
    window = st.integers(1, 7)
    information = st.one_of(st.integers(1, 2030), st.integers(1, 0xFFFF_FFFF))
    other = st.lists(st.tuples(st.integers(9, 255), st.binary(max_size=5)), max_size=3).map(tuple)
    return st.builds(HdlcParameters, information, information, window, window, other)


wrapper_ports = st.integers(0, 0xFFFF)
