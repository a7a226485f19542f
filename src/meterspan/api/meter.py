"""A DLMS/COSEM meter, open for reading: registers as exact values, profiles as Arrow tables, for library users."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any

import pyarrow as pa

from meterspan.analytics.tables import TIME, exact_column, exact_field, quality_column, time_column
from meterspan.api.octets import octets_of
from meterspan.app.bench_reading import text_of
from meterspan.app.meter_keys import MeterKeys
from meterspan.app.reading import Reader, ReaderSettings, client_of
from meterspan.crypto.mechanisms import Security
from meterspan.engine.association.records import Get
from meterspan.engine.links import DLMS_TRANSPORTS, LinkAddresses
from meterspan.engine.scripts import (
    ClockPolicy,
    read_clock,
    read_events,
    read_object_list,
    read_profile,
    read_registers,
    to_capture_block,
)
from meterspan.model.cosem.classes import DataObject
from meterspan.model.readings import MeterEvent, Source
from meterspan.quantities import ClockTime, Obis, Scaled, parse_obis
from meterspan.quantities.codes import EVENT_LOG, LOAD_PROFILE, LOGICAL_DEVICE_NAME
from meterspan.runtime.dlms_client import DlmsClient
from meterspan.runtime.endpoints import parse_transport
from meterspan.runtime.machine import this_machine
from meterspan.runtime.state import StateFile
from meterspan.store.private_files import make_private_folder

__all__ = ["Meter", "open_meter"]


class Meter:
    """A meter with which an association is open; made by ``open_meter``.

    Every method raises ``MeterError`` where the meter refuses, does not answer or is gone; ``failure`` has the kind.
    """

    def __init__(self, client: DlmsClient, policy: ClockPolicy) -> None:
        self._client = client
        self._policy = policy

    async def name(self) -> str:
        """Return the logical device name, which is unique among all meters."""
        return text_of(await self._client.get(Get(DataObject.value.at(LOGICAL_DEVICE_NAME))))

    async def clock(self) -> ClockTime:
        """Return the date and time of the meter's clock, with its deviation from UTC and status."""
        return await self._client.run(read_clock())

    async def objects(self) -> list[tuple[int, Obis]]:
        """Return class id and logical name of every object that the meter shows to this client."""
        shown = await self._client.run(read_object_list())
        return [(element.class_id, element.logical_name) for element in shown]

    async def read(self, obis: Obis | str) -> Scaled:
        """Return the exact value of one register, with its unit.

        Raises:
            KeyError: the meter has no such register for this client, or it holds no number.

        """
        code = _code(obis)
        value = (await self._client.run(read_registers([code]))).get(code)
        if not isinstance(value, Scaled):
            raise KeyError(f"{code}: {'not there' if value is None else value.text}")
        return value

    async def profile(self, start: datetime, end: datetime, obis: Obis | str = LOAD_PROFILE) -> Any:
        """Return the rows of a profile from ``start`` to ``end``, both included, as an Arrow table.

        Its columns are ``time`` (UTC), ``status`` (the meter's status word), ``quality`` (list of words), and for each
        captured register a decimal column under its OBIS code, with the unit as field metadata.

        Args:
            start: aware time of the first row.
            end: aware time of the last row.
            obis: logical name of the profile; the load profile by default.

        Raises:
            ValueError: a time is naive.

        """
        first, last = _seconds(start, end)
        rows = await self._client.run(read_profile(_code(obis), first, last, policy=self._policy))
        block = to_capture_block("", rows, received_at=0, source=Source.ON_DEMAND_READ)
        fixed = [("time", TIME), ("status", pa.int32()), ("quality", pa.list_(pa.string()))]
        fields = [exact_field(str(column.obis), column.exponent, column.unit.symbol) for column in block.columns]
        values = [exact_column(column.values, column.exponent) for column in block.columns]
        own = [time_column(block.times), pa.array(block.status), quality_column(block.quality.tolist())]
        return pa.table([*own, *values], pa.schema([*fixed, *fields]))

    async def events(self, start: datetime, end: datetime, obis: Obis | str = EVENT_LOG) -> list[MeterEvent]:
        """Return the entries of an event log from ``start`` to ``end``, both included, oldest first.

        Args:
            start: aware time of the first entry.
            end: aware time of the last entry.
            obis: logical name of the log; the standard event log by default.

        Raises:
            ValueError: a time is naive.

        """
        first, last = _seconds(start, end)
        log = read_events(_code(obis), first, last, device=await self.name(), policy=self._policy)
        return list(await self._client.run(log))


@asynccontextmanager
async def open_meter(
    endpoint: str,
    *,
    auth: str = "none",
    password: bytes | str = b"",
    key: bytes | str = b"",
    auth_key: bytes | str = b"",
    client: int | None = None,
    server: int = 1,
    physical: int | None = None,
    zone: tzinfo = UTC,
    timeout_s: float = 10.0,
    state: Path | None = None,
) -> AsyncIterator[Meter]:
    """Open an association with a DLMS/COSEM meter for the time of the context; nothing is written to the meter.

    Args:
        endpoint: ``tcp://host:4059``, ``udp://…``, ``hdlc+tcp://…`` or ``serial:///dev/ttyUSB0?baud=9600``.
        auth: ``none``, ``lls``, ``hls3``, ``hls4`` or ``hls5`` (GMAC, with ciphering).
        password: of ``lls``; secret of ``hls3`` and ``hls4``.
        key: global unicast encryption key, as octets or hexadecimal digits, for ``hls5``.
        auth_key: authentication key likewise.
        client: client address; by default 16, 2 or 1, as ``auth`` usually has.
        server: logical device.
        physical: lower HDLC address.
        zone: of the meter's clock, where its times have no deviation.
        timeout_s: how long to wait for each answer.
        state: folder that keeps our system title and invocation counters. Without it they last as long as the context,
            and a counter that is behind is asked of the meter; give one for keys that are used more than once.

    Raises:
        MeterError: the meter cannot be reached, or does not associate; ``failure.kind`` is the reason.
        EndpointError: the endpoint is not one of the above.
        ValueError: no such ``auth``, or keys of the wrong size.

    """
    security = Security(auth)
    secret = password.encode() if isinstance(password, str) else password
    keys = MeterKeys(octets_of(key), octets_of(auth_key), secret)
    addresses = LinkAddresses(client_of(security) if client is None else client, server, physical)
    with _state(state) as kept:
        settings = ReaderSettings(
            parse_transport(endpoint, DLMS_TRANSPORTS), addresses, security, keys, timeout_s=timeout_s
        )
        async with Reader(settings, kept).connect() as connected:
            yield Meter(connected, ClockPolicy(zone))


@contextmanager
def _state(folder: Path | None) -> Iterator[StateFile]:
    if folder is not None:
        make_private_folder(folder)
        with StateFile(folder / "reader.sqlite") as kept:
            yield kept
        return
    with tempfile.TemporaryDirectory() as made:
        own = replace(this_machine(), folder=Path(made) / "marks")  # of a title that nobody has again
        with StateFile(Path(made) / "reader.sqlite", marks=own) as kept:
            yield kept


def _seconds(start: datetime, end: datetime) -> tuple[int, int]:
    if start.tzinfo is None or end.tzinfo is None:
        raise ValueError("give both times a time zone")
    return int(start.timestamp()), int(end.timestamp())


def _code(obis: Obis | str) -> Obis:
    return parse_obis(obis) if isinstance(obis, str) else obis
