"""Search a wired M-Bus by wildcards with pyMeterBus (BSD) as the master, over TCP, and print what it finds as JSON."""

import json
import sys

import meterbus
import serial


def found_below(line, digits):
    """Return the secondary addresses of all slaves whose number begins so."""
    meterbus.send_select_frame(line, digits.ljust(8, "F") + "FFFFFFFF")
    if not meterbus.recv_frame(line, 1):
        return []
    meterbus.send_request_frame(line, meterbus.ADDRESS_NETWORK_LAYER)
    octets = meterbus.recv_frame(line, meterbus.FRAME_DATA_LENGTH)
    if octets:
        return [meterbus.load(octets).secondary_address]
    return [one for digit in "0123456789" for one in found_below(line, digits + digit)]


def main():
    """Search the bus of the task below the digits that it names."""
    task = json.loads(sys.argv[1])
    with serial.serial_for_url(f"socket://127.0.0.1:{task['port']}", timeout=1) as line:
        sys.stdout.write(json.dumps(found_below(line, task["digits"])))


if __name__ == "__main__":
    main()
