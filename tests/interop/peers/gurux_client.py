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
from gurux_dlms.enums import AccessServiceCommandType, Authentication, Conformance, DataType, InterfaceType, Security
from gurux_dlms.GXDLMSAccessItem import GXDLMSAccessItem
from gurux_dlms.internal._GXCommon import _GXCommon
from gurux_dlms.internal._GXDataInfo import _GXDataInfo
from gurux_dlms.objects import (
    GXDLMSClock,
    GXDLMSData,
    GXDLMSDisconnectControl,
    GXDLMSLimiter,
    GXDLMSProfileGeneric,
    GXDLMSPushSetup,
    GXDLMSRegister,
)
from gurux_dlms.secure import GXDLMSSecureClient

SECURITY = {
    "both": Security.AUTHENTICATION_ENCRYPTION,
    "authentication": Security.AUTHENTICATION,
    "encryption": Security.ENCRYPTION,
}
AUTHENTICATION = {"none": Authentication.NONE, "lls": Authentication.LOW, "gmac": Authentication.HIGH_GMAC}


class Reader:
    """One connection and its client."""

    def __init__(self, task):
        is_hdlc = task["link"] == "hdlc"
        size = task.get("address_octets", 0)
        server = GXDLMSSecureClient.getServerAddress(1, 17, size) if is_hdlc and size != 1 else 1
        self.client = GXDLMSSecureClient(
            not task.get("short_names"),
            task["client"],
            server,
            AUTHENTICATION[task["authentication"]],
            task.get("password") or None,
            InterfaceType.HDLC if is_hdlc else InterfaceType.WRAPPER,
        )
        if task["authentication"] == "gmac":
            ciphering = self.client.ciphering
            ciphering.security = SECURITY[task.get("security", "both")]
            ciphering.systemTitle = bytes.fromhex(task["title"])
            ciphering.blockCipherKey = bytes.fromhex(task["key"])
            ciphering.authenticationKey = bytes.fromhex(task["auth_key"])
            ciphering.invocationCounter = task.get("counter", 1)
            if task.get("dedicated"):
                ciphering.dedicatedKey = bytes(range(0x40, 0x50))
        if size:
            self.client.setServerAddressSize(size)
        for name in task.get("conformance", []):
            self.client.proposedConformance |= Conformance[name]
        for name in task.get("no_conformance", []):
            self.client.proposedConformance &= ~Conformance[name]
        if "information" in task:
            hdlc = self.client.hdlcSettings
            hdlc.maxInfoTX = hdlc.maxInfoRX = task["information"]
            hdlc.windowSizeTX = hdlc.windowSizeRX = task.get("window", 1)
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


def refusal(step):
    """Return the words in which the peer reports a refusal."""
    try:
        step()
    except ValueError as error:
        return str(error)
    return "not refused"


def columns_of(reader, task):
    """Read the chosen columns of a profile by range."""
    item = GXDLMSProfileGeneric("1.0.99.1.0.255")
    reader.read(item, 3)
    bounds = [datetime.fromtimestamp(at, timezone.utc) for at in task["range"]]
    chosen = [item.captureObjects[index] for index in task["columns"]]
    reply = reader.exchange(reader.client.readRowsByRange(item, *bounds, chosen))
    return [list(row) for row in reply.value]


def read_list(reader):
    """Read several attributes in one request."""
    energy, clock = GXDLMSRegister("1.0.1.8.0.255"), GXDLMSClock("0.0.1.0.0.255")
    asked, values = [(energy, 2), (energy, 3), (clock, 2), (clock, 3), (clock, 8)], []
    for request in reader.client.readList(asked):
        values += reader.exchange(request).value
    reader.client.updateValues(asked, values)
    return [energy.value, int(energy.unit), seconds(clock.time), clock.timeZone]


def access(reader):
    """Read the clock with an ACCESS request."""
    items = [GXDLMSAccessItem(AccessServiceCommandType.GET, GXDLMSClock("0.0.1.0.0.255"), 2)]
    reply = reader.exchange(reader.client.accessRequest(None, items))
    reader.client.parseAccessResponse(items, reply.data)
    return items[0].value


def operate(reader, what):
    """Operate the switch, and read whether the supply is on."""
    switch = GXDLMSDisconnectControl("0.0.96.3.10.255")
    step = switch.remoteDisconnect if what == "disconnect" else switch.remoteReconnect
    reader.exchange(step(reader.client))
    return reader.read(switch, 2)


def push_setup(reader):
    """Read the whole push setup."""
    setup = GXDLMSPushSetup("0.0.25.9.0.255")
    setup.version = 0
    for number in range(2, 8):
        reader.read(setup, number)
    return {
        "objects": [
            [int(of.objectType), of.logicalName, at.attributeIndex, at.dataIndex] for of, at in setup.pushObjectList
        ],
        "service": int(setup.service),
        "destination": setup.destination if isinstance(setup.destination, str) else bytes(setup.destination).decode(),
        "message": int(setup.message),
        "window": list(setup.communicationWindow),
        "randomisation": setup.randomisationStartInterval,
        "retries": setup.numberOfRetries,
        "delay": setup.repetitionDelay,
    }


def decoded(digits):
    """Decode A-XDR data."""
    return shown(_GXCommon.getData(None, GXByteBuffer(bytes.fromhex(digits)), _GXDataInfo()))


def shown(value):
    """Return a value as JSON can hold it."""
    if isinstance(value, (list, tuple)):
        return [shown(item) for item in value]
    return bytes(value).hex() if isinstance(value, (bytes, bytearray)) else value


def run(task):
    """Do what is asked, in one association."""
    reader = Reader(task)
    reader.associate()
    client, told = reader.client, {}
    told["conformance"] = int(client.negotiatedConformance)
    told["pdu"] = client.maxReceivePDUSize
    for what in task["do"]:
        if what == "columns":
            told[what] = columns_of(reader, task)
        elif what == "list":
            told[what] = read_list(reader)
        elif what == "access":
            told[what] = access(reader)
        elif what in ("disconnect", "reconnect"):
            told[what] = operate(reader, what)
        elif what == "push_setup":
            told[what] = push_setup(reader)
        elif what == "push":
            reader.exchange(GXDLMSPushSetup("0.0.25.9.0.255").activate(client))
            told[what] = True
        elif what == "set_limiter":
            item = GXDLMSLimiter("0.0.17.0.0.255")
            item.setDataType(4, DataType.UINT32)
            item.thresholdNormal = task["limit"]
            reader.exchange(client.write(item, 4))
            told[what] = reader.read(item, 4)
        elif what == "write_register":
            item = GXDLMSRegister("1.0.1.8.0.255")
            item.value = 5
            told[what] = refusal(lambda item=item: reader.exchange(client.write(item, 2)))
        elif what == "unknown":
            told[what] = refusal(lambda: reader.read(GXDLMSRegister("1.0.99.8.77.255"), 2))
        elif what == "wrong_class":
            told[what] = refusal(lambda: reader.read(GXDLMSData("1.0.1.8.0.255"), 2))
        elif what == "view":
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
    told["released"] = True
    return told


def main():
    """Run the task of the command line; what fails is told as JSON too."""
    sys.stdout = sys.stderr  # the peer prints as it goes
    try:
        task = json.loads(sys.argv[1])
        told = {"data": decoded(task["data"])} if "data" in task else run(task)
    except Exception as error:  # whatever goes wrong in the peer is a result of the test
        traceback.print_exc()
        told = {"failed": f"{type(error).__name__}: {error}"}
    sys.__stdout__.write(json.dumps(told))


if __name__ == "__main__":
    main()
