"""Endpoints as a user writes them: ``tcp://host:port``, ``hdlc+tcp://…``, ``serial:///dev/…?baud=9600``, ``udp://…``.

A text either gives an ``Endpoint`` or an ``EndpointError`` with the text to write instead; nothing is looked up here.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from meterspan.engine.links import TRANSPORTS, Transport, medium_of

__all__ = ["LOOPBACK", "Endpoint", "EndpointError", "is_loopback", "parse_endpoint", "parse_transport"]

LOOPBACK: Final = "127.0.0.1"
"""The default host: no connection leaves this machine."""
_SERIAL: Final = "serial"
_EXAMPLES: Final = {
    "tcp": "tcp://192.168.1.50:2001",
    "udp": "udp://127.0.0.1:7373",
    "serial": "serial:///dev/ttyUSB0?baud=9600",
    "hex+serial": "hex+serial:///dev/ttyUSB0?baud=38400",
}
"""Of schemes that are no transport of a meter's session; those have theirs in ``engine.links.TRANSPORTS``."""


class EndpointError(ValueError):
    """The text names no endpoint; the words say what would."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a peer is.

    Attributes:
        scheme: its last part is the medium: ``tcp``, ``hdlc+tcp``, ``serial``, ``hex+serial``, ``udp``, ….
        host: name or address; "" for a serial line.
        port: TCP or UDP port; 0 for a serial line.
        path: device file of a serial line.
        options: the text after the question mark.

    """

    scheme: str
    host: str = ""
    port: int = 0
    path: str = ""
    options: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """Write it as a user would, without options."""
        return f"{self.scheme}://{self.place}"

    @property
    def place(self) -> str:
        """Host and port, as ``host:port``; the path of a serial line."""
        if self.is_serial:
            return self.path
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def medium(self) -> str:
        """The medium of the octets: ``tcp``, ``udp`` or ``serial``."""
        return medium_of(self.scheme)

    @property
    def is_serial(self) -> bool:
        """Whether it is a serial line on this machine."""
        return self.medium == _SERIAL

    def number(self, name: str, default: int) -> int:
        """Return an option that is a number.

        Raises:
            EndpointError: it is not an endpoint.

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
    return _parse(text, {scheme: _EXAMPLES.get(scheme, "") for scheme in schemes}, lambda _scheme: default_port)


def parse_transport(text: str, transports: Mapping[str, Transport] = TRANSPORTS, *, is_own: bool = False) -> Endpoint:
    """Read the endpoint of a meter's session; where no port is written, it is the transport's own.

    Args:
        text: as the user wrote it.
        transports: those that make sense here, by scheme.
        is_own: it is to be listened at, so port 0 means any that is free.

    Raises:
        EndpointError: another scheme, no host, no port or no device.

    """
    examples = {scheme: transport.example for scheme, transport in transports.items()}
    return _parse(text, examples, lambda scheme: transports[scheme].port, is_own=is_own)


def _parse(
    text: str, examples: Mapping[str, str], default_port: Callable[[str], int], *, is_own: bool = False
) -> Endpoint:
    words = " or ".join(filter(None, examples.values()))
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise EndpointError(f"{text!r} is no endpoint ({error}); write {words}") from error
    if parts.scheme not in examples:
        raise EndpointError(f"{text!r} is no endpoint; write {words}")
    options = dict(parse_qsl(parts.query))
    if Endpoint(parts.scheme).is_serial:
        if not parts.path.strip("/"):
            raise EndpointError(f"{text!r} names no serial device; write {examples[parts.scheme]}")
        return Endpoint(parts.scheme, path=unquote(parts.path), options=options)
    try:
        port = parts.port if parts.port is not None else default_port(parts.scheme)
    except ValueError as error:
        raise EndpointError(f"{text!r}: a port is a number from 1 to 65535") from error
    if not port and not (is_own and parts.port is not None):
        raise EndpointError(f"{text!r} names no port; write {words}")
    return Endpoint(parts.scheme, parts.hostname or LOOPBACK, port, options=options)


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach what listens at ``host``; of a name, only ``localhost`` is known."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
