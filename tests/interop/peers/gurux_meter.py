# SPDX-License-Identifier: GPL-2.0-only
"""Drive gurux-dlms as a DLMS meter on a loopback TCP port; prints where and what it holds as JSON.

This is a separate program: it drives a peer that is under the GPL, runs in an environment of its own, imports nothing
of meterspan, and nothing of meterspan imports it.

Release 1.0.203 of the peer has a complete client, but a server that cannot run as it is: it calls accessors that its
own classes lack, and breaks on ciphered requests, on HLS, on the AARE of HLS and on selection by range. What follows
mends just that, from outside; framing, HDLC, A-XDR, ciphering, GMAC and all services are the peer's.
"""

import json
import socket
import sys
import threading
import traceback
from datetime import datetime, timedelta, timezone

from gurux_dlms import GXByteBuffer, GXDateTime, GXDLMSSettings, GXServerReply
from gurux_dlms._GXAPDU import _GXAPDU
from gurux_dlms.AesGcmParameter import AesGcmParameter
from gurux_dlms.enums import (
    AccessMode,
    Authentication,
    Command,
    DataType,
    InterfaceType,
    MethodAccessMode,
    RequestTypes,
    Security,
    SourceDiagnostic,
)
from gurux_dlms.GXCiphering import GXCiphering
from gurux_dlms.GXDLMS import GXDLMS
from gurux_dlms.GXDLMSLongTransaction import GXDLMSLongTransaction
from gurux_dlms.GXHdlcSettings import GXHdlcSettings
from gurux_dlms.GXSecure import GXSecure
from gurux_dlms.internal._GXCommon import _GXCommon
from gurux_dlms.internal._GXDataInfo import _GXDataInfo
from gurux_dlms.objects import (
    GXDLMSAssociationLogicalName,
    GXDLMSCaptureObject,
    GXDLMSClock,
    GXDLMSData,
    GXDLMSHdlcSetup,
    GXDLMSProfileGeneric,
    GXDLMSRegister,
)
from gurux_dlms.objects.enums import AssociationStatus
from gurux_dlms.secure import GXDLMSSecureServer
from gurux_dlms.ValueEventArgs import ValueEventArgs

START = datetime(2026, 3, 1, tzinfo=timezone.utc)
ROWS = 200


def add_accessors(*classes):
    """Add to classes the getX/setX that the server calls where only the attribute x is there."""

    def accessor(self, name):
        kind, attribute = name[:3], name[3:4].lower() + name[4:]
        if kind == "get" and attribute:
            return lambda: getattr(self, attribute)
        if kind == "set" and attribute:
            return lambda value: setattr(self, attribute, value)
        raise AttributeError(name)

    for kind in classes:
        kind.__getattr__ = accessor


def generate_aare(settings, data, result, diagnostic, cipher, error, _encrypted=None):
    """Write the AARE (the peer's own lacks an argument and miscounts its title and challenge)."""

    def field(tag, *octets):
        value = b"".join(octets)
        return bytes([tag, len(value)]) + value

    context = GXByteBuffer()
    _GXAPDU.generateApplicationContextName(settings, context, cipher)
    body = bytes(context.array())
    body += field(0xA2, field(2, bytes([result]))) + field(0xA3, field(0xA1, field(2, bytes([diagnostic]))))
    if cipher.isCiphered():
        body += field(0xA4, field(4, bytes(cipher.systemTitle)))
    if settings.authentication > Authentication.LOW:
        body += bytes.fromhex("88020780890760857405080205") + field(0xAA, field(0x80, bytes(settings.stoCChallenge)))
    if not error and result == 0:
        body += field(0xBE, field(4, bytes(_GXAPDU.getUserInformation(settings, cipher))))
        cipher.invocationCounter += 1
    data.set(field(0x61, body))


