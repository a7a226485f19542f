"""The data management: takes readings durably, keeps who is metered by what, and answers what people ask.

Registers are stored as they were read; intervals are derived by the conservation law and kept in versions. This is the
door to the rooms of ``mdm``: intake, registrations, curves, settlement, home views and operator numbers. All public
methods may be called from any thread, and each answer is of one state of the data.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import date, datetime
from pathlib import Path
from typing import Final, Self

from meterspan.analytics.tariff import Tariff
from meterspan.mdm.curve_book import CurveBook
from meterspan.mdm.curves import Curve
from meterspan.mdm.damage import Damage, DamageList
from meterspan.mdm.derived import Derived
from meterspan.mdm.foundation import Foundation
from meterspan.mdm.generations import Change, Generations
from meterspan.mdm.home_views import HomeAnswers
from meterspan.mdm.imports import FileChannel, Imports, TakenImport
from meterspan.mdm.installations import Exchange, MeterInstallation, independent
from meterspan.mdm.intake import Intake
from meterspan.mdm.operator_numbers import OperatorNumbers, Totals, UnexplainedView
from meterspan.mdm.registrations import Registrations
from meterspan.mdm.rehearsal import Rehearsal
from meterspan.mdm.series_table import SeriesTable
from meterspan.mdm.settlement import Settlement
from meterspan.mdm.snapshots import consistent
from meterspan.mdm.supplies import Supply
from meterspan.mdm.versions import IntervalVersion
from meterspan.model.lookup_errors import MeasuredError, UnknownMeterError
from meterspan.model.readings import CaptureBlock, MeterEvent, Series, Source
from meterspan.model.storage.errors import DamagedError, StorageError
from meterspan.model.storage.ports import ReadingJournal, RegistryStore
from meterspan.model.storage.readings import ImportRecord, Readings
from meterspan.model.storage.registry import HomeRow, InstallationRow, SeriesRow
from meterspan.model.storage.stretches import Stretches
from meterspan.model.views import CompletenessView, Home, LiveView, PeriodView, PowerView
from meterspan.quantities import Commodity, Direction, Interval, Obis, Scaled, utc_seconds
from meterspan.store.databases import check_reachable, database_name
from meterspan.store.edge import storage_errors
from meterspan.store.private_files import make_private_file, make_private_folder
from meterspan.store.reading_store import ReadingStore
from meterspan.store.registry import Registry

__all__ = ["MeterDataManagement", "registry_path", "require_same_registry"]


class MeterDataManagement:
    """The data management over one directory; also the ``ReadingSink`` of head end and access points.

    Args:
        directory: made where it is not there.
        stores: opens the stores in the directory; any that keep the contract of their ports. ``close`` closes them.

    Raises:
        ConcurrentWriterError: another process has the directory open.
        UnknownFormatError: a newer release wrote it.

    """

    def __init__(self, directory: Path, *, stores: "Stores | None" = None) -> None:
        self._journal, self._registry = (open_stores if stores is None else stores)(directory)
        damage, self._generations = DamageList(), Generations()
        self._damage = damage
        self._registrations = Registrations(self._registry, damage)
        self._series = SeriesTable(self._registry, damage)
        self._curves = CurveBook(self._journal, self._series, self._generations, Derived())
        self._intake = Intake(self._journal, self._series, self._registrations, self._generations)
        self._imports = Imports(self._journal, self._series, self._registrations, self._generations, self._intake)
        foundation = Foundation(
            self._journal, self._registry, self._registrations, self._series, self._curves, self._generations, damage
        )
        self._settlement = Settlement(foundation)
        self._homes = HomeAnswers(
            self._registrations,
            self._curves,
            self._settlement,
            generations=self._generations,
            damage=damage,
            newest=lambda: self._intake.newest,
        )
        self._numbers = OperatorNumbers(foundation, newest=lambda: self._intake.newest)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close files; stored readings remain."""
        self._journal.close()
        self._registry.close()

    @property
    def revision(self) -> int:
        """Grows with every change; equal revisions mean equal answers."""
        return self._generations.now

    # --- intake -------------------------------------------------------------------------------------------------

    def take(self, blocks: Sequence[CaptureBlock], events: Sequence[MeterEvent] = ()) -> None:
        """Store a batch durably: when the call returns, it survives ``kill -9``.

        Unknown devices and channels are stored too; they wait for their installation.
        """
        self._intake.take(blocks, events)

    # --- imports ------------------------------------------------------------------------------------------------

    def take_import(
        self, name: str, digest: bytes, channels: Sequence[FileChannel], parts: Iterable[Readings], *, at: datetime
    ) -> TakenImport:
        """Store all rows of a file durably, or none of them, as an import that can be undone.

        Args:
            name: of the file.
            digest: tells the same file taken in the same way.
            channels: what the rows of each number of a series are.
            parts: the rows; their series is the position of their channel.
            at: the present time.

        """
        return self._imports.take(ImportRecord(0, name, digest, utc_seconds(at)), channels, parts)

    def try_import(
        self, name: str, digest: bytes, channels: Sequence[FileChannel], parts: Iterable[Readings], *, at: datetime
    ) -> TakenImport:
        """Return what ``take_import`` would return, and store nothing.

        Args:
            name: of the file.
            digest: tells the same file taken in the same way.
            channels: what the rows of each number of a series are.
            parts: the rows; their series is the position of their channel.
            at: the present time.

        """
        return self._imports.take(ImportRecord(0, name, digest, utc_seconds(at)), channels, parts, is_trial=True)

    def imports(self) -> Sequence[ImportRecord]:
        """List the imports, oldest first, those that were undone included."""
        return self._journal.imports()

    def undo_import(self, number: int, at: datetime) -> ImportRecord:
        """Undo an import: its rows leave all answers; they stay stored, with entries that void them.

        Meters that were installed with the import stay installed.

        Raises:
            UnknownImportError: there is none of this number.
            ImportUndoneError: it was undone before.

        """
        return self._imports.undo(number, utc_seconds(at))

    # --- registration -------------------------------------------------------------------------------------------

    def register_home(self, home_id: str, name: str, *, zone: str, currency: str = "EUR") -> None:
        """Register a home, or change its name, zone or currency; raises ``UnknownZoneError``.

        Args:
            home_id: the key of the home.
            name: shown to people.
            zone: IANA time zone of its local days.
            currency: ISO 4217 code of its tariffs.

        """
        self.register_homes([HomeRow(home_id, name, zone, currency)])

    def register_homes(self, homes: Sequence[HomeRow]) -> None:
        """Register homes as ``register_home`` does, all in one transaction; raises ``UnknownZoneError``."""
        with self._generations.changing(()) as change:
            if self._registrations.register_homes(homes):
                change.registration()

    def install_meter(
        self,
        home_id: str,
        usage_point: str,
        *,
        device: str,
        commodity: Commodity,
        at: datetime,
        opening: Mapping[Obis, Scaled] | None = None,
        period_s: int = 900,
        register_width: Mapping[Obis, int] | None = None,
        multiplier: int = 1,
        protocol: str = "",
        interface: str = "",
        network: str = "",
    ) -> None:
        """Install a device at a usage point of a home (made where new) from ``at``.

        The same call again changes nothing but how the device is reached.

        Args:
            home_id: a registered home.
            usage_point: where the supply is measured.
            device: identification of the meter, as in ``CaptureBlock.device``.
            commodity: the supply.
            at: aware instant of the installation.
            opening: registers at that instant.
            period_s: grid of the usage point's intervals, in seconds.
            register_width: steps (of the series) after which a register restarts at 0, by OBIS.
            multiplier: transformer ratio.
            protocol: its protocol, for the operator.
            interface: its interface: G1, M, H1.
            network: the access point or segment that it hangs on.

        Raises:
            UnknownHomeError: the home is not registered.
            MeterPresentError: another meter is installed there; exchange it.
            SupplyPresentError: the home has another usage point of this commodity.
            OccupiedError: another meter was installed there until later.
            PeriodError: the period is not positive.
            RegisterError: no meter has this opening value or this width.
            RatioError: the transformer ratio is not positive, or greater than any.

        """
        wanted = MeterInstallation.of(
            home_id,
            usage_point,
            device=device,
            commodity=commodity,
            at=at,
            opening=opening,
            period_s=period_s,
            register_width=register_width,
            multiplier=multiplier,
            protocol=protocol,
            interface=interface,
            network=network,
        )
        with self._generations.changing({device}) as change:
            self._install(change, [wanted])
            if opening:
                self._intake.store(change, [_exchange_block(device, opening, wanted.installation.start)])

    def install_meters(self, wanted: Sequence[MeterInstallation]) -> None:
        """Install devices as ``install_meter`` does, in few transactions.

        Raises:
            UnknownHomeError: as of ``install_meter``; so are the other errors. Meters before the one at fault may be
                installed then.

        """
        for wave in independent(wanted):
            with self._generations.changing({item.device.device for item in wave}) as change:
                self._install(change, wave)
                opened = [item for item in wave if item.installation.opening]
                blocks = [_exchange_block(item.device.device, item.opening, item.installation.start) for item in opened]
                if blocks:
                    self._intake.store(change, blocks)

    def _install(self, change: Change, wanted: Sequence[MeterInstallation]) -> None:
        """Install devices that do not depend on each other."""
        changed = [item for item in wanted if self._registrations.plan_installation(item)]
        days = [(item.device.device, item.installation.start) for item in changed]
        self._intake.note_unsettled(days)  # before, so that a crash loses no day
        self._registrations.install(wanted)
        self._intake.note_unsettled(days)  # and after, for a settlement that runs meanwhile
        for item in changed:
            change.everything(item.device.device)
        change.registration()

    def exchange_meter(
        self,
        usage_point: str,
        *,
        old_device: str,
        closing: Mapping[Obis, Scaled],
        new_device: str,
        opening: Mapping[Obis, Scaled],
        at: datetime,
        register_width: Mapping[Obis, int] | None = None,
        protocol: str | None = None,
        interface: str | None = None,
        network: str | None = None,
    ) -> None:
        """Exchange the device: closing and opening registers join the two chains so that no energy is lost.

        The same call again changes nothing.

        Args:
            usage_point: where the supply is measured.
            old_device: the meter that is installed there.
            closing: its registers at that instant.
            new_device: the meter that takes its place.
            opening: its registers at that instant.
            at: aware instant of the exchange.
            register_width: steps after which a register of the new meter begins anew, by OBIS; left out, here and
                below: as of the old meter.
            protocol: of the new meter, for the operator.
            interface: its interface: G1, M, H1.
            network: the access point or segment that it hangs on.

        Raises:
            UnknownUsagePointError: the usage point is not registered.
            NotInstalledError: ``old_device`` is not the one installed there.
            ExchangeTimeError: ``at`` is before its installation.
            RegisterError: no meter has this closing or opening value, or this width.

        """
        self.exchange(
            Exchange(
                usage_point, at, old_device, closing, new_device, opening, register_width, protocol, interface, network
            )
        )

    def exchange(self, wanted: Exchange) -> None:
        """Exchange a device, as ``exchange_meter`` does."""
        devices = (wanted.old_device, wanted.new_device)
        with self._generations.changing(devices) as change:
            if self._registrations.plan_exchange(wanted):
                start = self._registrations.supply_at(wanted.usage_point).installations[0].start
                days = [(device, start) for device in devices]
                self._intake.note_unsettled(days)
                self._registrations.exchange(wanted)
                self._intake.note_unsettled(days)
                for device in devices:
                    change.everything(device)
            blocks = [
                _exchange_block(wanted.old_device, wanted.closing, wanted.time),
                _exchange_block(wanted.new_device, wanted.opening, wanted.time),
            ]
            self._intake.store(change, blocks)

    def remove_meter(
        self, usage_point: str, *, device: str, at: datetime, closing: Mapping[Obis, Scaled] | None = None
    ) -> None:
        """Remove a device from its usage point; its readings stay. The same call again changes nothing.

        Args:
            usage_point: where it is installed.
            device: the meter.
            at: aware instant of the removal.
            closing: its registers at that instant, where they were read.

        Raises:
            UnknownUsagePointError: the usage point is not registered.
            NotInstalledError: it is not the one installed there.
            ExchangeTimeError: it was installed later.
            RegisterError: no meter has this closing value.

        """
        time, registers = utc_seconds(at), closing or {}
        with self._generations.changing({device}) as change:
            if self._registrations.plan_removal(usage_point, device, time, registers):
                start = self._registrations.supply_at(usage_point).installations[0].start
                self._intake.note_unsettled([(device, start)])
                self._registrations.remove(usage_point, device, time, registers)
                self._intake.note_unsettled([(device, start)])
                change.everything(device)
            if registers:
                self._intake.store(change, [_exchange_block(device, registers, time)])

    def delete_meter(self, device: str) -> None:
        """Delete a device that has never given a reading, and its installations; raises ``MeasuredError``."""
        if self.has_readings(device):
            raise MeasuredError(device)
        with self._generations.changing({device}) as change:
            self._registrations.forget(device)
            change.everything(device)

    def has_readings(self, device: str) -> bool:
        """Return whether a device has ever given a reading, a closing or opening register included."""
        return bool(self._series.of_device(device))

    def place_of(self, device: str) -> InstallationRow | None:
        """Return the newest installation of a device, None where it was never installed."""
        rows = [row for supply in self._registrations.supplies_with(device) for row in supply.installations]
        own = (row for row in rows if row.device == device)
        return max(own, key=lambda row: (row.start, row.end is None), default=None)

    def installations_with(self, device: str) -> list[InstallationRow]:
        """List the installations at all usage points that a device measures or measured, oldest first."""
        supplies = self._registrations.supplies_with(device)
        return sorted((row for supply in supplies for row in supply.installations), key=lambda row: row.start)

    def rehearsal(self) -> Rehearsal:
        """Return the registrations as they are, on which changes can be tried without making them."""
        return Rehearsal(self._registry)

    def assign_tariff(self, usage_point: str, tariff: Tariff, *, first_day: date) -> None:
        """Price the usage point by ``tariff`` from the local day ``first_day`` on.

        Raises:
            UnknownUsagePointError: the usage point is not registered.
            TariffUnitError: the tariff is per another unit than the supply is counted in.

        """
        self.assign_tariffs([(usage_point, tariff, first_day)])

    def assign_tariffs(self, wanted: Sequence[tuple[str, Tariff, date]]) -> None:
        """Price usage points as ``assign_tariff`` does, all in one transaction; raises what that raises."""
        with self._generations.changing(()) as change:
            if self._registrations.assign_tariffs(wanted):
                change.registration()

    def price_meanwhile(self, usage_point: str, tariff: Tariff) -> None:
        """Price a usage point by a tariff on all days, until this is closed: nothing is stored.

        Raises:
            UnknownUsagePointError: the usage point is not registered.
            TariffUnitError: the tariff is per another unit than the supply is counted in.

        """
        with self._generations.changing(()) as change:
            self._registrations.price_meanwhile(usage_point, tariff)
            change.registration()

    def installations(self, usage_point: str) -> Sequence[InstallationRow]:
        """List the installations at a usage point, oldest first; raises ``UnknownUsagePointError``."""
        return self._registrations.supply_at(usage_point).installations

    def supplies_with(self, device: str) -> Sequence[Supply]:
        """List the supplies that a device measures or measured."""
        return self._registrations.supplies_with(device)

    def series_of(self, device: str) -> Sequence[SeriesRow]:
        """List the series of a device, in order of their numbers."""
        return self._series.of_device(device)

    def first_time(self, device: str) -> int:
        """Return the UTC seconds of the first reading of a device; raises ``UnknownMeterError`` where it has none."""
        known = [self._journal.bounds(row.series_id) for row in self._series.of_device(device)]
        times = [bounds[0] for bounds in known if bounds is not None]
        if not times:
            raise UnknownMeterError(device)
        return min(times)

    # --- views (HomeViews) --------------------------------------------------------------------------------------

    def homes(self) -> Sequence[Home]:
        """List all homes."""
        return self._homes.homes()

    def home(self, home_id: str) -> Home:
        """Return one home; raises ``UnknownHomeError``."""
        return self._homes.home(home_id)

    def live(self, home_id: str, now: datetime) -> LiveView:
        """Return power now, today's consumption and cost."""
        return self._homes.live(home_id, now)

    def power(self, home_id: str, now: datetime) -> PowerView:
        """Return the power of the last two hours."""
        return self._homes.power(home_id, now)

    def day(self, home_id: str, commodity: Commodity, day: date) -> PeriodView:
        """Return one local day's intervals (92, 96 or 100 quarters, or the meter's own period)."""
        return self._homes.day(home_id, commodity, day)

    def month(self, home_id: str, commodity: Commodity, month: date) -> PeriodView:
        """Return the days of the month that contains ``month``."""
        return self._homes.month(home_id, commodity, month)

    # --- the operator's numbers ---------------------------------------------------------------------------------

    def totals(self) -> Totals:
        """Return counts of the stored data; derives changed days first."""
        return self._numbers.totals()

    def readings_stored(self) -> int:
        """Count the stored readings, each (series, time, value) once; derives nothing."""
        return self._numbers.readings_stored()

    def unexplained_wh(self) -> Iterator[int]:
        """Iterate over the usage points, and sum up the unexplained energy of each, Wh; each of one state of its data.

        Writers wait for one usage point at most; ``totals`` is of one state of all data, and they wait for all of it.
        """
        return self._numbers.unexplained_wh()

    def unexplained(self) -> Sequence[UnexplainedView]:
        """List every register difference that no consumption explains, of all usage points and both directions."""
        return self._numbers.unexplained()

    def completeness(self, first: date, last: date, *, until: datetime | None = None) -> Sequence[CompletenessView]:
        """Count due and received registers of each installed device's billing registers per UTC day.

        Args:
            first: first day.
            last: last day.
            until: nothing is due from then on; None: the time of the newest reading.

        """
        return self._numbers.completeness(first, last, until=until)

    def series(self) -> Sequence[Series]:
        """List all series; the usage point is where the device is or was last, "" where it is not installed."""
        return self._numbers.series()

    def damage(self) -> Sequence[Damage]:
        """List damaged or impossible items that are left out of all answers."""
        return self._numbers.damage()

    def aside(self, usage_point: str, question: str) -> AbstractContextManager[None]:
        """Return a context for one of many usage points: one that cannot be answered for is named by ``damage``."""
        return self._damage.aside(f"usage point {usage_point}", question=question)

    # --- readings, curves, versions -----------------------------------------------------------------------------

    def events(self, device: str) -> Sequence[MeterEvent]:
        """List a device's events in order of time."""
        return self._journal.events(device)

    def readings(self, series: Sequence[int], start: datetime, end: datetime) -> Readings:
        """Read raw readings, sorted by (series, time, value)."""
        return self._journal.read(series, utc_seconds(start), utc_seconds(end))

    def stretches(
        self, series: Sequence[int], start: datetime, end: datetime, progress: Callable[[int, int], None]
    ) -> Stretches:
        """Return at what times readings are stored, over the whole UTC days of a span; a long history costs little.

        Args:
            series: numbers of series.
            start: an aware datetime.
            end: an aware datetime, not included.
            progress: called with the days done, and all of them.

        """
        return self._journal.stretches(series, utc_seconds(start), utc_seconds(end), progress)

    def curve(self, usage_point: str, direction: Direction, start: datetime, end: datetime) -> Curve:
        """Derive the intervals of a usage point; raises ``UnknownUsagePointError``.

        Args:
            usage_point: the usage point.
            direction: import or export.
            start: an aware datetime.
            end: an aware datetime, not included.

        """
        low, high = utc_seconds(start), utc_seconds(end)
        return consistent(
            self._generations,
            lambda snapshot: self._curves.curve(
                snapshot, self._registrations.supply_at(usage_point), direction, low, high
            ),
        )

    def settle(self, now: datetime) -> int:
        """Bring the interval versions of closed UTC days up to date; return how many versions were made."""
        return self._settlement.settle(now)

    def versions(self, usage_point: str, interval: Interval) -> Sequence[IntervalVersion]:
        """List all versions of the intervals inside ``interval``, oldest first; raises ``UnknownUsagePointError``."""
        return self._settlement.versions(usage_point, interval)

    def maintain(self, now: datetime) -> None:
        """Settle, then close UTC days in the store."""
        self._settlement.maintain(now)


