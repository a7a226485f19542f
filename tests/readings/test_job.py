"""What a decoding needs beside the octets; keys are never shown."""

import pytest

from meterspan.readings.job import DecodeJob, ForAnyAddress, Learnt
from tests.readings.frames import AUTH_KEY, KEY


def test_keys_never_show_in_what_is_printed_of_a_decoding() -> None:
    assert KEY.hex() not in repr(DecodeJob(KEY, AUTH_KEY))
    assert str(KEY) not in repr(DecodeJob(KEY, AUTH_KEY))


def test_the_key_of_the_current_telegram_is_the_key_of_any_address_and_none_is_listed() -> None:
    key: ForAnyAddress[bytes] = ForAnyAddress()
    with pytest.raises(KeyError):
        key[b"any"]
    key.value = KEY
    assert (key[b"any"], key.get(b"other")) == (KEY, KEY)
    assert list(key) == []


def test_decodings_share_what_was_learnt_only_where_they_are_given_the_same() -> None:
    learnt = Learnt()
    assert DecodeJob(learnt=learnt).learnt is learnt
    assert DecodeJob().learnt is not DecodeJob().learnt
    assert learnt.receiver is not Learnt().receiver
