"""The table of authentication mechanisms: every row says what it needs, and proves what it says."""

from pathlib import Path

import pytest

from meterspan.crypto.hls import Handshake
from meterspan.crypto.mechanisms import HLS_MECHANISMS, MECHANISMS, Security, mechanism_of
from meterspan.crypto.suites import SuiteKeys
from meterspan.wire import WireError
from meterspan.wire.acse import AuthenticationMechanism

SHAKE = Handshake(b"challenge", b"secret", bytes(8), SuiteKeys(bytes(16), bytes(16)), 5)
ROWS = pytest.mark.parametrize("row", MECHANISMS, ids=lambda row: row.short)


@ROWS
def test_every_row_is_found_by_number_name_and_short_name(row):
    assert mechanism_of(row.code) is row
    assert row.security.mechanism is row
    assert Security(row.short) is Security(row.security.value) is row.security


def test_the_names_at_rest_and_on_the_command_line_do_not_change():
    assert {row.security.value: row.short for row in MECHANISMS} == {
        "none": "none",
        "lls": "lls",
        "hls-md5": "hls3",
        "hls-sha1": "hls4",
        "hls-gmac": "hls5",
    }
    assert [int(row.code) for row in MECHANISMS] == [0, 1, 3, 4, 5]
    assert len(Security) == len(MECHANISMS)


@ROWS
def test_a_mechanism_that_answers_challenges_accepts_its_own_proof_and_no_other(row):
    assert row.is_hls is (row.code in HLS_MECHANISMS) is (row.code >= 2)
    if row.prove is None or row.check is None:
        assert row.prove is row.check is None
        return
    proof = row.prove(SHAKE)
    assert row.check(proof, SHAKE) in {None, 5}
    for bit in range(8 * len(proof)):
        damaged = bytearray(proof)
        damaged[bit >> 3] ^= 1 << (bit & 7)
        with pytest.raises(WireError):
            row.check(bytes(damaged), SHAKE)


@ROWS
def test_what_ciphers_needs_keys_and_what_has_a_secret_needs_none(row):
    assert not (row.needs_secret and row.needs_keys)
    assert row.needs_keys or not row.ciphered


def test_a_mechanism_that_is_not_implemented_has_no_row_and_its_name_is_refused():
    assert mechanism_of(AuthenticationMechanism.HLS_ECDSA) is None
    with pytest.raises(ValueError, match="hls9"):
        Security("hls9")


@ROWS
def test_every_mechanism_stands_in_the_documentation_as_the_table_has_it(row):
    needs = "encryption and authentication key" if row.needs_keys else "nothing"
    if row.needs_secret:
        needs = "a secret" if row.is_hls else "a password"
    ciphered = "yes" if row.ciphered else "no"
    line = f"| {int(row.code)} | `{row.security}` | `{row.short}` | {needs} | {ciphered} |"
    assert line in (Path(__file__).parents[2] / "docs" / "cosem.md").read_text("utf-8").splitlines()