Stores = Callable[[Path], tuple[ReadingJournal, RegistryStore]]
"""Opens the stores of a directory."""
_REGISTRY_FILE: Final = "registry.sqlite"
_REGISTRY_NOTE: Final = "registry.url"
"""Names the registry of a directory whose registry is a database elsewhere; without user and password."""


def open_stores(directory: Path, *, registry: str = "") -> tuple[ReadingJournal, RegistryStore]:
    """Open the journal of a directory and its registry, both or none.

    A directory keeps to the registry that it began with: readings are numbered there.

    Args:
        directory: of the data.
        registry: URL of the registry's database; "" for the SQLite file of the directory.

    Raises:
        StorageError: one of them cannot be opened, or the directory has another registry.
        ValueError: the text is not the URL of a known database.

    """
    if registry and not (directory / "readings").is_dir():
        require_same_registry(directory, registry)
        check_reachable(registry)  # before a folder is made that it would leave behind
    with storage_errors(directory):
        make_private_folder(directory)
    journal = ReadingStore(directory / "readings")
    try:
        opened = _open_registry(directory, registry)
    except BaseException:
        journal.close()
        raise
    known, used = opened.highest_series(), journal.highest_series()
    if used > known:
        opened.close()
        journal.close()
        reason = (
            f"the registry knows series up to {known} and there are readings up to {used}: it is older than they are"
        )
        raise DamagedError(f"{reason}, or another one; restore the registry of the same moment", str(directory))
    return journal, opened


