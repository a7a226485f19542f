"""Failed authentications: three lock a client out for a while, and the ledger is bounded."""

from meterspan.engine.association.attempts import ATTEMPTS_MAX, CLIENTS_MAX, LOCKOUT_S, AttemptLedger


def test_the_ledger_of_attempts_is_bounded():
    ledger = AttemptLedger()
    for client in range(CLIENTS_MAX + 10):
        ledger.failed(client, 0.0)
    assert len(ledger._clients) == CLIENTS_MAX


def test_a_client_is_locked_out_after_so_many_failures_and_let_in_again_later():
    ledger = AttemptLedger()
    for _ in range(ATTEMPTS_MAX):
        assert not ledger.is_locked(1, 0.0)
        ledger.failed(1, 0.0)
    assert ledger.is_locked(1, LOCKOUT_S - 1)
    assert not ledger.is_locked(2, 0.0)
    assert not ledger.is_locked(1, LOCKOUT_S + 1)


def test_a_success_forgets_earlier_failures():
    ledger = AttemptLedger()
    ledger.failed(1, 0.0)
    ledger.succeeded(1)
    for _ in range(ATTEMPTS_MAX - 1):
        ledger.failed(1, 0.0)
    assert not ledger.is_locked(1, 0.0)
