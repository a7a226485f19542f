"""The protection of a radio meter fits to whether its key is known, and no key is shown."""

import pytest

from meterspan.model.radio_protection import RadioProtection, RadioSettings, required_of

KEY = bytes(range(16))
ALLOWED = {
    (RadioProtection.INSECURE_PLAIN, False),
    (RadioProtection.ENCRYPTED, False),
    (RadioProtection.ENCRYPTED, True),
    (RadioProtection.AUTHENTICATED, True),
}


@pytest.mark.parametrize("has_key", [False, True])
@pytest.mark.parametrize("protection", RadioProtection)
def test_a_key_asks_for_at_least_encryption_and_authentication_asks_for_a_key(
    protection: RadioProtection, has_key: bool
) -> None:
    if (protection, has_key) in ALLOWED:
        assert required_of(protection, has_key=has_key) is protection
        assert RadioSettings(KEY if has_key else b"", protection).protection is protection
        return
    with pytest.raises(ValueError, match="key"):
        required_of(protection, has_key=has_key)
    with pytest.raises(ValueError, match="key"):
        RadioSettings(KEY if has_key else b"", protection)


def test_a_meter_is_encrypted_unless_the_configuration_says_otherwise_and_its_key_is_not_shown() -> None:
    settings = RadioSettings(KEY)
    assert settings.protection is RadioProtection.ENCRYPTED
    assert KEY.hex() not in repr(settings)
    assert str(KEY) not in repr(settings)
