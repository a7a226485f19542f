"""Read a slave of wired M-Bus with pyMeterBus (BSD) as the master, over TCP, and print what it finds as JSON."""

import json
import sys

import meterbus
import serial


def main():
    """Read the slave of the task: its primary address, or by selection of its secondary address."""
    task = json.loads(sys.argv[1])
    with serial.serial_for_url(f"socket://127.0.0.1:{task['port']}", timeout=2) as line:
        if task.get("secondary"):
            meterbus.send_select_frame(line, task["secondary"])
            address = meterbus.ADDRESS_NETWORK_LAYER
        else:
            address = task["address"]
            meterbus.send_ping_frame(line, address)
        acknowledged = isinstance(meterbus.load(meterbus.recv_frame(line, 1)), meterbus.TelegramACK)
        meterbus.send_request_frame(line, address)
        told = json.loads(meterbus.load(meterbus.recv_frame(line, meterbus.FRAME_DATA_LENGTH)).to_JSON())
    sys.stdout.write(json.dumps({"acknowledged": acknowledged, "telegram": told}))


if __name__ == "__main__":
    main()
