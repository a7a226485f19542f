"""A ciphered day of quarter hours with six columns, to typed rows: ours, and Gurux on the same octets."""

from bench.inputs import AUTH_KEY, KEY, ROWS, TITLE, as_file, ciphered_profile
from bench.table import Line, peer, rate, show
from meterspan.engine.security import SecurityContext, SecurityKeys
from meterspan.wire.axdr import read_columns
from meterspan.wire.xdlms import data_octets_of_get

GOAL = 100


class AcceptAll:
    """Counters that let the same APDU pass again, which no real store does."""

    def reserve(self, name, count):
        return 1

    def accept(self, name, value):
        return True

    def accepted(self, name):
        return 0


def measure():
    octets, last = ciphered_profile()
    context = SecurityContext(b"HES\0\0\0\0\1", SecurityKeys(KEY, AUTH_KEY), counters=AcceptAll(), peer_title=TITLE)

    def to_columns():
        return read_columns(data_octets_of_get(context.unprotect(octets).octets))

    rows = to_columns().rows()
    assert len(rows) == ROWS and list(rows[-1][2:]) == last  # noqa: PT018 - what is timed is also right
    task = as_file(
        {"octets": octets.hex(), "title": TITLE.hex(), "key": KEY.hex(), "auth_key": AUTH_KEY.hex(), "last": last}
    )
    gurux = peer("gurux_profile.py", task)
    return [
        Line(
            "ciphered 96 x 6 profile to typed rows",
            rate(lambda: to_columns().rows()),
            "profiles/s",
            "Gurux",
            gurux,
            GOAL,
        ),
        Line("  to typed columns", rate(to_columns), "profiles/s", "Gurux", gurux),
    ]


def main():
    show(measure(), "DLMS profile")


if __name__ == "__main__":
    main()
