"""Peers as processes of their own environment, and sessions of ours held with them over TCP."""

import asyncio
import json
import os
import secrets
import subprocess
from contextlib import contextmanager
from pathlib import Path

from meterspan.engine.association.client import ClientAssociation
from meterspan.engine.association.records import AssociationSettings
from meterspan.engine.hdlc.config import HdlcConfig
from meterspan.engine.hdlc.link import HdlcLink
from meterspan.engine.link import Role
from meterspan.engine.security import SecurityContext, SecurityKeys
from meterspan.engine.session import Session, SessionDone, SessionFailed
from meterspan.engine.wrapper_link import WrapperConfig, WrapperLink
from meterspan.runtime.clock import SystemClock
from meterspan.runtime.shell import StreamShell
from meterspan.wire.acse import AuthenticationMechanism
from meterspan.wire.hdlc import HdlcAddress
from tests.memory import MemoryState

ROOT = Path(__file__).parents[2]
PEERS = Path(__file__).parent / "peers"
PEER_PYTHON = ROOT / ".venv" / "peers" / "bin" / "python"
PATIENCE_S = 60

KEY, AUTH_KEY = bytes(range(16)), bytes(range(0xD0, 0xE0))
PASSWORD = "open sesame"  # noqa: S105 - a test key
CLIENT_TITLE = b"GUR\0\0\0\0\1"
SERVER_TITLE = b"GRX\0\0\0\0\2"

CLIENTS = {"none": 16, "lls": 2, "gmac": 1}
SETTINGS = {
    "none": AssociationSettings(),
    "lls": AssociationSettings(AuthenticationMechanism.LLS, PASSWORD.encode()),
    "gmac": AssociationSettings(AuthenticationMechanism.HLS_GMAC, ciphered=True),
}


@contextmanager
def started(*command):
    """Run a program until the block ends, by closing its stdin or else by a signal; gives the JSON it says first."""
    with subprocess.Popen(
        [str(part) for part in command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT)))},
        text=True,
    ) as process:
        try:
            first = process.stdout.readline()
            assert first, process.communicate(timeout=PATIENCE_S)[1]
            yield json.loads(first)
        finally:
            process.stdin.close()
            process.stdin = None
            try:
                process.communicate(timeout=1)
            except subprocess.TimeoutExpired:
                process.terminate()
                process.communicate(timeout=10)


def hold(port, link, way, script, *, key=KEY, settings=None):
    """Run one script of ours in a session over TCP, and give its ending."""
    security = None
    if way == "gmac":
        security = SecurityContext(CLIENT_TITLE, SecurityKeys(key, AUTH_KEY), counters=MemoryState())
    association = ClientAssociation(
        _link(link, CLIENTS[way]), settings or SETTINGS[way], security=security, entropy=secrets.token_bytes
    )
    return asyncio.run(_hold(Session(association, script, timeout_s=5), port))


async def _hold(session, port):
    loop, clock, events = asyncio.get_running_loop(), SystemClock(), []
    ended = loop.create_future()

    def on_event(event):
        events.append(event)
        if isinstance(event, SessionDone | SessionFailed) and not ended.done():
            ended.set_result(event)

    _, shell = await loop.create_connection(lambda: StreamShell(session, clock, on_event), "127.0.0.1", port)
    session.start(clock())
    shell.pump()
    try:
        return await asyncio.wait_for(ended, PATIENCE_S)
    finally:
        shell.close()


def _link(kind, client):
    if kind == "hdlc":
        return HdlcLink(Role.CLIENT, HdlcConfig(HdlcAddress(client), HdlcAddress.server(1, 17)))
    return WrapperLink(Role.CLIENT, WrapperConfig(client, 1))
