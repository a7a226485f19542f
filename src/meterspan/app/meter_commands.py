"""Changes of meters from the command line: at a running portal over HTTP, or on the data folder of a stopped program.

Both go the same way: ``CentralSystem.change`` plans, tries and makes the change, and the answer is the JSON of the API.
"""

import http.client
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from meterspan.app.central_system import CentralSystem
from meterspan.app.start_check import StartSource, check_start, read_source
from meterspan.model.meter_changes import ChangeKind, ChangeWish
from meterspan.model.reasons import reason_of
from meterspan.portal.payloads import json_of
from meterspan.runtime.clock import SystemClock
from meterspan.runtime.config import ServeConfig
from meterspan.runtime.inventory_file import holds_keys, inventory_path
from meterspan.runtime.master_key import load_master_key
from meterspan.store.directory_lock import is_in_use

__all__ = ["CommandFailedError", "MeterPortal", "change_at_rest"]

ANSWER_S: Final = 60.0
POLL_S: Final = 0.5
ANSWER_OCTETS_MAX: Final = 1 << 26
"""Octets of one answer: ten thousand meters with all that is known of them take some ten million."""
_METER: Final = {"device": str, "state": str, "usage_point": str, "reason": str}
_CHANGE: Final = {"text": str, "notes": list}
_ORDER: Final = {"order_id": int, "state": str, "reason": str, "values": list}
_VALUE: Final = {"name": str, "value": object, "unit": str}
"""The fields of an answer that are shown."""


class CommandFailedError(Exception):
    """A command about a meter failed; the words say why and what to do."""


@dataclass(frozen=True, slots=True)
class MeterPortal:
    """The API of a running program.

    Attributes:
        url: of its portal, without user and password.

    Raises:
        ValueError: it is no address of a portal; the words repeat nothing of it.

    """

    url: str

    def __post_init__(self) -> None:
        try:
            parts = urllib.parse.urlsplit(self.url)
            is_address = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_address = False
        if not is_address or "@" in self.url or not (self.url.isascii() and self.url.isprintable()) or " " in self.url:
            raise ValueError("is no address like http://127.0.0.1:8080, which has neither user nor password")

    def meters(self) -> list[dict[str, Any]]:
        """List all meters, worst first.

        Raises:
            CommandFailedError: nobody answers, or another program.

        """
        found = self._ask("GET", "/meters?limit=10000")
        if not isinstance(found, list):
            raise self._another()
        return [self._checked(item, _METER) for item in found]

    def change(self, wish: ChangeWish) -> dict[str, Any]:
        """Make a change; return it as the API does.

        Raises:
            CommandFailedError: it was refused, or nobody answers, or another program.

        """
        method, path, body = _request(wish)
        changed = self._checked(self._ask(method, path, body), _CHANGE)
        if not all(isinstance(note, str) for note in changed["notes"]):
            raise self._another()
        return changed

    def read(self, device: str, deadline_s: float, author: str) -> dict[str, Any]:
        """Have a meter read now; return the order once it has ended.

        Raises:
            CommandFailedError: it was refused, or nobody answers, or another program, or the order does not end.

        """
        body = {"deadline_s": deadline_s, "by": author}
        until = time.monotonic() + deadline_s + ANSWER_S
        order = self._checked(self._ask("POST", f"/meters/{_quoted(device)}/orders", body), _ORDER)
        while order["state"] == "waiting":
            if time.monotonic() > until:
                raise CommandFailedError(f"the order of {device} has not ended after {deadline_s + ANSWER_S:.0f} s")
            time.sleep(POLL_S)
            order = self._checked(self._ask("GET", f"/orders/{order['order_id']}"), _ORDER)
        for value in order["values"]:
            self._checked(value, _VALUE)
        return order

    def _checked(self, found: object, fields: Mapping[str, type]) -> dict[str, Any]:
        """Return a table of the answer, whose fields have these types."""
        if isinstance(found, dict) and all(
            name in found and isinstance(found[name], kind) for name, kind in fields.items()
        ):
            return found
        raise self._another()

    def _another(self) -> CommandFailedError:
        return CommandFailedError(f"what answers at {self.url} is no portal of meterspan, or one of another release")

    def _ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:
        """Return the JSON of an answer."""
        octets = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310 - http or https: checked at the beginning
            f"{self.url.rstrip('/')}/api/v1/operator{path}", octets, {"Content-Type": "application/json"}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_S) as answer:  # noqa: S310 - likewise
                found = answer.read(ANSWER_OCTETS_MAX)
        except urllib.error.HTTPError as error:
            raise CommandFailedError(_words(error)) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", error)
            why = reason_of(reason) if isinstance(reason, Exception) else reason
            words = f"nobody answers at {self.url} ({why}); does meterspan serve run there?"
            raise CommandFailedError(words) from error
        try:
            return json.loads(found)
        except (ValueError, RecursionError) as error:
            raise self._another() from error


