"""A district that catches up with the present and then lives in it, in a thread of its own, beside a web server.

Strategy: virtual time is run in short slices under one lock, which the operator's views take too; so a page never sees
a half-changed head end, and never waits long. While the district catches up, its clock is the page's clock: a time
lapse. From the present on, slices follow the wall clock.
"""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from meterspan.runtime.clock import SystemClock
from meterspan.sim.district import District

__all__ = ["LivingDistrict"]

SLICE_S: Final = 120.0
"""Virtual seconds under the lock at once: some 40 ms for 24 homes."""
PAUSE_S: Final = 0.5
"""Between looks at the wall clock."""
SETTLE_EVERY_S: Final = 6 * 3_600.0


class LivingDistrict:
    """Runs a district in a thread.

    Args:
        district: not started.
        clock: the wall clock.
        on_progress: called with the virtual time reached, until the present is.

    """

    def __init__(
        self, district: District, clock: SystemClock, *, on_progress: Callable[[float], object] = lambda _now: None
    ) -> None:
        self.district = district
        self.lock = threading.Lock()
        self.caught_up = threading.Event()
        self.fault: BaseException | None = None
        self._clock = clock
        self._on_progress = on_progress
        self._stop = threading.Event()
        self._settled_at = district.now
        self._thread = threading.Thread(target=self._live, name="district", daemon=True)

    def now(self) -> datetime:
        """Return the time of the pages: the district's until it has caught up, the wall clock's from then on."""
        return self._clock.utc() if self.caught_up.is_set() else datetime.fromtimestamp(self.district.now, UTC)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the slice under way."""
        self._stop.set()
        self._thread.join()

    def _live(self) -> None:
        try:
            self.district.watch_displays()
            self._catch_up()
            while not self._stop.wait(PAUSE_S):
                now = self._clock()
                while self.district.now < now and not self._stop.is_set():  # several slices after a long sleep
                    self._run(min(self.district.now + SLICE_S, now))
        except Exception as error:  # noqa: BLE001 (the thread's owner reports it and ends)
            self.fault = error

    def _catch_up(self) -> None:
        while not self._stop.is_set():
            now = self._clock()
            if self.district.now >= now - 1.0:
                with self.lock:
                    self.district.go_live()
                self.caught_up.set()
                self._on_progress(now)
                return
            self._run(min(self.district.now + SLICE_S, now))
            self._on_progress(self.district.now)
            time.sleep(0.001)  # lets a page that waits for the lock have it

    def _run(self, until: float) -> None:
        with self.lock:
            self.district.run_until(until)
        if until - self._settled_at >= SETTLE_EVERY_S:
            self._settled_at = until
            self.district.data.maintain(datetime.fromtimestamp(until, UTC))
