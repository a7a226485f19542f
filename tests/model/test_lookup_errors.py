"""Lookups and registrations fail with a type and fields, so that nobody reads the sentence."""

from datetime import UTC, datetime

import pytest

from meterspan.model import lookup_errors
from meterspan.model.lookup_errors import (
    ExchangeTimeError,
    ImportUndoneError,
    MeasuredError,
    MeterPresentError,
    NotInstalledError,
    OccupiedError,
    PeriodError,
    RatioError,
    RegisterError,
    RegistrationError,
    SupplyPresentError,
    TariffUnitError,
    UnknownHomeError,
    UnknownImportError,
    UnknownMeterError,
    UnknownNameError,
    UnknownOrderError,
    UnknownSupplyError,
    UnknownUsagePointError,
    UnknownZoneError,
)
from meterspan.quantities import Commodity

AT = datetime(2026, 1, 2, tzinfo=UTC)
EVERY = (
    (UnknownHomeError("h1"), UnknownNameError, {"home_id": "h1"}),
    (UnknownSupplyError("h1", Commodity.GAS), UnknownNameError, {"home_id": "h1", "commodity": Commodity.GAS}),
    (UnknownUsagePointError("MP1"), UnknownNameError, {"usage_point": "MP1"}),
    (UnknownMeterError("M1"), UnknownNameError, {"device": "M1"}),
    (UnknownOrderError(7), UnknownNameError, {"order_id": 7}),
    (UnknownImportError(7), UnknownNameError, {"number": 7}),
    (OccupiedError("MP1", "M1", AT), RegistrationError, {"usage_point": "MP1", "device": "M1", "until": AT}),
    (MeasuredError("M1"), RegistrationError, {"device": "M1"}),
    (ImportUndoneError(7, 9), RegistrationError, {"number": 7}),
    (UnknownZoneError("Mars/Olympus"), RegistrationError, {"zone": "Mars/Olympus"}),
    (MeterPresentError("MP1", "M1"), RegistrationError, {"usage_point": "MP1", "device": "M1"}),
    (SupplyPresentError("h1", Commodity.GAS, "MP1"), RegistrationError, {"home_id": "h1", "usage_point": "MP1"}),
    (NotInstalledError("MP1", "M1"), RegistrationError, {"usage_point": "MP1", "device": "M1"}),
    (PeriodError("MP1", 0), RegistrationError, {"usage_point": "MP1", "period_s": 0}),
    (ExchangeTimeError("M1", AT), RegistrationError, {"device": "M1", "at": AT}),
    (RegisterError("M1", "1-0:1.8.0", "too wide"), RegistrationError, {"register": "1-0:1.8.0", "reason": "too wide"}),
    (RatioError("M1", 0), RegistrationError, {"device": "M1", "multiplier": 0}),
    (TariffUnitError("x", "m3", "MP1", "kWh"), RegistrationError, {"unit": "m3", "counted": "kWh"}),
)


@pytest.mark.parametrize(("error", "base", "fields"), EVERY, ids=lambda value: type(value).__name__)
def test_every_error_carries_its_fields_and_names_them_in_its_sentence(error, base, fields):
    assert isinstance(error, base)
    assert {name: getattr(error, name) for name in fields} == fields
    for value in fields.values():
        assert (value.isoformat() if isinstance(value, datetime) else str(value)) in str(error)


def test_a_missing_name_is_a_lookup_error_and_a_contradiction_a_value_error():
    assert issubclass(UnknownNameError, LookupError)
    assert not issubclass(UnknownNameError, KeyError)
    assert issubclass(RegistrationError, ValueError)


def test_every_exported_error_is_tried_here():
    tried = {type(error).__name__ for error, _base, _fields in EVERY} | {"UnknownNameError", "RegistrationError"}
    assert tried == set(lookup_errors.__all__)
