# SPDX-License-Identifier: GPL-2.0-only
"""Drive gurux-dlms as a receiver of pushes over TCP, UDP or HDLC; prints its port, then each push as JSON.

This is a separate program: it drives a peer that is under the GPL, runs in an environment of its own, imports nothing
of meterspan, and nothing of meterspan imports it. Its argument is a JSON object: see ``main``.
"""

import json
import socket
import sys
import threading
import traceback

from gurux_dlms import GXByteBuffer, GXDateTime, GXReplyData
from gurux_dlms.enums import Command, InterfaceType, Security
from gurux_dlms.objects import GXDLMSPushSetup
from gurux_dlms.secure import GXDLMSSecureClient

KINDS = {"tcp": InterfaceType.WRAPPER, "udp": InterfaceType.WRAPPER, "hdlc+tcp": InterfaceType.HDLC}


def client_of(task):
    """Make the client that opens pushes."""
    client = GXDLMSSecureClient(True, 1, 1, interfaceType=KINDS[task["scheme"]])
    ciphering = client.ciphering
    ciphering.security = Security.AUTHENTICATION_ENCRYPTION
    ciphering.systemTitle = bytes.fromhex(task["title"])
    ciphering.blockCipherKey = bytes.fromhex(task["key"])
    ciphering.authenticationKey = bytes.fromhex(task["auth_key"])
    return client


def tell(told):
    """Write one line of JSON."""
    sys.__stdout__.write(json.dumps(told) + "\n")
    sys.__stdout__.flush()


def shown(value):
    """Return a value as JSON can hold it."""
    if isinstance(value, GXDateTime):
        return value.value.timestamp()
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).hex()
    if isinstance(value, (list, tuple)):
        return [shown(item) for item in value]
    return value


def values_of(client, body):
    """Decode a push by the push object list that is its first element: class, name, attribute, value."""
    setup = GXDLMSPushSetup("0.0.25.9.0.255")
    setup.version = 0
    client.updateValue(setup, 2, body[0])
    for item, _ in setup.pushObjectList:
        if isinstance(item, GXDLMSPushSetup):
            item.version = 0
    setup.getPushValues(client, body)
    found = []
    for item, part in setup.pushObjectList[1:]:
        value = item.getValues()[part.attributeIndex - 1]
        if part.attributeIndex == 3 and hasattr(item, "scaler"):
            value = [item.scaler, int(item.unit)]
        found.append([int(item.objectType), item.logicalName, part.attributeIndex, shown(value)])
    return found


def take(client, octets, buffer, notify):
    """Feed octets, and tell each whole push."""
    buffer.set(octets)
    while buffer.size > buffer.position:
        before = buffer.position
        client.getData(buffer, GXReplyData(), notify)
        if notify.complete and not notify.isMoreData():
            is_event = notify.command == Command.EVENT_NOTIFICATION
            opened = bytes(notify.data.array()).hex()
            tell({"event": opened} if is_event else {"values": values_of(client, notify.value)})
            notify.clear()
        elif buffer.position == before:
            return
    buffer.clear()


def serve(task, line):
    """Listen at one port."""
    while True:
        client, buffer, notify = client_of(task), GXByteBuffer(), GXReplyData()
        connection = line if task["scheme"] == "udp" else line.accept()[0]
        while octets := connection.recv(65536):
            try:
                take(client, octets, buffer, notify)
            except Exception as error:  # whatever goes wrong in the peer is a result of the test
                traceback.print_exc()
                tell({"failed": f"{type(error).__name__}: {error}", "octets": octets.hex()})


def main():
    """Listen until stdin closes; what the peer prints goes to stderr."""
    sys.stdout = sys.stderr
    task = json.loads(sys.argv[1])
    if task["scheme"] == "udp":
        line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        line.bind(("127.0.0.1", 0))
    else:
        line = socket.create_server(("127.0.0.1", 0))
    tell({"port": line.getsockname()[1]})
    threading.Thread(target=serve, args=(task, line), daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main()
