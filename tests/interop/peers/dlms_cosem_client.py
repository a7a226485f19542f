"""Drive dlms-cosem 21.3 (MIT) as a DLMS client and print what it reads as JSON.

A separate program in an environment of its own: it imports nothing of meterspan, and nothing of meterspan imports it.
Its argument is a JSON object: see ``main``. Over HDLC it gets a serial port that is a TCP socket.
"""

import importlib
import json
import sys
import traceback
from datetime import datetime, timezone

import serial
from dlms_cosem import cosem, dlms_data, security, utils
from dlms_cosem import enumerations as enums
from dlms_cosem.clients.dlms_client import DlmsClient
from dlms_cosem.clients.hdlc_transport import SerialHdlcTransport
from dlms_cosem.cosem.capture_object import CaptureObject
from dlms_cosem.cosem.selective_access import EntryDescriptor, RangeDescriptor
from dlms_cosem.protocol import xdlms

INTERFACE = enums.CosemInterface


def attribute(kind, name, number):
    """Name an attribute."""
    return cosem.CosemAttribute(interface=kind, instance=cosem.Obis.from_string(name), attribute=number)


def register(name, number):
    """Name an attribute of a register."""
    return attribute(INTERFACE.REGISTER, name, number)


CLOCK = attribute(INTERFACE.CLOCK, "0.0.1.0.0.255", 2)
PROFILE = attribute(INTERFACE.PROFILE_GENERIC, "1.0.99.1.0.255", 2)
LIMITER = attribute(INTERFACE.LIMITER, "0.0.17.0.0.255", 4)
ENERGY = "1.0.1.8.0.255"
METHODS = {"disconnect": 1, "reconnect": 2}


def client_of(task):
    """Make the client of a task, with its transport."""
    way, ports = task["authentication"], {"client_logical_address": task["client"], "server_logical_address": 1}
    options = dict(ports)
    if way == "lls":
        options |= {"authentication_method": enums.AuthenticationMechanism.LLS, "password": task["password"].encode()}
    if way == "gmac":
        options |= {
            "authentication_method": enums.AuthenticationMechanism.HLS_GMAC,
            "encryption_key": bytes.fromhex(task["key"]),
            "authentication_key": bytes.fromhex(task["auth_key"]),
            "client_system_title": bytes.fromhex(task["title"]),
            "client_initial_invocation_counter": task["counter"],
            "dedicated_ciphering": bool(task.get("dedicated")),
        }
    if task["link"] == "wrapper":
        return DlmsClient.with_tcp_transport(host="127.0.0.1", port=task["port"], **options)
    line = serial.serial_for_url(f"socket://127.0.0.1:{task['port']}", timeout=5)
    transport = SerialHdlcTransport(**ports, server_physical_address=17, serial_port="", serial=line)
    return DlmsClient(io_interface=transport, **options)


def plain(value):
    """Return a value as JSON can hold it."""
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value.hex() if isinstance(value, (bytes, bytearray)) else value


def read(client, what, access=None):
    """Read an attribute and decode it."""
    return plain(utils.parse_as_dlms_data(client.get(what, access)))


def between(start, end, columns=None):
    """Select a profile's rows between two instants, and of them some columns."""
    clock = CaptureObject(cosem_attribute=CLOCK, data_index=0)
    bounds = [datetime.fromtimestamp(at, timezone.utc) for at in (start, end)]
    return RangeDescriptor(restricting_object=clock, from_value=bounds[0], to_value=bounds[1], selected_values=columns)


