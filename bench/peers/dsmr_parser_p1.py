"""Time dsmr_parser (MIT) on P1 telegrams; prints JSON with the rate per second of CPU. A program of its own."""

import json
import sys
import time

from dsmr_parser import telegram_specifications
from dsmr_parser.parsers import TelegramParser


def main():
    """Parse all telegrams over and over."""
    with open(sys.argv[1]) as file:
        telegrams = json.load(file)
    parser = TelegramParser(telegram_specifications.V5)
    parser.parse(telegrams[0])
    count, began = 0, time.process_time()
    while (spent := time.process_time() - began) < 3:
        parser.parse(telegrams[count % len(telegrams)])
        count += 1
    print(json.dumps({"per_s": count / spent}))


if __name__ == "__main__":
    main()
