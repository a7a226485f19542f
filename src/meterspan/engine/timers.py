"""Deadlines as every machine holds them: UTC seconds, or None where nothing is due."""

__all__ = ["earliest", "is_due"]


def is_due(deadline: float | None, now: float) -> bool:
    """Return whether a deadline is reached."""
    return deadline is not None and now >= deadline


def earliest(*deadlines: float | None) -> float | None:
    """Return the deadline that is reached first, or None if no deadline is set."""
    return min((deadline for deadline in deadlines if deadline is not None), default=None)
