"""Read wired M-Bus frames with pyMeterBus (BSD) and print what it finds as JSON: a program of its own."""

import json
import sys

import meterbus


def main():
    """Read the frames that stand as a JSON list of hexadecimal digits on the command line."""
    told = []
    for text in json.loads(sys.argv[1]):
        try:
            told.append(json.loads(meterbus.load(bytes.fromhex(text)).to_JSON()))
        except Exception as error:
            told.append({"failed": f"{type(error).__name__}: {error}"})
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
