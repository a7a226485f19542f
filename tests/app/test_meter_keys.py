"""The secrets of a meter: completed from a second place, never shown."""

from hypothesis import given
from hypothesis import strategies as st

from meterspan.app.meter_keys import MeterKeys

secrets = st.sampled_from([b"", b"first secret", b"other secret"])
keys = st.builds(MeterKeys, secrets, secrets, secrets)


def fields(each):
    return each.key, each.auth_key, each.password


@given(keys, keys)
def test_only_what_is_empty_is_taken_from_the_other(own, other):
    taken = fields(own.completed(other))
    assert taken == tuple(mine or theirs for mine, theirs in zip(fields(own), fields(other), strict=True))


@given(keys)
def test_no_secret_is_shown(each):
    shown = repr(each)
    for secret in (each.key, each.auth_key, each.password):
        assert not secret or (repr(secret) not in shown and secret.hex() not in shown)
    assert "key" not in shown
    assert "password" not in shown
