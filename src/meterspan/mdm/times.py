"""UTC seconds and aware datetimes."""

from datetime import UTC, datetime, timedelta

__all__ = ["DAY_S", "seconds", "utc"]

DAY_S = 86_400


def seconds(moment: datetime) -> int:
    """Return the UTC seconds of an aware datetime, cut to whole seconds.

    Raises:
        ValueError: it is naive.

    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} is naive; attach a zone")
    return int(moment.timestamp())


def utc(time: int) -> datetime:
    """Return the aware datetime of UTC seconds."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=time)