def change_at_rest(source: StartSource, wish: ChangeWish) -> dict[str, Any]:
    """Make a change in the data folder of a program that does not run; return it as the API does.

    Args:
        source: the configuration, or the folder alone.
        wish: what is asked for.

    Raises:
        ChangeRefusedError: it cannot be made; nothing was changed.
        UnknownMeterError: no such meter.
        CommandFailedError: a program runs on the folder.
        ConfigError: the configuration or the folder cannot be used.
        MasterKeyError: the file of the master key cannot be used.
        StorageError: the data cannot be opened.

    """
    clock = SystemClock()
    plan = check_start(replace(source, adjust=lambda config: _alone(source.adjust(config))), clock())
    config = plan.config
    if is_in_use(config.data / "data" / "readings"):
        raise CommandFailedError(f"a program runs on {config.data}: give the URL of its portal, or stop it first")
    if not inventory_path(config.data).exists():
        raise CommandFailedError(f"{config.data} is no data folder of meterspan serve: no program has run on it yet")
    secret = load_master_key(plan.master_key, config.data, wraps=lambda: holds_keys(inventory_path(config.data)))
    system = CentralSystem(config, keys=plan.keys, master_key=secret, tariffs=(), clock=clock)
    try:
        declared = read_source(source)[0].config
        system.config = replace(config, meters=declared.meters, access_points=declared.access_points)
        return dict(json.loads(json_of(system.change(wish, plan.keys, _here))))
    finally:
        system.close()


def _alone(config: ServeConfig) -> ServeConfig:
    """Return a configuration that changes no meter, and listens nowhere."""
    quiet = replace(config.portal, port=0), replace(config.push, port=0, places=())
    return replace(
        config, portal=quiet[0], push=quiet[1], homes=(), meters=(), access_points=(), exchanges=(), tariffs=None
    )


def _here(question: Callable[[], Any]) -> Any:
    return question()


def _request(wish: ChangeWish) -> tuple[str, str, dict[str, object] | None]:
    """Return method, path and body of a wish at the API."""
    path, common = f"/meters/{_quoted(wish.device)}", {"by": wish.author}
    at = {} if wish.at is None else {"at": wish.at.isoformat()}
    closing, opening = {"closing": list(wish.closing)}, {"opening": list(wish.opening)}
    entry = {"entry": dict(wish.entry or {})}
    match wish.kind:
        case ChangeKind.ADD:
            return "POST", "/meters", {**common, **at, **entry, **opening}
        case ChangeKind.EXCHANGE:
            return "POST", f"{path}/exchange", {**common, **at, **entry, **closing, **opening}
        case ChangeKind.MOVE:
            places = {"home": wish.home, "usage_point": wish.usage_point}
            return "POST", f"{path}/move", {**common, **at, **places, **closing}
        case ChangeKind.REMOVE:
            return "POST", f"{path}/removal", {**common, **at, **closing}
        case ChangeKind.DELETE:
            return "DELETE", f"{path}?by={urllib.parse.quote(wish.author)}", None


def _quoted(device: str) -> str:
    return urllib.parse.quote(device, safe="")


def _words(error: urllib.error.HTTPError) -> str:
    try:
        problem = json.loads(error.read(ANSWER_OCTETS_MAX))
        return f"{problem['detail']} {problem['remedy']}"
    except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError, RecursionError):
        return f"the portal answers {error.code}"
