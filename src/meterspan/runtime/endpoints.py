"""Endpoints as a user writes them: ``tcp://host:port``, ``hdlc+tcp://…``, ``serial:///dev/…?baud=9600``, ``udp://…``.

A text either gives an ``Endpoint`` or an ``EndpointError`` that says what to write instead; nothing is looked up here.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

__all__ = ["LOOPBACK", "Endpoint", "EndpointError", "parse_endpoint"]

LOOPBACK: Final = "127.0.0.1"
"""Where nothing else is said, nobody outside of this machine is talked to."""
_SERIAL: Final = frozenset({"serial", "hex+serial"})
_EXAMPLES: Final = {
    "tcp": "tcp://192.168.1.50:4059",
    "hdlc+tcp": "hdlc+tcp://192.168.1.50:4001",
    "udp": "udp://127.0.0.1:7373",
    "serial": "serial:///dev/ttyUSB0?baud=9600",
    "hex+serial": "hex+serial:///dev/ttyUSB0?baud=38400",
}


class EndpointError(ValueError):
    """The text names no endpoint; the words say what would."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a peer is.

    Attributes:
        scheme: ``tcp``, ``hdlc+tcp``, ``serial``, ``hex+serial`` or ``udp``.
        host: name or address; "" for a serial line.
        port: TCP or UDP port; 0 for a serial line.
        path: device file of a serial line.
        options: what stands behind the question mark.

    """

    scheme: str
    host: str = ""
    port: int = 0
    path: str = ""
    options: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """Write it as a user would, without options."""
        if self.is_serial:
            return f"{self.scheme}://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def is_serial(self) -> bool:
        """Whether it is a serial line on this machine."""
        return self.scheme in _SERIAL

    def number(self, name: str, default: int) -> int:
        """Give an option that is a number.

        Raises:
            EndpointError: it is none.

        """
        text = self.options.get(name)
        if text is None:
            return default
        try:
            return int(text, 0)
        except ValueError as error:
            raise EndpointError(f"{name}={text} is no number") from error


def parse_endpoint(text: str, schemes: Collection[str], *, default_port: int = 0) -> Endpoint:
    """Read an endpoint.

    Args:
        text: as the user wrote it.
        schemes: those that make sense here.
        default_port: where none is written; 0 makes the port compulsory.

    Raises:
        EndpointError: another scheme, no host, no port or no device.

    """
    examples = " or ".join(_EXAMPLES[scheme] for scheme in schemes if scheme in _EXAMPLES)
    parts = urlsplit(text)
    if parts.scheme not in schemes:
        raise EndpointError(f"{text!r} is no endpoint; write {examples}")
    options = dict(parse_qsl(parts.query))
    if parts.scheme in _SERIAL:
        if not parts.path.strip("/"):
            raise EndpointError(f"{text!r} names no serial device; write {_EXAMPLES['serial']}")
        return Endpoint(parts.scheme, path=unquote(parts.path), options=options)
    try:
        port = parts.port or default_port
    except ValueError as error:
        raise EndpointError(f"{text!r}: a port is a number from 1 to 65535") from error
    if not port:
        raise EndpointError(f"{text!r} names no port; write {examples}")
    return Endpoint(parts.scheme, parts.hostname or LOOPBACK, port, options=options)
