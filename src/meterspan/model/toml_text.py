"""Reading TOML that a person wrote: whatever is wrong with it is one kind of error."""

import tomllib
from collections.abc import Callable
from typing import Any

__all__ = ["tables_of"]


def tables_of(text: str, *, parse_float: Callable[[str], Any] = float) -> dict[str, Any]:
    """Return the tables of a TOML text.

    Args:
        text: the text.
        parse_float: reads a number with a fraction.

    Raises:
        tomllib.TOMLDecodeError: it is no TOML, is nested too deep, or has a number of thousands of digits.

    """
    try:
        return tomllib.loads(text, parse_float=parse_float)
    except tomllib.TOMLDecodeError:
        raise
    except RecursionError as error:
        raise tomllib.TOMLDecodeError("it is nested too deep") from error
    except (ValueError, ArithmeticError) as error:  # the interpreter's bound on digits names no line
        raise tomllib.TOMLDecodeError("a number has too many digits") from error
