"""Read wired or wireless M-Bus frames with pymbusparser (MIT) and print what it finds as JSON: a program of its own."""

import json
import sys

import pymbusparser


def main():
    """Read the frames of the command line: a JSON object with ``frames`` (hexadecimal digits) and ``key``."""
    task, told = json.loads(sys.argv[1]), []
    for text in task["frames"]:
        try:
            told.append(pymbusparser.parse(text, key=task.get("key")))
        except Exception as error:
            told.append({"failed": f"{type(error).__name__}: {error}"})
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
