"""A rehearsal refuses what the data management refuses, and writes nothing."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from meterspan.mdm import MeterDataManagement
from meterspan.mdm.installations import Exchange, MeterInstallation
from meterspan.mdm.rehearsal import NO_ROWS, Rehearsal
from meterspan.model.lookup_errors import (
    ExchangeTimeError,
    MeasuredError,
    MeterPresentError,
    NotInstalledError,
    OccupiedError,
    RegisterError,
    RegistrationError,
    UnknownHomeError,
    UnknownNameError,
    UnknownUsagePointError,
)
from meterspan.model.readings import CaptureBlock, Source
from meterspan.model.storage.registry import HomeRow
from meterspan.quantities import UNITS, Commodity, Obis, Scaled

IMPORT = Obis(1, 0, 1, 8, 0)
T0 = datetime(2026, 11, 1, tzinfo=UTC)
T1 = datetime(2026, 11, 2, tzinfo=UTC)
T2 = datetime(2026, 11, 3, tzinfo=UTC)
TOO_MUCH = {IMPORT: Scaled(1 << 60, 0, UNITS["Wh"])}


def installation(device: str, at: datetime, home: str = "h1", point: str = "MP1") -> MeterInstallation:
    return MeterInstallation.of(home, point, device=device, commodity=Commodity.ELECTRICITY, at=at)


@pytest.fixture
def data(tmp_path: Path):
    with MeterDataManagement(tmp_path / "data") as opened:
        opened.register_homes([HomeRow("h1", "h1", "UTC", "EUR"), HomeRow("h2", "h2", "UTC", "EUR")])
        opened.install_meters([installation("M1", T1)])
        one = {IMPORT: Scaled(1, 0, UNITS["Wh"])}
        opened.take([CaptureBlock.of_row("M1", Source.MANUAL, time=int(T1.timestamp()), values=one)])
        yield opened


def exchange(to, *, old="M1", at=T2, point="MP1", closing=None):
    to.exchange(Exchange(point, at, old, closing or {}, "M2", {}))


CASES = {
    "another meter there": (lambda to: to.install_meters([installation("M2", T2)]), MeterPresentError),
    "an unknown home": (lambda to: to.install_meters([installation("M2", T2, "h9", "MP9")]), UnknownHomeError),
    "an unknown place": (lambda to: exchange(to, point="MP9"), UnknownUsagePointError),
    "a meter that is not there": (lambda to: exchange(to, old="M9"), NotInstalledError),
    "an exchange too early": (lambda to: exchange(to, at=T0), ExchangeTimeError),
    "an impossible register": (lambda to: exchange(to, closing=TOO_MUCH), RegisterError),
    "a removal too early": (lambda to: to.remove_meter("MP1", device="M1", at=T0), ExchangeTimeError),
    "the removal of another": (lambda to: to.remove_meter("MP1", device="M9", at=T2), NotInstalledError),
    "an impossible last register": (
        lambda to: to.remove_meter("MP1", device="M1", at=T2, closing=TOO_MUCH),
        RegisterError,
    ),
    "a deletion of what was read": (lambda to: to.delete_meter("M1"), MeasuredError),
    "an installation before the last one ended": (
        lambda to: (to.remove_meter("MP1", device="M1", at=T2), to.install_meters([installation("M2", T1)])),
        OccupiedError,
    ),
    "an exchange": (exchange, None),
    "a removal": (lambda to: to.remove_meter("MP1", device="M1", at=T2), None),
    "an exchange twice": (lambda to: (exchange(to), exchange(to)), None),
    "a removal twice": (
        lambda to: [to.remove_meter("MP1", device="M1", at=T2), to.remove_meter("MP1", device="M1", at=T2)],
        None,
    ),
    "a deletion of an empty one": (
        lambda to: (to.install_meters([installation("M3", T1, "h2", "MP2")]), to.delete_meter("M3")),
        None,
    ),
}


def outcome(act, to):
    try:
        act(to)
    except (RegistrationError, UnknownNameError) as error:
        return type(error)
    return None


@pytest.mark.attack(8)
@pytest.mark.parametrize("case", CASES)
def test_a_rehearsal_ends_as_the_act_itself_and_changes_nothing(data: MeterDataManagement, case: str) -> None:
    act, refusal = CASES[case]
    rehearsal, before = data.rehearsal(), (data.revision, list(data.installations("MP1")), data.homes())
    assert outcome(act, rehearsal) is refusal
    assert (data.revision, list(data.installations("MP1")), data.homes()) == before
    assert outcome(act, data) is refusal
    if refusal is None:
        assert list(rehearsal.installations("MP1")) == list(data.installations("MP1"))


def test_what_a_rehearsal_did_is_there_for_its_next_act() -> None:
    rehearsal = Rehearsal(NO_ROWS)
    rehearsal.register_homes([HomeRow("h1", "h1", "UTC", "EUR")])
    rehearsal.install_meters([installation("M1", T1)])
    with pytest.raises(MeterPresentError):
        rehearsal.install_meters([installation("M2", T2)])
