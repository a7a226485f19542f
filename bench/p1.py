"""P1 telegrams to typed values: ours, and dsmr_parser on the same telegrams; each telegram is new."""

import time

from bench.inputs import as_file, p1_telegrams
from bench.table import Line, peer, rate, show
from meterspan.wire.p1 import read_telegram

TELEGRAMS = 20_000
GOAL = 10


def measure():
    telegrams = p1_telegrams(TELEGRAMS)
    octets = [telegram.encode() for telegram in telegrams]
    read_telegram(octets[0])
    began = time.process_time()
    for item in octets:  # once only: a second pass would find every line in our cache
        read_telegram(item)
    ours = TELEGRAMS / (time.process_time() - began)
    last = read_telegram(octets[-1])
    assert last.crc_matches and not last.faults  # noqa: PT018 - what is timed is also right
    same = rate(lambda: read_telegram(octets[-1]))
    theirs = peer("dsmr_parser_p1.py", as_file(telegrams))
    return [
        Line("P1 telegrams, new values each time", ours, "telegrams/s", "dsmr_parser", theirs, GOAL),
        Line("  the same telegram again", same, "telegrams/s", "dsmr_parser", theirs),
    ]


def main():
    show(measure(), "P1")


if __name__ == "__main__":
    main()
