"""What reading costs is bounded by the octets, and in total: each entry point is fed the worst of every grammar.

The entry points are found, not listed: a decoder, a port or a command's file that is new and has no case fails here.
The law is of calls and of memory, which no machine changes; ``scripts/bench cost`` shows the CPU beside them.
"""

import ast
import importlib
import inspect
import pkgutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import pytest

from meterspan import readings, wire
from meterspan.app.importing import ImportRequest, import_into
from meterspan.mdm.table_reader import TableDefaults
from meterspan.readings.decoder import Decoder
from meterspan.readings.job import DecodeJob
from meterspan.wire import Cursor, WireError
from meterspan.wire.hdlc import HdlcReader
from meterspan.wire.mbus.link import FrameReader
from meterspan.wire.p1 import P1Reader
from meterspan.wire.wmbus import FormatStore
from meterspan.wire.wmbus.compact import expand_compact
from meterspan.wire.wrapper import WrapperReader
from meterspan.wire.xdlms.common import read_invoke_id, read_list
from tests.worst import CALLS_MAX, CALLS_PER_OCTET, MEMORY_MAX, MIB, WORST, cost_of

pytestmark = pytest.mark.attack(2)

SOURCE = Path(__file__).parents[1] / "src" / "meterspan"
SIZES = [1 << 13, pytest.param(MIB, marks=pytest.mark.deep)]
"""The law of calls for each octet shows in short messages as well; that in total, and of memory, in the long ones."""
DECODES = (
    "read_",
    "decode_",
    "find_",
    "strip_",
    "expand_",
    "compile_",
    "without_",
    "blanked",
    "octets_of",
    "recognise",
)
"""How the names of functions begin that turn octets into something."""
PRIMITIVES = {
    "wire.axdr.length.read_octets",
    "wire.axdr.length.read_flag",
    "wire.length.read_length",
    "wire.ber.tlv.read_tag",
    "wire.xdlms.common.read_choice",
    "wire.mbus.records.read_header",
    "wire.mbus.vif.read_quantity",
    "wire.xdlms.ciphered.read_ciphered",
    "wire.xdlms.ciphered.read_general_ciphered",
}
"""They read one field, which a case of another reads too."""


def found_in(package: ModuleType) -> dict[str, Callable[..., object]]:
    """Every public function below a package whose name says that it decodes, by its place."""
    functions = {}
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        for name, value in vars(importlib.import_module(module.name)).items():
            is_own = inspect.isfunction(value) and value.__module__ == module.name
            if is_own and name.startswith(DECODES) and _takes_octets(value):
                functions[f"{module.name.removeprefix('meterspan.')}.{name}"] = value
    return functions


def _takes_octets(function: Callable[..., object]) -> bool:
    """Whether the first argument is octets; the fields of a record that was read already are bounded by it."""
    first = next(iter(inspect.signature(function).parameters.values()), None)
    return first is not None and any(kind in str(first.annotation) for kind in ("bytes", "Cursor"))


def decoded(function: Callable[..., object]) -> Callable[[bytes], object]:
    """Call a function that takes octets, a cursor, or octets and a job."""
    parameters = list(inspect.signature(function).parameters.values())
    needed = [parameter for parameter in parameters[1:] if parameter.default is parameter.empty]
    kinds = str(parameters[0].annotation)
    if [parameter.name for parameter in needed if parameter.kind is not parameter.KEYWORD_ONLY] == ["job"]:
        return lambda octets: function(octets, DecodeJob())
    if [parameter.name for parameter in needed] == ["name"]:
        return lambda octets: function(Cursor(octets), "field")
    assert not needed, f"{function.__module__}.{function.__name__} needs a case of its own"
    if "bytes" in kinds:
        return lambda octets: _exhausted(function(octets))
    return lambda octets: function(Cursor(octets))


def _exhausted(result: object) -> object:
    return list(result) if inspect.isgenerator(result) else result


FOUND = found_in(wire) | found_in(readings)
SPECIAL: dict[str, Callable[[bytes], object]] = {
    "wire.wmbus.compact.expand_compact": lambda octets: expand_compact(octets, FormatStore()),
    "wire.xdlms.common.read_list": lambda octets: read_list(Cursor(octets), read_invoke_id, "list"),
    "readings.decoder.Decoder": Decoder().decode,
}
MESSAGES = SPECIAL | {name: decoded(FOUND[name]) for name in sorted(FOUND) if name not in PRIMITIVES | set(SPECIAL)}


def fed(octets: bytes, feed: Callable[[bytes], object], part: int = 1_024) -> None:
    for start in range(0, len(octets), part):
        feed(octets[start : start + part])


STREAMS: dict[str, Callable[[bytes], object]] = {
    "wire.hdlc.reader.HdlcReader": lambda octets: fed(octets, HdlcReader().feed),
    "wire.mbus.link.FrameReader": lambda octets: fed(octets, FrameReader().receive),
    "wire.p1.reader.P1Reader": lambda octets: fed(octets, P1Reader().receive),
    "wire.wrapper.reader.WrapperReader": lambda octets: fed(octets, WrapperReader().feed),
}


@pytest.mark.finding("security C3", "dlms D1")
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("entry", MESSAGES)
def test_the_worst_message_of_any_grammar_costs_a_bounded_number_of_calls_and_little_memory(
    entry: str, size: int
) -> None:
    for name, build in WORST.items():
        octets = build(size)
        cost = cost_of(lambda octets=octets: MESSAGES[entry](octets), WireError, counts_memory=size == MIB)
        assert cost.calls <= min(CALLS_MAX, CALLS_PER_OCTET * size), name
        assert cost.octets <= MEMORY_MAX, name


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("entry", STREAMS)
def test_a_stream_of_the_worst_of_any_grammar_costs_no_more_for_each_octet(entry: str, size: int) -> None:
    """Frames are handed out one by one; the port that reads them bounds how many it reads (``test_flooded_ports``)."""
    for name, build in WORST.items():
        octets = build(size)
        cost = cost_of(lambda octets=octets: STREAMS[entry](octets), counts_memory=size == MIB)
        assert cost.calls <= CALLS_PER_OCTET * size, name
        assert cost.octets <= MEMORY_MAX, name


