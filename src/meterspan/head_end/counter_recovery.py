"""Counter recovery: what a head end does when a device says that it has seen higher invocation counters than ours.

What a device says in an exception or a refusal is not authenticated. So the next session tries the counter, and only an
answer under the device's key keeps it (``SecurityContext.try_counter``); tries are bounded, and a device that asks
again and again without proof raises an alarm.
"""

from collections import deque
from dataclasses import replace
from typing import Final

from meterspan.engine.security import SecurityContext
from meterspan.head_end.contexts import ContextCache
from meterspan.head_end.system import HeadEnd
from meterspan.model.failures import Failure, FailureKind
from meterspan.model.readings import EventSeverity
from meterspan.quantities import DAY_S
from meterspan.wire.errors import SecurityError

__all__ = ["TRIES_A_DAY_MAX", "CounterRecovery"]

TRIES_A_DAY_MAX: Final = 3
"""Recoveries of one device within 24 hours: one is enough for a restored head end, the others for a bad line."""


class CounterRecovery:
    """Recovers the counters of the devices of one head end.

    Args:
        head_end: whose devices these are.
        contexts: their security contexts.

    """

    def __init__(self, head_end: HeadEnd, contexts: ContextCache) -> None:
        self._head_end = head_end
        self._contexts = contexts
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
        tries = self._tries.setdefault(target, deque(maxlen=TRIES_A_DAY_MAX))
        if len(tries) == TRIES_A_DAY_MAX and now - tries[0] < DAY_S:
            detail = f"counter {failure.counter} was asked for after {TRIES_A_DAY_MAX} recoveries within a day"
            return self._refused(target, failure, detail, now)
        tries.append(now)
        return self._try(target, failure, failure.counter, now)

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
