"""Why something could not be opened or read, in words that a person is shown."""

__all__ = ["reason_of", "trouble_of"]


def reason_of(error: BaseException) -> str:
    """Return why, without the number of the system's error and without the name of the file."""
    if isinstance(error, UnicodeDecodeError):
        return f"is no UTF-8 text (octet {error.start})"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[:1].lower() + error.strerror[1:]
    return str(error) or type(error).__name__


def trouble_of(error: BaseException) -> str:
    """Return why, behind the name of the file where the system's error has one."""
    named = getattr(error, "filename", None) if isinstance(error, OSError) else None
    return reason_of(error) if named is None else f"{named}: {reason_of(error)}"
