"""Read P1 telegrams with dsmr_parser (MIT) and print what it finds as JSON: a program of its own."""

import json
import sys

from dsmr_parser import telegram_specifications
from dsmr_parser.parsers import TelegramParser


def main():
    """Read the telegrams that stand as a JSON list on the command line."""
    parser = TelegramParser(telegram_specifications.V5)
    told = []
    for text in json.loads(sys.argv[1]):
        try:
            told.append(json.loads(parser.parse(text).to_json()))
        except Exception as error:
            told.append({"failed": f"{type(error).__name__}: {error}"})
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
