"""The quantity of an OBIS code, in the field's words (IEC 62056-6-1, tables 4 to 12), and its unit.

The words are ours; the code beside them is the identity. The unit matters only where a frame carries none.
"""

from dataclasses import dataclass
from functools import lru_cache

from meterspan.quantities import Medium, Obis

__all__ = ["Meaning", "meaning_of"]

CACHED_CODES = 4_096
"""Meanings kept: a meter has some fifty codes, and all meters nearly the same ones."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """The meaning of an OBIS code.

    Attributes:
        quantity: in words.
        unit: symbol of the base unit; "" where the value is a text, "1" where it is a count.
        function: ``instantaneous`` or ``maximum``.

    """

    quantity: str
    unit: str = ""
    function: str = "instantaneous"


@lru_cache(maxsize=CACHED_CODES)
def meaning_of(obis: Obis) -> Meaning:
    """Return the meaning of a code; an unknown one is a ``value``."""
    if obis.a == Medium.ELECTRICITY:
        return _electricity(obis)
    if obis.a in _FLUIDS and (obis.c, obis.d) in {(1, 0), (2, 0), (3, 0), (1, 2), (3, 1)}:
        return _FLUIDS[Medium(obis.a)]
    return _ABSTRACT.get((obis.c, obis.d), Meaning("M-Bus value") if obis.c == 24 else Meaning("value"))


def _electricity(obis: Obis) -> Meaning:
    base, phase = divmod(obis.c, 20)
    if obis.d in _COUNTS and obis.c in _PHASE_VOLTAGES:
        return Meaning(f"{_COUNTS[obis.d]} count {_PHASES[base]}", "1")
    kind = _KINDS.get(phase) if base < len(_PHASES) else None
    if kind is None:
        return _ELECTRIC.get((obis.c, obis.d), _ABSTRACT.get((obis.c, obis.d), Meaning("value")))
    name, unit, is_energy = kind
    where = f" {_PHASES[base]}" if base else ""
    if is_energy and obis.d in _ENERGY:
        return Meaning(f"{name.replace('power', 'energy')}{where}", f"{unit}h")
    if obis.d in _MAXIMA:
        return Meaning(f"{name}{where} demand", unit, "maximum")
    return Meaning(f"{name}{where}", unit)


_PHASES = ("", "L1", "L2", "L3")
_PHASE_VOLTAGES = {32: "L1", 52: "L2", 72: "L3", 12: ""}
_ENERGY = {8, 9, 17, 18, 19, 20, 29}
_MAXIMA = {2, 6, 16}
_COUNTS = {32: "voltage sag", 36: "voltage swell", 33: "voltage sag time", 37: "voltage swell time"}
_KINDS = {
    1: ("active power import", "W", True),
    2: ("active power export", "W", True),
    3: ("reactive power import", "var", True),
    4: ("reactive power export", "var", True),
    5: ("reactive power quadrant 1", "var", True),
    6: ("reactive power quadrant 2", "var", True),
    7: ("reactive power quadrant 3", "var", True),
    8: ("reactive power quadrant 4", "var", True),
    9: ("apparent power import", "VA", True),
    10: ("apparent power export", "VA", True),
    11: ("current", "A", False),
    12: ("voltage", "V", False),
    13: ("power factor", "1", False),
    14: ("frequency", "Hz", False),
    15: ("active power import and export", "W", True),
    16: ("active power balance", "W", True),
}
_ELECTRIC = {
    (33, 7): Meaning("power factor L1", "1"),
    (53, 7): Meaning("power factor L2", "1"),
    (73, 7): Meaning("power factor L3", "1"),
    (81, 7): Meaning("phase angle", "°"),
    (90, 7): Meaning("current sum", "A"),
    (91, 7): Meaning("neutral current", "A"),
    (98, 1): Meaning("maximum demand history"),
    (99, 1): Meaning("load profile"),
    (99, 2): Meaning("daily profile"),
    (99, 97): Meaning("power failure log"),
    (99, 98): Meaning("event log"),
    (0, 0): Meaning("identification"),
    (0, 2): Meaning("version"),
}
_FLUIDS = {
    Medium.HEAT: Meaning("heat energy", "Wh"),
    Medium.COOLING: Meaning("cooling energy", "Wh"),
    Medium.GAS: Meaning("gas volume", "m3"),
    Medium.COLD_WATER: Meaning("cold water volume", "m3"),
    Medium.HOT_WATER: Meaning("hot water volume", "m3"),
    Medium.HEAT_COST_ALLOCATOR: Meaning("heat cost allocation", "hca"),
}
_ABSTRACT = {
    (0, 0): Meaning("identification"),
    (1, 0): Meaning("clock"),
    (0, 2): Meaning("version"),
    (10, 0): Meaning("script table"),
    (11, 0): Meaning("special days"),
    (13, 0): Meaning("activity calendar"),
    (14, 0): Meaning("register activation"),
    (15, 0): Meaning("single action schedule"),
    (16, 0): Meaning("register monitor"),
    (20, 0): Meaning("optical port setup"),
    (22, 0): Meaning("HDLC setup"),
    (24, 0): Meaning("M-Bus port setup"),
    (25, 0): Meaning("TCP-UDP setup"),
    (25, 1): Meaning("IPv4 setup"),
    (25, 9): Meaning("push setup"),
    (40, 0): Meaning("association"),
    (41, 0): Meaning("SAP assignment"),
    (43, 0): Meaning("security setup"),
    (43, 1): Meaning("invocation counter", "1"),
    (44, 0): Meaning("image transfer"),
    (96, 11): Meaning("event code", "1"),
    (96, 15): Meaning("event count", "1"),
    (97, 98): Meaning("alarm state"),
    (99, 1): Meaning("load profile"),
    (99, 2): Meaning("daily profile"),
    (99, 98): Meaning("event log"),
    (17, 0): Meaning("power threshold"),
    (24, 1): Meaning("device type", "1"),
    (24, 4): Meaning("valve state", "1"),
    (42, 0): Meaning("logical device name"),
    (96, 1): Meaning("identification"),
    (96, 2): Meaning("configuration event count", "1"),
    (96, 3): Meaning("switch state", "1"),
    (96, 5): Meaning("status"),
    (96, 7): Meaning("power failure count", "1"),
    (96, 8): Meaning("operating time", "s"),
    (96, 10): Meaning("status"),
    (96, 13): Meaning("message"),
    (96, 14): Meaning("active tariff"),
    (96, 50): Meaning("manufacturer"),
    (97, 97): Meaning("error state"),
    (199, 130): Meaning("manufacturer"),
    (98, 1): Meaning("maximum demand history"),
    (99, 97): Meaning("power failure log"),
}
"""Value groups C and D of abstract objects."""
