"""Why an on-demand read is not taken, beside a meter that is not known (``lookup_errors``)."""

__all__ = ["NotAskedError", "TooManyOrdersError"]


class NotAskedError(Exception):
    """The meter sends by itself or was removed: no session is held with it, so it cannot be read on demand.

    Attributes:
        device: the meter.

    """

    def __init__(self, device: str) -> None:
        super().__init__(f"no session is held with {device}")
        self.device = device


class TooManyOrdersError(Exception):
    """As many orders wait as may wait; the order was not taken.

    Attributes:
        waiting: how many wait.
        device: the meter they are for; "" where the bound of all meters together is reached.

    """

    def __init__(self, waiting: int, device: str = "") -> None:
        super().__init__(f"{waiting} orders wait {f'for {device}' if device else 'in all'}")
        self.waiting = waiting
        self.device = device
