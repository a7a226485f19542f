"""The one home of Hypothesis strategies: one per record, used by every law."""

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from meterspan.analytics.conserve import Installation
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

# --- registers and their chains (data side) ---------------------------------------------------------------------------

CHAIN_START = 1_700_000_000


@dataclass(frozen=True, slots=True)
class Chain:
    """Installations after each other with a capture period."""

    installations: tuple[Installation, ...]
    period_s: int


@st.composite
def chains(draw: st.DrawFn) -> Chain:
    """Registers with gaps, jitter, resets, rollovers, zero glitches, conflicts, exchanges, closings and openings."""
    period = draw(st.sampled_from((900, 1_800, 3_600, 86_400)))
    now = CHAIN_START + draw(st.integers(0, 86_400))
    installations = []
    for _ in range(draw(st.integers(1, 3))):
        width = draw(st.sampled_from((None, 1_000, 1_000_000)))
        register = draw(st.integers(0, (width or 10**9) - 1))
        start, opening = (now, register) if draw(st.booleans()) else (None, None)
        times, values = [], []
        for _ in range(draw(st.integers(0, 12))):
            now += draw(st.sampled_from((10, period, period, period, 3 * period, 40 * period))) + draw(
                st.integers(0, 60)
            )
            register += draw(st.integers(0, 400))
            happens = draw(st.sampled_from(("", "", "", "", "reset", "zero", "conflict", "jump")))
            if happens == "reset":
                register = draw(st.integers(0, 5))
            elif happens == "jump":
                register += 10**7
            if width is not None:
                register %= width
            times.append(now)
            values.append(0 if happens == "zero" else register)
            if happens == "conflict":
                times.append(now)
                values.append(draw(st.integers(0, 10**6)))
        now += draw(st.integers(1, 2 * period))
        end, closing = (now, register) if draw(st.booleans()) else (None, None)
        installations.append(
            Installation(
                np.array(times, np.int64),
                np.array(values, np.int64),
                np.zeros(len(times), np.int32),
                start=start,
                end=end,
                opening=opening,
                closing=closing,
                width=width,
                multiplier=draw(st.sampled_from((1, 1, 40))),
                ceiling_per_hour=draw(st.sampled_from((None, None, 5_000))),
            )
        )
        now += draw(st.sampled_from((0, 0, 7, 5 * period)))
    return Chain(tuple(installations), period)
