# SPDX-License-Identifier: GPL-2.0-only
"""Drive gurux-dlms as a DLMS client and print what it reads as JSON.

This is a separate program: it drives a peer that is under the GPL, runs in an environment of its own, imports nothing
of meterspan, and nothing of meterspan imports it. Its argument is a JSON object: see ``main``.
"""

import json
import socket
import sys
import traceback
from datetime import datetime, timezone

from gurux_dlms import GXByteBuffer, GXReplyData
from gurux_dlms.enums import Authentication, InterfaceType, Security
from gurux_dlms.objects import GXDLMSClock, GXDLMSProfileGeneric, GXDLMSRegister
from gurux_dlms.secure import GXDLMSSecureClient

AUTHENTICATION = {"none": Authentication.NONE, "lls": Authentication.LOW, "gmac": Authentication.HIGH_GMAC}


class Reader:
    """One connection and its client."""

    def __init__(self, task):
        is_hdlc = task["link"] == "hdlc"
        server = GXDLMSSecureClient.getServerAddress(1, 17) if is_hdlc else 1
        self.client = GXDLMSSecureClient(
            True,
            task["client"],
            server,
            AUTHENTICATION[task["authentication"]],
            task.get("password") or None,
            InterfaceType.HDLC if is_hdlc else InterfaceType.WRAPPER,
        )
        if task["authentication"] == "gmac":
            ciphering = self.client.ciphering
            ciphering.security = Security.AUTHENTICATION_ENCRYPTION
            ciphering.systemTitle = bytes.fromhex(task["title"])
            ciphering.blockCipherKey = bytes.fromhex(task["key"])
            ciphering.authenticationKey = bytes.fromhex(task["auth_key"])
            ciphering.invocationCounter = task.get("counter", 1)
        self.client.useProtectedRelease = task.get("protected_release", False)
        self.client.maxReceivePDUSize = task.get("max_pdu", 0xFFFF)
        self.is_hdlc = is_hdlc
        self.socket = socket.create_connection(("127.0.0.1", task["port"]), timeout=10)

    def exchange(self, frames):
        """Send a request and collect its whole answer."""
        reply = GXReplyData()
        for frame in frames if isinstance(frames, list) else [frames]:
            reply.clear()
            self._round(frame, reply)
            while reply.isMoreData():
                self._round(None if reply.isStreaming() else self.client.receiverReady(reply), reply)
        return reply

    def _round(self, frame, reply):
        if frame:
            self.socket.sendall(bytes(frame))
        buffer, notify = GXByteBuffer(), GXReplyData()
        reply.error = 0
        while not self.client.getData(buffer, reply, notify):
            octets = self.socket.recv(65536)
            if not octets:
                raise ConnectionError("the meter closed the connection")
            buffer.set(octets)
        if reply.error:
            raise ValueError(f"error {reply.error}")

    def associate(self):
        """Bring the link and the association up."""
        request = self.client.snrmRequest()
        if request:
            self.client.parseUAResponse(self.exchange(request).data)
        self.client.parseAareResponse(self.exchange(self.client.aarqRequest()).data)
        if self.client.getIsAuthenticationRequired():
            reply = self.exchange(self.client.getApplicationAssociationRequest())
            self.client.parseApplicationAssociationResponse(reply.data)

    def read(self, item, attribute):
        """Read one attribute into its object."""
        reply = self.exchange(self.client.read(item, attribute))
        self.client.updateValue(item, attribute, reply.value)
        return reply.value

    def release(self):
        """End association and link."""
        request = self.client.releaseRequest()
        if request:
            self.exchange(request)
        request = self.client.disconnectRequest()
        if request and self.is_hdlc:
            self.exchange(request)
        self.socket.close()


def seconds(moment):
    """Return UTC seconds of a GXDateTime."""
    return moment.value.timestamp()


def run(task):
    """Do what is asked, in one association."""
    reader = Reader(task)
    reader.associate()
    client, told = reader.client, {}
    for what in task["do"]:
        if what == "view":
            objects = client.parseObjects(reader.exchange(client.getObjectsRequest()).data, False, False)
            told["view"] = sorted([int(item.objectType), item.logicalName] for item in objects)
        elif what == "clock":
            item = GXDLMSClock("0.0.1.0.0.255")
            reader.read(item, 2)
            told["clock"] = seconds(item.time)
        elif what == "registers":
            told["registers"] = {}
            for name in task["registers"]:
                item = GXDLMSRegister(name)
                reader.read(item, 3)
                reader.read(item, 2)
                told["registers"][name] = [item.value, item.scaler, int(item.unit)]
        elif what in ("profile", "entries", "events"):
            item = GXDLMSProfileGeneric("0.0.99.98.0.255" if what == "events" else "1.0.99.1.0.255")
            reader.read(item, 3)
            if what == "profile":
                bounds = [datetime.fromtimestamp(at, timezone.utc) for at in task["range"]]
                reply = reader.exchange(client.readRowsByRange(item, *bounds))
                client.updateValue(item, 2, reply.value)
            elif what == "entries":
                reply = reader.exchange(client.readRowsByEntry(item, *task["entries"]))
                client.updateValue(item, 2, reply.value)
            else:
                reader.read(item, 2)
            told[what + "_columns"] = [[int(o.objectType), o.logicalName] for o, _ in item.captureObjects]
            told[what] = [[seconds(row[0]), *row[1:]] for row in item.buffer]
        elif what == "set_clock":
            item = GXDLMSClock("0.0.1.0.0.255")
            item.time = datetime.fromtimestamp(task["set_clock"], timezone.utc)
            reader.exchange(client.write(item, 2))
            reader.read(item, 2)
            told["set_clock"] = seconds(item.time)
    reader.release()
    return told


def main():
    """Run the task of the command line; what fails is told as JSON too."""
    sys.stdout = sys.stderr  # the peer prints as it goes
    try:
        told = run(json.loads(sys.argv[1]))
    except Exception as error:  # whatever goes wrong in the peer is a result of the test
        traceback.print_exc()
        told = {"failed": f"{type(error).__name__}: {error}"}
    sys.__stdout__.write(json.dumps(told))


if __name__ == "__main__":
    main()
