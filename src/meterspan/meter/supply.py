"""The supply side of a meter: disconnect control (IEC 62056-6-2, 4.5.8) and limiter (4.5.9).

The control modes' legality is a table. The limiter opens the switch when the monitored power stays above the active
threshold for longer than allowed; reconnection follows the control mode.
"""

from dataclasses import dataclass
from enum import IntEnum

__all__ = ["ControlState", "PowerLimiter", "Switch", "SwitchTrigger"]


class ControlState(IntEnum):
    """control_state of disconnect control."""

    DISCONNECTED = 0
    CONNECTED = 1
    READY_FOR_RECONNECTION = 2


class SwitchTrigger(IntEnum):
    """The triggers of the switch."""

    REMOTE_DISCONNECT = 0
    REMOTE_RECONNECT = 1
    MANUAL_DISCONNECT = 2
    MANUAL_RECONNECT = 3
    LOCAL_DISCONNECT = 4
    LOCAL_RECONNECT = 5


_OFF, _ON, _READY = ControlState
_REMOTE_OFF, _REMOTE_ON, _MANUAL_OFF, _MANUAL_ON, _LOCAL_OFF, _LOCAL_ON = SwitchTrigger
_FALLS = {(_ON, _REMOTE_OFF): _OFF, (_READY, _REMOTE_OFF): _OFF, (_ON, _LOCAL_OFF): _READY}
_MANUAL = {(_READY, _MANUAL_ON): _ON}
TRANSITIONS: dict[int, dict[tuple[ControlState, SwitchTrigger], ControlState]] = {
    0: {},
    1: _FALLS | _MANUAL | {(_OFF, _REMOTE_ON): _READY, (_ON, _MANUAL_OFF): _READY},
    2: _FALLS | _MANUAL | {(_OFF, _REMOTE_ON): _ON, (_ON, _MANUAL_OFF): _READY, (_READY, _REMOTE_ON): _ON},
    3: _FALLS | _MANUAL | {(_OFF, _REMOTE_ON): _READY},
    4: _FALLS | _MANUAL | {(_OFF, _REMOTE_ON): _ON, (_READY, _REMOTE_ON): _ON},
}
"""control_mode: (state, trigger) to state; other transitions are illegal (4.5.8, table of modes)."""


@dataclass(slots=True)
class Switch:
    """The disconnect switch.

    Attributes:
        state: the control state.
        mode: the control mode; 0 cannot be disconnected.

    """

    state: ControlState = ControlState.CONNECTED
    mode: int = 4

    @property
    def is_connected(self) -> bool:
        """Whether the premises are supplied."""
        return self.state is ControlState.CONNECTED

    def trigger(self, trigger: SwitchTrigger) -> bool:
        """Move the switch; False where the mode does not allow it in this state."""
        after = TRANSITIONS[self.mode].get((self.state, trigger))
        if after is None:
            return False
        self.state = after
        return True


@dataclass(slots=True)
class PowerLimiter:
    """Watches the imported power.

    Attributes:
        threshold_w: threshold_normal; 0 switches the limiter off.
        over_duration_s: min_over_threshold_duration.

    """

    threshold_w: int = 0
    over_duration_s: int = 60
    _over_since: float | None = None

    def watch(self, power_w: int, now: float) -> bool:
        """Note the power at ``now`` (UTC seconds); True when the supply has to be disconnected."""
        if self.threshold_w == 0 or power_w <= self.threshold_w:
            self._over_since = None
            return False
        if self._over_since is None:
            self._over_since = now
        if now - self._over_since < self.over_duration_s:
            return False
        self._over_since = None
        return True
