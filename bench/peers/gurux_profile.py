# SPDX-License-Identifier: GPL-2.0-only
"""Time gurux-dlms on a ciphered profile; prints JSON with the rate per second of CPU.

This is a separate program: it drives a peer that is under the GPL, runs in an environment of its own, imports nothing
of meterspan, and nothing of meterspan imports it.
"""

import json
import struct
import sys
import time

from gurux_dlms import GXByteBuffer, GXReplyData
from gurux_dlms.enums import Authentication, InterfaceType, Security
from gurux_dlms.objects import (
    GXDLMSCaptureObject,
    GXDLMSClock,
    GXDLMSData,
    GXDLMSProfileGeneric,
    GXDLMSRegister,
)
from gurux_dlms.secure import GXDLMSSecureClient


def main():
    """Decode the profile for some seconds."""
    said, sys.stdout = sys.stdout, sys.stderr
    with open(sys.argv[1]) as file:
        task = json.load(file)
    title = bytes.fromhex(task["title"])
    client = GXDLMSSecureClient(True, 16, 1, Authentication.HIGH_GMAC, None, InterfaceType.WRAPPER)
    client.ciphering.security = Security.AUTHENTICATION_ENCRYPTION
    client.ciphering.blockCipherKey = bytes.fromhex(task["key"])
    client.ciphering.authenticationKey = bytes.fromhex(task["auth_key"])
    client.ciphering.systemTitle = title
    client.settings.sourceSystemTitle = title
    profile = GXDLMSProfileGeneric("1.0.99.1.0.255")
    captured = [GXDLMSClock("0.0.1.0.0.255"), GXDLMSData("0.0.96.10.1.255")]
    captured += [GXDLMSRegister(f"1.0.{number}.8.0.255") for number in (1, 2, 3, 4)]
    for item in captured:
        profile.captureObjects.append((item, GXDLMSCaptureObject(2, 0)))
    apdu = bytes.fromhex(task["octets"])
    frame = struct.pack(">HHHH", 1, 1, 16, len(apdu)) + apdu

    def decode():
        reply = GXReplyData()
        client.getData(GXByteBuffer(frame), reply, GXReplyData())
        client.updateValue(profile, 2, reply.value)
        return profile.buffer

    rows = decode()
    assert [int(value) for value in rows[-1][2:]] == task["last"]
    count, began = 0, time.process_time()
    while (spent := time.process_time() - began) < 4:
        decode()
        count += 1
    said.write(json.dumps({"per_s": count / spent}) + "\n")


if __name__ == "__main__":
    main()