def open_request(settings, data):
    """Decipher a request (the peer's own hands its decryption one argument too few)."""
    data.data.position -= 1
    if data.moreData & RequestTypes.FRAME:
        return
    keys = AesGcmParameter(
        0, settings.sourceSystemTitle, settings.cipher.blockCipherKey, settings.cipher.authenticationKey
    )
    plain = GXCiphering.decrypt(settings, keys, data.data)
    data.data.clear()
    data.data.set(plain)
    data.command = Command(data.data.getUInt8())


class Association(GXDLMSAssociationLogicalName):
    """The association with a working reply to HLS."""

    def invoke(self, settings, e):
        """Check the client's proof and give ours."""
        given = bytes(e.parameters)
        counter = int.from_bytes(given[1:5], "big")
        cipher = settings.cipher
        wanted = GXSecure.secure(settings, cipher, counter, settings.stoCChallenge, settings.sourceSystemTitle)
        if bytes(wanted) != given:
            self.associationStatus = AssociationStatus.NON_ASSOCIATED
            return None
        self.associationStatus = AssociationStatus.ASSOCIATED
        cipher.invocationCounter += 1
        return GXSecure.secure(settings, cipher, cipher.invocationCounter, settings.ctoSChallenge, cipher.systemTitle)


class Profile(GXDLMSProfileGeneric):
    """The load profile with a working selection by range, both ends included."""

    def getValue(self, settings, e):
        """Return the rows that the selector asks for."""
        if e.index != 2:
            return super().getValue(settings, e)
        rows = self.buffer
        if e.selector == 1:
            start, end = (self.moment(settings, e.parameters[index]) for index in (1, 2))
            rows = [row for row in rows if start <= row[0].value <= end]
        elif e.selector == 2:
            first, last = e.parameters[0], e.parameters[1] or len(rows)
            rows = rows[first - 1 : last]
        e.byteArray = True
        return self.getData(settings, e, rows, None)

    @staticmethod
    def moment(settings, octets):
        """Read a date-time of a selection."""
        info = _GXDataInfo()
        info.type_ = DataType.DATETIME
        return _GXCommon.getData(settings, GXByteBuffer(octets), info).value


class HdlcSetup(GXDLMSHdlcSetup):
    """The limits of the link, under the names that the server reads them by; no inactivity time-out."""

    def __init__(self):
        super().__init__()
        self.inactivityTimeout = 0
        self.maximumInfoLengthReceive = self.maximumInfoLengthTransmit = 128
        self.maxInfoTX = self.maxInfoRX = 128
        self.windowSizeTX = self.windowSizeRX = self.windowSizeReceive = self.windowSizeTransmit = 1


