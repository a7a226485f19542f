"""Structured logs on standard error: one line per event with its fields, for people or as JSON.

This module imports of meterspan only a function: ``logging`` ends after all others at the end of a process, and what it
holds on to would be taken down too late.
"""

import json
import logging
from datetime import UTC, datetime
from typing import Any, Final

from meterspan.model.plain_text import printable

__all__ = ["log_to_stderr"]


def log_to_stderr(*, as_json: bool, verbose: bool) -> None:
    """Write logs of meterspan to standard error, one line per event, with its fields; never secrets or readings."""
    handler = logging.StreamHandler()
    handler.setFormatter(_JsonLines() if as_json else _Plain())
    log = logging.getLogger("meterspan")
    log.handlers[:] = [handler]
    log.setLevel(logging.DEBUG if verbose else logging.INFO)
    log.propagate = False


_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _escaped(text: str) -> str:
    """Return JSON with the escape of each letter that is not printable (RFC 8259, 7)."""
    if printable(text) == text:
        return text
    return "".join(letter if printable(letter) == letter else json.dumps(letter)[1:-1] for letter in text)


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """Write one JSON object."""
        fields = {"time": _time(record), "level": record.levelname.lower(), "event": record.getMessage()}
        fields |= _fields(record)
        if record.exc_info:
            fields["fault"] = self.formatException(record.exc_info)
        return _escaped(json.dumps(fields, default=str, ensure_ascii=False))


class _Plain(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """Write a line for people."""
        fields = "  ".join(f"{name}={value}" for name, value in _fields(record).items()).replace("\n", " ")
        line = f"{_time(record)[11:19]}  {record.levelname.lower():7}  {record.getMessage()}"
        fault = f"\n{self.formatException(record.exc_info)}" if record.exc_info else ""
        return printable((f"{line}  {fields}" if fields else line) + fault)