def test_every_reader_of_a_stream_has_a_case() -> None:
    readers = set()
    for module in pkgutil.walk_packages(wire.__path__, "meterspan.wire."):
        for name, value in vars(importlib.import_module(module.name)).items():
            is_own = inspect.isclass(value) and value.__module__ == module.name
            if is_own and name.endswith("Reader") and not name.startswith("_"):
                readers.add(f"{module.name.removeprefix('meterspan.')}.{name}")
    assert readers == set(STREAMS)


def test_what_is_left_out_is_there_and_decodes() -> None:
    assert set(FOUND) >= PRIMITIVES
    assert len(MESSAGES) > 50


PORTS = {
    "portal/server.py __init__": "portal/test_cost.py::test_no_request_of_any_route_costs_more_than_its_answer",
    "runtime/dlms_server.py listen": "runtime/test_dlms_server.py"
    "::test_a_megabyte_that_proves_nothing_is_not_read_to_its_end",
    "runtime/media.py _connect_udp": "runtime/test_shell.py"
    "::test_a_peer_that_sends_without_end_and_without_an_answer_is_cut_off",
    "runtime/media.py _listen_tcp": "runtime/test_shell.py"
    "::test_a_stream_fed_in_turns_lets_others_have_theirs_and_loses_nothing",
    "runtime/media.py _listen_udp": "runtime/test_media.py"
    "::test_datagrams_that_prove_nothing_are_heard_at_a_bounded_rate_and_those_of_a_proved_peer_at_any",
    "runtime/meter_host.py listen": "runtime/test_meter_host.py"
    "::test_masters_beyond_the_places_of_the_wired_slave_close_the_oldest",
    "runtime/meter_host.py open": "runtime/test_radio.py"
    "::test_every_datagram_is_one_telegram_in_order_with_sender_and_time",
    "runtime/push_ports.py _listen_to_datagrams": "runtime/test_push_ports.py"
    "::test_forged_datagrams_cost_a_bounded_time_hold_no_place_and_learn_nothing",
    "runtime/push_ports.py listen": "runtime/test_head_end_host.py"
    "::test_a_sender_whose_pushes_are_all_refused_is_closed_and_its_flood_is_not_read_to_its_end",
    "runtime/push_source.py pushed_apdus": "runtime/test_push_source.py"
    "::test_a_flood_of_the_smallest_frames_costs_the_push_of_another_connection_nothing",
    "runtime/radio.py radio_telegrams": "runtime/test_radio.py"
    "::test_a_flood_under_the_addresses_of_all_meters_loses_no_genuine_telegram",
    "runtime/relay.py listen": "runtime/test_relay.py"
    "::test_for_a_reader_too_many_the_oldest_of_the_address_with_most_is_closed",
}
"""Every place that opens a port, and the test of what a flood costs there."""
OPENS = {"create_server", "create_datagram_endpoint", "listen_stream", "start_server", "create_unix_server", "Config"}


def places_that_open_ports() -> set[str]:
    found = set()
    for path in SOURCE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for function in ast.walk(ast.parse(text)) if any(f"{name}(" in text for name in OPENS) else ():
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                calls = [node.func for node in ast.walk(function) if isinstance(node, ast.Call)]
                names = {getattr(call, "attr", getattr(call, "id", "")) for call in calls}
                if names & OPENS:
                    found.add(f"{path.relative_to(SOURCE).as_posix()} {function.name}")
    return found


def test_every_port_has_a_test_of_what_a_flood_costs_there() -> None:
    assert places_that_open_ports() == set(PORTS)
    for proof in PORTS.values():
        place, _, name = proof.partition("::")
        assert f"def {name}(" in (Path(__file__).parent / place).read_text(encoding="utf-8")


def steps_of(run: Callable[[], object]) -> int:
    """Return how many lines of this project are run: a loop without a call counts too."""
    count = 0

    def each(frame: FrameType, event: str, _value: object) -> Any:
        nonlocal count
        if not frame.f_code.co_filename.startswith(str(SOURCE)):
            return None
        count += event == "line"
        return each

    sys.settrace(each)
    try:
        run()
    finally:
        sys.settrace(None)
    return count


TABLES = {
    "intervals": ("device,start,end,kWh", "E{0},2026-03-01T00:00Z,2026-03-01T00:15Z,0.5"),
    "registers": ("device,obis,time,value,unit", "E{0},1-0:1.8.0,2026-03-01T00:00Z,0.5,kWh"),
}


@pytest.mark.parametrize("home_each", [False, True])
@pytest.mark.parametrize("table", TABLES)
def test_a_line_of_a_table_costs_no_more_however_many_meters_the_table_has(
    table: str, tmp_path: Path, *, home_each: bool
) -> None:
    head, row = TABLES[table]
    request = ImportRequest("in.csv", TableDefaults("UTC", home_each=home_each))

    def steps(count: int) -> int:
        lines = [f"{head}\n", *(f"{row.format(number)}\n" for number in range(count))]
        return steps_of(lambda: import_into(tmp_path / f"d{count}", lines, request))

    steps(1)
    least, few, many = steps(2), steps(50), steps(200)
    assert many - least < 4.6 * (few - least)