class Meter(GXDLMSSecureServer):
    """A meter with a clock, two registers and a load profile."""

    def __init__(self, interface, task):
        super().__init__(True, interface)
        self.task = task
        settings = self.settings
        settings.cipher = GXCiphering(bytes.fromhex(task["title"]))
        settings.cipher.blockCipherKey = bytes.fromhex(task["key"])
        settings.cipher.authenticationKey = bytes.fromhex(task["auth_key"])
        self.useLogicalNameReferencing = True
        if interface == InterfaceType.HDLC:
            self.hdlc = HdlcSetup()
        self.association = Association()
        self.association.secret = task["password"].encode()
        clock = GXDLMSClock()
        clock.time = GXDateTime(datetime.fromtimestamp(task["now"], timezone.utc))
        status = GXDLMSData("0.0.96.10.1.255")
        status.value = 0
        energy = [GXDLMSRegister("1.0.1.8.0.255"), GXDLMSRegister("1.0.2.8.0.255")]
        for register, value in zip(energy, (123456, 789), strict=True):
            register.value, register.scaler, register.unit = value, 1, 30
        profile = Profile("1.0.99.1.0.255")
        profile.capturePeriod = 900
        profile.sortObject = clock
        for item in (clock, status, *energy):
            profile.captureObjects.append((item, GXDLMSCaptureObject(2, 0)))
        for index in range(ROWS):
            moment = START + timedelta(minutes=15 * (index + 1))
            profile.buffer.append([GXDateTime(moment), 0, 100000 + 25 * index, 7 * index])
        profile.entriesInUse = profile.profileEntries = ROWS
        for item in (self.association, clock, status, *energy, profile):
            self.items.append(item)
        self.initialize()

    def initialize(self):
        """Be ready to serve."""
        self.initialized = True
        self.association.objectList = self.settings.objects

    @property
    def items(self):
        """All objects."""
        return self.settings.objects

    def handleCommand(self, cmd, data, sr):
        """Show on stderr what the peer would hide behind an answer."""
        try:
            return super().handleCommand(cmd, data, sr)
        except Exception:
            traceback.print_exc()
            raise

    def handleReleaseRequest(self, data):
        """Answer RLRQ (the peer's own breaks over HDLC)."""
        if self.settings.interfaceType == InterfaceType.HDLC:
            self.replyData.set(_GXCommon.LLC_REPLY_BYTES)
        self.replyData.set(bytes.fromhex("6303800100"))

    def isTarget(self, serverAddress, clientAddress):
        """Accept every address, and choose the protection by the client."""
        self.settings.cipher.security = Security.AUTHENTICATION_ENCRYPTION if clientAddress == 1 else Security.NONE
        return True

    def onValidateAuthentication(self, authentication, password):
        """Accept the public client, the right password, and a client that passes HLS later."""
        if authentication == Authentication.LOW and bytes(password or b"") != self.task["password"].encode():
            return SourceDiagnostic.AUTHENTICATION_FAILURE
        return SourceDiagnostic.NONE

    def notifyRead(self, *_):
        """Nothing is prepared before a read."""

    def onFindObject(self, objectType, sn, ln):
        """Every object is in the list already; the current association is the only one."""
        return

    def onGetAttributeAccess(self, arg):
        return AccessMode.READ

    def onGetMethodAccess(self, arg):
        return MethodAccessMode.ACCESS

    def nothing(self, *_):
        """Nothing more to do."""

    onPreRead = onPostRead = onPreWrite = onPostWrite = onPreAction = onPostAction = nothing
    onConnected = onInvalidConnection = onDisconnected = notifyConnected = onPreGet = onPostGet = nothing


def serve(task):
    """Serve connections one after the other."""
    interface = InterfaceType.HDLC if task["link"] == "hdlc" else InterfaceType.WRAPPER
    listener = socket.create_server(("127.0.0.1", 0))
    rows = [[(START + timedelta(minutes=15 * (n + 1))).timestamp(), 0, 100000 + 25 * n, 7 * n] for n in range(ROWS)]
    sys.__stdout__.write(json.dumps({"port": listener.getsockname()[1], "rows": rows}) + "\n")
    sys.__stdout__.flush()
    while True:
        connection, _ = listener.accept()
        meter = Meter(interface, task)
        while octets := connection.recv(65536):
            reply = GXServerReply(octets)
            try:
                meter.handleRequest(reply)
            except Exception:
                traceback.print_exc()
            if reply.reply:
                connection.sendall(bytes(reply.reply))
        connection.close()


def main():
    """Serve until stdin closes; what the peer prints goes to stderr."""
    sys.stdout = sys.stderr
    add_accessors(GXServerReply, GXDLMSSettings, Meter, GXDLMSLongTransaction, Association)
    _GXAPDU.generateAARE = generate_aare
    GXDLMS.handleGloDedRequest = open_request
    ValueEventArgs.__iter__ = lambda self: iter((self,))
    GXHdlcSettings.update = lambda self, _: None
    GXDLMSSettings.gbtWndowSize = 1
    ValueEventArgs.isSkipMaxPduSize = True
    threading.Thread(target=serve, args=(json.loads(sys.argv[1]),), daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main()