def registry_path(directory: Path) -> Path:
    """Return the registry of a directory whose registry is no database elsewhere."""
    return directory / _REGISTRY_FILE


def require_same_registry(directory: Path, url: str) -> str:
    """Check that a directory keeps to the registry that it began with; return the name of its database, "" for a file.

    Raises:
        StorageError: the directory has another registry.
        ValueError: the text is not the URL of a known database.

    """
    note, file = directory / _REGISTRY_NOTE, directory / _REGISTRY_FILE
    chosen = database_name(url) if url else ""
    with storage_errors(note):
        known = note.read_text("utf-8").strip() if note.is_file() else ""
    if known and chosen != known:
        raise StorageError(f"its registry is {known}: give its URL", str(directory))
    if chosen and not known and file.is_file():
        raise StorageError(f"its registry is its {_REGISTRY_FILE}: give no other one", str(directory))
    return chosen


def _open_registry(directory: Path, url: str) -> Registry:
    note = directory / _REGISTRY_NOTE
    chosen = require_same_registry(directory, url)
    opened = Registry(url) if url else Registry.open(registry_path(directory))
    if chosen and not note.is_file():
        with storage_errors(note):
            make_private_file(note)
            note.write_text(f"{chosen}\n", "utf-8")
    return opened


def _exchange_block(device: str, registers: Mapping[Obis, Scaled], at: int) -> CaptureBlock:
    return CaptureBlock.of_row(device, Source.EXCHANGE, time=at, values=registers, received_at=at)