def do(client, what, task):
    """Do one thing of a task."""
    if what == "clock":
        return read(client, CLOCK)
    if what == "registers":
        return {name: [read(client, register(name, number)) for number in (2, 3)] for name in task["registers"]}
    if what == "view":
        view = read(client, attribute(INTERFACE.ASSOCIATION_LN, "0.0.40.0.0.255", 2))
        return [[entry[0], entry[2]] for entry in view]
    if what == "whole":
        return read(client, PROFILE)
    if what == "profile":
        return read(client, PROFILE, between(*task["range"]))
    if what == "columns":
        return read(client, PROFILE, between(*task["range"], [CaptureObject(cosem_attribute=CLOCK, data_index=0)]))
    if what == "entries":
        return read(client, PROFILE, EntryDescriptor(3, 6))
    if what == "push_setup":
        return [read(client, attribute(INTERFACE.PUSH, "0.0.25.9.0.255", number)) for number in range(2, 8)]
    if what == "list":
        asked = [CLOCK, register(ENERGY, 2), register(ENERGY, 3)]
        answer = client.get_many([cosem.CosemAttributeWithSelection(item, None) for item in asked])
        return plain([item.value for item in answer.response_data])
    if what == "set_limiter":
        client.set(LIMITER, dlms_data.DoubleLongUnsignedData(task["limit"]).to_bytes())
        return read(client, LIMITER)
    if what in METHODS:
        switch = cosem.Obis.from_string("0.0.96.3.10.255")
        client.action(cosem.CosemMethod(INTERFACE.DISCONNECT_CONTROL, switch, METHODS[what]), b"\x0f\x00")
        return read(client, attribute(INTERFACE.DISCONNECT_CONTROL, "0.0.96.3.10.255", 2))
    if what == "write_register":
        answer = client.set(register(ENERGY, 2), b"\x06\0\0\0\5")
        return answer.result.name
    if what in ("unknown", "wrong_class"):
        wrong = attribute(INTERFACE.DATA, ENERGY if what == "wrong_class" else "9.9.9.9.9.255", 2)
        return refusal(lambda: client.get(wrong))
    raise ValueError(what)


def refusal(step):
    """Return the words in which the peer reports a refusal."""
    try:
        step()
    except Exception as error:  # the peer has several classes for this
        return f"{type(error).__name__}: {error}"
    return "not refused"


def run(task):
    """Do what is asked, in one association."""
    client, told = client_of(task), {}
    client.connect()
    if task.get("max_pdu"):
        client.dlms_connection.max_pdu_size = task["max_pdu"]
    client.associate()
    client.dlms_connection.max_pdu_size = 65535  # it takes the size for what it may send, too
    for what in task["do"]:
        told[what] = do(client, what, task)
    if task.get("release", True):
        told["release"] = type(client.release_association()).__name__
    if task["link"] == "wrapper" or task.get("disconnect"):
        client.disconnect()
    return told


def open_push(task):
    """Decipher and read a general-glo-ciphered DataNotification from its octets."""
    ciphered = xdlms.GeneralGlobalCipher.from_bytes(bytes.fromhex(task["apdu"]))
    octets = security.decrypt(
        security_control=ciphered.security_control,
        system_title=ciphered.system_title,
        invocation_counter=ciphered.invocation_counter,
        key=bytes.fromhex(task["key"]),
        cipher_text=ciphered.ciphered_text,
        auth_key=bytes.fromhex(task["auth_key"]),
    )
    return {"push": plain(utils.parse_as_dlms_data(xdlms.DataNotification.from_bytes(octets).body))}


def lacks(names):
    """Return which of the names (module:attribute) the peer does not have."""
    found = []
    for name in names:
        module, _, path = name.partition(":")
        try:
            item = importlib.import_module(module)
            for part in path.split("."):
                item = getattr(item, part)
        except (ImportError, AttributeError):
            found.append(name)
    return {"lacks": found}


def main():
    """Run the task of the command line; what fails is told as JSON too."""
    sys.stdout = sys.stderr
    task = json.loads(sys.argv[1])
    try:
        if "data" in task:
            told = {"data": plain(utils.parse_as_dlms_data(bytes.fromhex(task["data"])))}
        elif "apdu" in task:
            told = open_push(task)
        elif "names" in task:
            told = lacks(task["names"])
        else:
            told = run(task)
    except Exception as error:  # whatever goes wrong in the peer is a result of the test
        traceback.print_exc()
        told = {"failed": f"{type(error).__name__}: {error}"}
    sys.__stdout__.write(json.dumps(told, default=str))


if __name__ == "__main__":
    main()
