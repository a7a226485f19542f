"""Counter recovery: what a head end does when a device says that it has seen higher invocation counters than ours.

What a device says in an exception or a refusal is not authenticated. So the next session tries the counter, and only an
answer under the device's key keeps it (``SecurityContext.try_counter``); tries are bounded, also over restarts, and a
device that asks again and again without proof raises an alarm.
"""

from collections import deque
from dataclasses import replace
from struct import Struct
from typing import Final

from meterspan.engine.security import SecurityContext
from meterspan.head_end.contexts import ContextCache
from meterspan.head_end.system import HeadEnd
from meterspan.model.failures import Failure, FailureKind
from meterspan.model.ports import StateStore
from meterspan.model.readings import EventSeverity
from meterspan.quantities import DAY_S
from meterspan.wire.errors import SecurityError

__all__ = ["TRIES_A_DAY_MAX", "CounterRecovery"]

TRIES_A_DAY_MAX: Final = 3
"""Recoveries of one device within 24 hours: one is enough for a restored head end, the others for a bad line."""
_TIME: Final = Struct(">q")
"""A time of a try as it is kept: UTC seconds."""


class CounterRecovery:
    """Recovers the counters of the devices of one head end.

    Args:
        head_end: whose devices these are.
        contexts: their security contexts.
        state: keeps when a device was tried; None forgets it at the end of the program.

    """

    def __init__(self, head_end: HeadEnd, contexts: ContextCache, state: StateStore | None = None) -> None:
        self._head_end = head_end
        self._contexts = contexts
        self._state = state
        self._tries: dict[str, deque[float]] = {}
        self._trying: dict[str, SecurityContext] = {}

    def settled(self, target: str, failure: Failure | None, now: float) -> Failure | None:
        """Note how a session ended, and prepare the next one where our counter was behind.

        Args:
            target: the device that the session was held with.
            failure: why it failed, None where it did not.
            now: UTC seconds.

        Returns:
            The failure; of another kind where the device's counter is not tried (any more).

        """
        self._settle_try(target, now)
        if failure is None or failure.counter is None:
            return failure
        tries = self._tries_of(target)
        if sum(0 <= now - at < DAY_S for at in tries) == TRIES_A_DAY_MAX:
            detail = f"counter {failure.counter} was asked for after {TRIES_A_DAY_MAX} recoveries within a day"
            return self._refused(target, failure, detail, now)
        tries.append(now)
        self._keep(target, tries)
        return self._try(target, failure, failure.counter, now)

    def _tries_of(self, target: str) -> deque[float]:
        if target not in self._tries:
            kept = b"" if self._state is None else self._state.load(_kept_name(target)) or b""
            times = [float(time) for (time,) in _TIME.iter_unpack(kept[: len(kept) // _TIME.size * _TIME.size])]
            self._tries[target] = deque(times, maxlen=TRIES_A_DAY_MAX)
        return self._tries[target]

    def _keep(self, target: str, tries: deque[float]) -> None:
        if self._state is not None:
            self._state.save(_kept_name(target), b"".join(_TIME.pack(int(time)) for time in tries))

    def _try(self, target: str, failure: Failure, counter: int, now: float) -> Failure:
        device = self._head_end.inventory.get(target)
        if device is None:
            return failure
        context = self._contexts.of(device)
        try:
            context.try_counter(counter)
        except SecurityError as error:
            return self._refused(target, failure, str(error), now)
        if context.is_trying_counter:
            self._trying[target] = context
            self._head_end.note(target, "counter", f"The next session tries invocation counter {counter}", now)
        else:
            self._head_end.note(target, "counter", "Our invocation counter is above the one that it expects", now)
        return failure

    def _settle_try(self, target: str, now: float) -> None:
        context = self._trying.pop(target, None)
        if context is None:
            return
        if context.is_trying_counter:
            context.drop_tried_counter()
            title = "No answer under its key confirmed the invocation counter that it asked for; ours stays"
            self._head_end.note(target, "counter", title, now, severity=EventSeverity.WARNING)
        else:
            self._head_end.note(target, "counter", "Our invocation counter was raised to the one that it expects", now)

    def _refused(self, target: str, failure: Failure, detail: str, now: float) -> Failure:
        title = "It asks for invocation counters that nothing confirms"
        self._head_end.note(target, "counter", title, now, detail, severity=EventSeverity.ALARM)
        return replace(failure, kind=FailureKind.COUNTER_UNPROVED, detail=detail)


def _kept_name(target: str) -> str:
    return f"counter tries/{target}"
