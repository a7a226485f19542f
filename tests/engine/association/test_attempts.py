"""Wrong secrets make their own sender wait, longer each time, and nobody else; the ledger is bounded."""

import pytest

from meterspan.engine.association.attempts import (
    ATTEMPTS_MAX,
    CLIENTS_MAX,
    DELAY_FIRST_S,
    DELAY_MAX_S,
    FORGET_S,
    AttemptLedger,
)

PEER, OTHER = "192.0.2.1", "192.0.2.2"


def test_the_ledger_of_attempts_is_bounded_and_keeps_those_that_failed_last():
    ledger = AttemptLedger()
    for number in range(CLIENTS_MAX + 10):
        ledger.failed(PEER, 1, 0.0)
        ledger.failed(f"peer {number}", 1, 0.0)
    assert len(ledger._clients) == CLIENTS_MAX
    assert ledger.is_waiting(PEER, 1, 1.0)


def test_a_client_waits_after_so_many_failures_and_is_heard_again_later():
    ledger = AttemptLedger()
    for _ in range(ATTEMPTS_MAX):
        assert not ledger.is_waiting(PEER, 1, 0.0)
        ledger.failed(PEER, 1, 0.0)
    assert ledger.is_waiting(PEER, 1, DELAY_FIRST_S - 0.1)
    assert not ledger.is_waiting(PEER, 1, DELAY_FIRST_S)


def test_nobody_waits_for_the_failures_of_another_peer_or_client():
    ledger = AttemptLedger()
    for _ in range(1_000):
        ledger.failed(PEER, 1, 0.0)
    assert ledger.is_waiting(PEER, 1, 1.0)
    assert not ledger.is_waiting(OTHER, 1, 1.0)
    assert not ledger.is_waiting(PEER, 2, 1.0)


def test_a_guesser_gets_one_guess_a_minute_in_the_end():
    ledger = AttemptLedger()
    now, guesses = 0.0, 0
    while now < 3 * 3_600:
        if not ledger.is_waiting(PEER, 1, now):
            ledger.failed(PEER, 1, now)
            guesses += 1
        now += 0.5
    assert guesses <= 3 * 3_600 / DELAY_MAX_S + 10


@pytest.mark.parametrize("forget", [lambda ledger: ledger.succeeded(PEER, 1), lambda _: None], ids=["success", "hour"])
def test_a_success_or_an_hour_forgets_earlier_failures(forget):
    ledger = AttemptLedger()
    ledger.failed(PEER, 1, 0.0)
    forget(ledger)
    for _ in range(ATTEMPTS_MAX - 1):
        ledger.failed(PEER, 1, FORGET_S)
    assert not ledger.is_waiting(PEER, 1, FORGET_S)


def test_a_clock_that_was_set_back_lets_a_client_in():
    ledger = AttemptLedger()
    for _ in range(ATTEMPTS_MAX):
        ledger.failed(PEER, 1, 1_000.0)
    assert not ledger.is_waiting(PEER, 1, 10.0)
