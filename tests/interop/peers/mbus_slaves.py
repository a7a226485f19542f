"""Be slaves of wired M-Bus on TCP: pyMeterBus (BSD) reads the master's short frames and writes the answers."""

import json
import socket
import sys

from meterbus.exceptions import MBusFrameCRCError, MBusFrameDecodeError
from meterbus.telegram_ack import TelegramACK
from meterbus.telegram_long import TelegramLong
from meterbus.telegram_short import TelegramShort

SHORT_SIZE = 5
SND_NKE, REQ_UD2 = 0x40, (0x5B, 0x7B)
RSP_UD = 0x08


def response(address, number):
    """Return a response with the long header of a water meter and no records."""
    telegram = TelegramLong()
    telegram.header.cField.parts = [RSP_UD]
    telegram.header.aField.parts = [address]
    telegram.body.bodyHeader = [0x72, *bytes.fromhex(number)[::-1], 0x70, 0x36, 1, 7, 0, 0, 0, 0]
    return bytes(bytearray(telegram))


def answer(frame, slaves):
    """Return what the slaves answer to one short frame."""
    try:
        telegram = TelegramShort.parse(list(frame))
    except (MBusFrameCRCError, MBusFrameDecodeError):
        return b""
    control, address = telegram.header.cField.parts[0], telegram.header.aField.parts[0]
    if str(address) not in slaves:
        return b""
    if control == SND_NKE:
        return bytes(bytearray(TelegramACK()))
    return response(address, slaves[str(address)]) if control in REQ_UD2 else b""


def main():
    """Serve the slaves of the task (number by primary address) to one master, and print the port first."""
    slaves = json.loads(sys.argv[1])
    with socket.create_server(("127.0.0.1", 0)) as server:
        sys.stdout.write(json.dumps({"port": server.getsockname()[1]}) + "\n")
        sys.stdout.flush()
        line, _ = server.accept()
        with line:
            while frame := line.recv(SHORT_SIZE, socket.MSG_WAITALL):
                line.sendall(answer(frame, slaves))


if __name__ == "__main__":
    main()
