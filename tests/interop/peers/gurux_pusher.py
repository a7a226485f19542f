# SPDX-License-Identifier: GPL-2.0-only
"""Drive gurux-dlms as a meter that pushes; prints what came back as JSON.

This is a separate program: it drives a peer that is under the GPL, runs in an environment of its own, imports nothing
of meterspan, and nothing of meterspan imports it. Its argument is a JSON object: see ``main``.

The peer knows no ciphered event notification; ``cipher_events`` mends that, from outside, with the ciphering that it
has for pushes (general-glo).
"""

import json
import socket
import sys
import traceback
from datetime import datetime, timezone

from gurux_dlms import GXDateTime, GXDLMSNotify
from gurux_dlms.enums import Command, DataType, InterfaceType, Security, ServiceClass
from gurux_dlms.GXCiphering import GXCiphering
from gurux_dlms.GXDLMS import GXDLMS
from gurux_dlms.objects import (
    GXDLMSCaptureObject,
    GXDLMSClock,
    GXDLMSData,
    GXDLMSPushSetup,
    GXDLMSRegister,
)
from gurux_dlms.secure import GXDLMSSecureClient

ANSWER_S = 3.0
KINDS = {"tcp": InterfaceType.WRAPPER, "udp": InterfaceType.WRAPPER, "hdlc+tcp": InterfaceType.HDLC}
WATT_HOURS = 30


def cipher_events():
    """Let the peer cipher an event notification as it does a push."""
    known = GXDLMS.getGloMessage

    def command_of(command):
        return Command.GENERAL_GLO_CIPHERING if command == Command.EVENT_NOTIFICATION else known(command)

    GXDLMS.getGloMessage = command_of


def notifier_of(task):
    """Make the notifier, with keys where the push is to be ciphered."""
    is_hdlc = KINDS[task["scheme"]] == InterfaceType.HDLC
    server = GXDLMSSecureClient.getServerAddress(1, 17) if is_hdlc else 1
    notifier = GXDLMSNotify(True, 1, server, KINDS[task["scheme"]])
    notifier.settings.isServer = True
    notifier.settings.serviceClass = ServiceClass.CONFIRMED
    notifier.maxReceivePDUSize = 0xFFFF
    notifier.hdlcSettings.maxInfoTX = 1_024  # the peer cuts no push into frames
    if "key" in task:
        ciphering = GXCiphering(bytes.fromhex(task["title"]))
        ciphering.security = Security.AUTHENTICATION_ENCRYPTION
        ciphering.blockCipherKey = bytes.fromhex(task["key"])
        ciphering.authenticationKey = bytes.fromhex(task["auth_key"])
        ciphering.invocationCounter = task["counter"]
        notifier.setCipher(ciphering)
    return notifier


def push_setup_of(task):
    """Make a push setup with its objects: the list itself (where asked for), name, clock, register, scaler."""
    setup = GXDLMSPushSetup("0.0.25.9.0.255")
    setup.version = 0
    name = GXDLMSData("0.0.42.0.0.255")
    name.value = task["name"].encode()
    name.setDataType(2, DataType.OCTET_STRING)
    clock = GXDLMSClock("0.0.1.0.0.255")
    clock.time = GXDateTime(datetime.fromtimestamp(task["time"], timezone.utc))
    energy = GXDLMSRegister("1.0.1.8.0.255")
    energy.value, energy.scaler, energy.unit = task["value"], 10, WATT_HOURS
    energy.setDataType(2, DataType.UINT32)
    listed = [(setup, 2)] if task["lists_itself"] else []
    listed += [(name, 2), (clock, 2), (energy, 2)]
    listed += [(energy, 3)] if task["lists_itself"] else []
    for item, number in listed:
        setup.pushObjectList.append((item, GXDLMSCaptureObject(number, 0)))
    return setup, energy


def messages_of(task):
    """Build the messages of a push or of an event."""
    notifier = notifier_of(task)
    if task["what"] == "event":
        event = GXDLMSData("0.0.96.11.0.255")
        event.value = task["event"]
        event.setDataType(2, DataType.UINT8)
        return notifier.generateReport(None, [(event, 2)])
    setup, _ = push_setup_of(task)
    return notifier.generatePushSetupMessages(None, setup)


def send(task, messages):
    """Send the messages; return what the receiver answers."""
    kind = socket.SOCK_DGRAM if task["scheme"] == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as line:
        line.settimeout(ANSWER_S)
        line.connect(("127.0.0.1", task["port"]))
        for message in messages:
            line.send(bytes(message))
        try:
            return line.recv(65536)
        except TimeoutError:
            return b""


def main():
    """Push what the command line says; what fails is told as JSON too."""
    sys.stdout = sys.stderr  # the peer prints as it goes
    cipher_events()
    task = json.loads(sys.argv[1])
    try:
        told = {"answer": send(task, messages_of(task)).hex()}
    except Exception as error:  # whatever goes wrong in the peer is a result of the test
        traceback.print_exc()
        told = {"failed": f"{type(error).__name__}: {error}"}
    sys.__stdout__.write(json.dumps(told))


if __name__ == "__main__":
    main()
