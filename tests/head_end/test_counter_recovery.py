"""What a device says of our counters is tried a few times a day, and kept only once an answer under its key came."""

import pytest

from meterspan.crypto.mechanisms import Security
from meterspan.engine.security import CounterExhaustedError
from meterspan.head_end.contexts import ContextCache
from meterspan.head_end.counter_recovery import TRIES_A_DAY_MAX, CounterRecovery
from meterspan.head_end.inventory import Device, DeviceProtocol, KeyCustody, KeyPurpose
from meterspan.head_end.system import HeadEnd
from meterspan.model.failures import Failure, FailureKind
from meterspan.model.readings import EventSeverity
from meterspan.quantities import Commodity
from tests.memory import MemoryState

NOW = 1_800_000_000.0
TITLE = b"HES\0\0\0\0\1"
GET = bytes.fromhex("C001C100080000010000FF0200")


class Bench:
    """A head end with one device, whose sessions end as a test says."""

    def __init__(self) -> None:
        custody = KeyCustody(bytes(32))
        self.head_end = HeadEnd(None, custody)
        self.state = MemoryState()
        self.contexts = ContextCache(self.head_end, system_title=TITLE, counters=self.state)
        self.recovery = CounterRecovery(self.head_end, self.contexts, self.state)
        self.device = Device(
            "MSP1",
            Commodity.ELECTRICITY,
            DeviceProtocol.DLMS_WRAPPER,
            "127.0.0.1:4059",
            "cell",
            security=Security.HLS_GMAC,
            client_sap=1,
            system_title=b"MSP\0\0\0\0\1",
            wrapped_keys=(
                (KeyPurpose.GLOBAL_UNICAST, custody.wrap(bytes(range(16)), "MSP1", KeyPurpose.GLOBAL_UNICAST)),
                (KeyPurpose.AUTHENTICATION, custody.wrap(bytes(range(16, 32)), "MSP1", KeyPurpose.AUTHENTICATION)),
            ),
        )
        self.head_end.add_device(self.device, NOW)

    def session(self, counter: int | None, now: float, *, answered: bool = False) -> Failure | None:
        """Send what an association sends; the device answers under its key, or with the counter that it claims."""
        context = self.contexts.of(self.device)
        for _ in range(3):
            context.protect(GET)
        if answered:
            context.confirm_tried_counter()
        failure = None if counter is None else Failure(FailureKind.COUNTER_BEHIND, counter=counter)
        return self.recovery.settled("MSP1", failure, now)

    @property
    def counters_used(self) -> int:
        return max(self.state.next.values(), default=0)

    def notes(self, severity: EventSeverity) -> list[str]:
        return [entry.title for entry in self.head_end.device_log.entries("MSP1") if entry.severity is severity]


@pytest.mark.finding("security C4", "dlms D2")
@pytest.mark.attack(4)
def test_a_device_without_keys_uses_up_no_counter_but_those_that_are_sent() -> None:
    bench = Bench()
    for number in range(1_000):
        counter = bench.counters_used + (1 << 22) - 1_000
        bench.session(counter, NOW + 600 * number)
    assert bench.counters_used < 10_000
    assert bench.notes(EventSeverity.ALARM)


@pytest.mark.finding("security C4", "dlms D2")
def test_a_claim_is_tried_three_times_a_day_and_then_fails_by_its_own_kind_with_an_alarm() -> None:
    bench = Bench()
    kinds = [bench.session(5_000 + number, NOW + number).kind for number in range(TRIES_A_DAY_MAX + 1)]
    assert kinds == [FailureKind.COUNTER_BEHIND] * TRIES_A_DAY_MAX + [FailureKind.COUNTER_UNPROVED]
    assert len(bench.notes(EventSeverity.ALARM)) == 1
    assert not bench.contexts.of(bench.device).is_trying_counter
    assert bench.session(9_000, NOW + 86_400).kind is FailureKind.COUNTER_BEHIND


@pytest.mark.finding("security C4", "dlms D2")
@pytest.mark.attack(4)
def test_a_restart_forgets_no_try() -> None:
    bench = Bench()
    for number in range(TRIES_A_DAY_MAX):
        assert bench.session(5_000 + number, NOW + number).kind is FailureKind.COUNTER_BEHIND
        bench.recovery = CounterRecovery(bench.head_end, bench.contexts, bench.state)
    assert bench.session(9_000, NOW + 9).kind is FailureKind.COUNTER_UNPROVED
    assert bench.session(9_000, NOW + 86_400).kind is FailureKind.COUNTER_BEHIND


@pytest.mark.finding("security C4", "dlms D2")
def test_an_exhausted_counter_fails_its_device_by_its_own_kind() -> None:
    bench = Bench()
    context = bench.contexts.of(bench.device)
    context._next, context._reserved_end = 1 << 32, (1 << 32) + 8
    with pytest.raises(CounterExhaustedError) as caught:
        context.protect(GET)
    assert caught.value.failure.kind is FailureKind.COUNTER_EXHAUSTED
    assert caught.value.failure.permanent


@pytest.mark.parametrize("counter", [1 << 31, (1 << 32) - 1, 1 << 40])
def test_a_counter_out_of_reach_is_not_tried_at_all(counter: int) -> None:
    bench = Bench()
    assert bench.session(counter, NOW).kind is FailureKind.COUNTER_UNPROVED
    assert bench.notes(EventSeverity.ALARM) == ["It asks for invocation counters that nothing confirms"]
    assert bench.counters_used < 100


def test_an_answer_under_the_key_keeps_the_counter_and_says_so() -> None:
    bench = Bench()
    bench.session(5_000, NOW)
    assert bench.session(None, NOW + 1, answered=True) is None
    assert bench.counters_used > 5_000
    assert "Our invocation counter was raised to the one that it expects" in bench.notes(EventSeverity.INFO)


def test_a_session_that_never_connected_settles_the_try_too() -> None:
    bench = Bench()
    bench.session(5_000, NOW)
    unreachable = Failure(FailureKind.UNREACHABLE)
    assert bench.recovery.settled("MSP1", unreachable, NOW + 1) is unreachable
    assert bench.notes(EventSeverity.WARNING)
    assert bench.counters_used < 200


def test_a_device_that_left_the_inventory_is_not_tried() -> None:
    bench = Bench()
    failure = Failure(FailureKind.COUNTER_BEHIND, counter=5_000)
    assert bench.recovery.settled("MSP2", failure, NOW) is failure
