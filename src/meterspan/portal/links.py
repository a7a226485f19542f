"""Names in addresses: every name that is stored has an address of its own, also one that no meter or home may get now.

Strategy: a name is one part of a path, quoted whole (RFC 3986, 2.1), so that ``a/b`` is ``a%2Fb``. ``WholeNames`` keeps
the parts of the path apart as they were sent, and ``{device:name}`` in a route is such a part, read back.
"""

from typing import Final
from urllib.parse import quote, unquote

from markupsafe import Markup
from starlette.convertors import Convertor, register_url_convertor
from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["WholeNames", "href", "quoted"]

_WITHOUT_ADDRESS: Final = frozenset({"", ".", ".."})
"""Browsers take these parts out of a path, quoted or not (WHATWG URL, 4.4)."""


def quoted(name: str) -> str:
    """Return a name as one part of a path, or as a value of a query."""
    return quote(name, safe="", errors="replace")


def href(name: str, folder: str) -> Markup:
    """Return the attribute that makes an element the link to a name's page; empty where no address leads there.

    Args:
        name: of a home or meter.
        folder: path of the pages of which the name's is one, with ``/`` at its end.

    """
    return Markup() if name in _WITHOUT_ADDRESS else Markup(' href="{}{}"').format(folder, quoted(name))


class WholeNames:
    """Middleware: a ``/`` in a name does not divide the path.

    In the path that routes see ``/`` within a part is ``%2F``, and ``%`` is ``%25``.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with the parts of its path apart."""
        await self.app({**scope, "path": _path(scope)} if scope["type"] == "http" else scope, receive, send)


def _path(scope: Scope) -> str:
    sent = scope.get("raw_path")
    if sent is None:
        return str(scope["path"]).replace("%", "%25")
    parts = sent.partition(b"?")[0].decode("latin-1").split("/")
    return "/".join(unquote(part).replace("%", "%25").replace("/", "%2F") for part in parts)


class _NameConvertor(Convertor[str]):
    """One part of a path as ``WholeNames`` writes it."""

    regex = "[^/]+"

    def convert(self, value: str) -> str:
        return unquote(value)

    def to_string(self, value: str) -> str:
        return quoted(value)


register_url_convertor("name", _NameConvertor())
