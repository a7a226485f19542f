import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.engine.association.agreement import Agreement
from meterspan.engine.association.dispatch import INCOMING_OCTETS_MAX, LIST_ITEMS_MAX, Dispatcher
from meterspan.model.cosem.classes import DisconnectControl
from meterspan.model.cosem.device import SERVER_CONFORMANCE
from meterspan.quantities import Obis
from meterspan.wire.acse import ApplicationContext
from meterspan.wire.axdr import data as axdr_data
from meterspan.wire.axdr import integer, visible_string, write_data, write_length
from meterspan.wire.errors import WireError
from meterspan.wire.xdlms import (
    ActionRequestNextPblock,
    ActionRequestNormal,
    ActionRequestWithFirstPblock,
    ActionRequestWithList,
    ActionRequestWithListAndFirstPblock,
    ActionRequestWithPblock,
    ActionResponseNextPblock,
    ActionResult,
    AttributeSelection,
    Conformance,
    CosemAttributeDescriptor,
    CosemMethodDescriptor,
    DataAccessResult,
    DataBlock,
    ExceptionResponse,
    GetRequestNext,
    GetRequestNormal,
    GetRequestWithList,
    InitiateResponse,
    InvokeIdAndPriority,
    OtherAccess,
    SetRequestNormal,
    SetRequestWithDatablock,
    SetRequestWithFirstDatablock,
    SetRequestWithList,
    SetRequestWithListAndFirstDatablock,
    SetResponseDatablock,
    StateFault,
    read_apdu,
    write_apdu,
)
from tests import helpers_cosem
from tests.helpers_cosem import ENERGY, MANAGEMENT_CLIENT, NOTE, PROFILE, Echo, TestMeter

INVOKE = InvokeIdAndPriority(1)
OTHER = InvokeIdAndPriority(2)
NOW = 1_772_323_200.0
ENERGY_VALUE = CosemAttributeDescriptor(3, ENERGY, 2)
NOTE_VALUE = CosemAttributeDescriptor(1, NOTE, 2)
BUFFER = CosemAttributeDescriptor(7, PROFILE, 2)
DISCONNECT = DisconnectControl.remote_disconnect.at(helpers_cosem.SWITCH)
ECHO = CosemMethodDescriptor(Echo.class_id, helpers_cosem.ECHO, Echo.echo.number)


def dispatcher(apdu_max=500, conformance=SERVER_CONFORMANCE, rows=30, client=MANAGEMENT_CLIENT):
    meter = TestMeter(rows)
    definition = meter.device.association(client)
    agreement = Agreement(client, definition.mechanism, ApplicationContext.LN, conformance, apdu_max)
    return Dispatcher(meter.device, definition, agreement=agreement, own={}), meter


def ask(served, apdu, authenticated=True):
    return served.handle(apdu, NOW, authenticated=authenticated)


def block(number, octets, last=False):
    return DataBlock(number, last, octets)


def test_an_unconfirmed_request_is_carried_out_and_not_answered():
    served, meter = dispatcher()
    silent = InvokeIdAndPriority(1, confirmed=False)
    assert ask(served, SetRequestNormal(silent, NOTE_VALUE, visible_string("x"))) is None
    assert meter.note.text == "x"


def test_authenticated_access_needs_an_authenticated_request():
    served, _ = dispatcher()
    assert ask(served, GetRequestNormal(INVOKE, NOTE_VALUE)).result.text == "hello"
    denied = ask(served, GetRequestNormal(INVOKE, NOTE_VALUE), authenticated=False)
    assert denied.result == DataAccessResult.READ_WRITE_DENIED


def test_blocks_of_a_get_come_in_order_and_a_wrong_number_ends_the_transfer():
    served, _ = dispatcher(apdu_max=120)
    first = ask(served, GetRequestNormal(INVOKE, BUFFER))
    assert (first.block_number, first.last_block) == (1, False)
    assert ask(served, GetRequestNext(INVOKE, 1)).block_number == 2
    wrong = ask(served, GetRequestNext(INVOKE, 7))
    assert (wrong.result, wrong.last_block) == (DataAccessResult.DATA_BLOCK_NUMBER_INVALID, True)
    assert ask(served, GetRequestNext(INVOKE, 2)).result == DataAccessResult.NO_LONG_GET_IN_PROGRESS


@pytest.mark.finding("dlms D16")
def test_a_block_that_was_lost_on_the_way_is_sent_again():
    served, _ = dispatcher(apdu_max=120)
    blocks = [ask(served, GetRequestNormal(INVOKE, BUFFER))]
    assert ask(served, GetRequestNext(INVOKE, 0)) == blocks[0]
    while not blocks[-1].last_block:
        number = blocks[-1].block_number
        blocks.append(ask(served, GetRequestNext(INVOKE, number)))
        assert ask(served, GetRequestNext(INVOKE, number)) == blocks[-1]
    whole, _ = dispatcher(apdu_max=60_000)
    octets = b"".join(answer.result for answer in blocks)
    assert octets == write_data(ask(whole, GetRequestNormal(INVOKE, BUFFER)).result)
    assert ask(served, GetRequestNext(INVOKE, blocks[-1].block_number)).result == (
        DataAccessResult.NO_LONG_GET_IN_PROGRESS
    )


@pytest.mark.finding("dlms D16")
@pytest.mark.parametrize("client", [helpers_cosem.PUBLIC_CLIENT, helpers_cosem.READER_CLIENT])
def test_a_client_cannot_tell_an_object_that_it_is_not_shown_from_one_that_does_not_exist(client):
    served, meter = dispatcher(client=client)
    shown = {(item.class_id, item.logical_name) for item in meter.device.view(meter.device.association(client))}
    absent = Obis(1, 0, 9, 9, 9)
    for name in {item.logical_name for item in meter.device.objects} - {name for _, name in shown}:
        for class_id in (1, 3, 7, 8, 70, Echo.class_id):
            answers = [
                ask(served, GetRequestNormal(INVOKE, CosemAttributeDescriptor(class_id, at, 2))).result
                for at in (name, absent)
            ]
            assert answers == [DataAccessResult.OBJECT_UNDEFINED] * 2
    (class_id, name), *_ = sorted(shown)
    other = ask(served, GetRequestNormal(INVOKE, CosemAttributeDescriptor(class_id + 500, name, 2)))
    assert other.result == DataAccessResult.OBJECT_CLASS_INCONSISTENT


def test_another_invoke_id_does_not_continue_a_get():
    served, _ = dispatcher()
    ask(served, GetRequestNormal(INVOKE, BUFFER))
    assert ask(served, GetRequestNext(OTHER, 1)).result == DataAccessResult.NO_LONG_GET_IN_PROGRESS


def test_a_new_get_ends_a_transfer_that_was_not_finished():
    served, _ = dispatcher()
    ask(served, GetRequestNormal(INVOKE, BUFFER))
    ask(served, GetRequestNormal(INVOKE, ENERGY_VALUE))
    assert ask(served, GetRequestNext(INVOKE, 1)).result == DataAccessResult.NO_LONG_GET_IN_PROGRESS


def test_a_set_in_blocks_is_written_once_it_is_whole():
    served, meter = dispatcher()
    octets = write_data(visible_string("in blocks"))
    began = ask(served, SetRequestWithFirstDatablock(INVOKE, NOTE_VALUE, block(1, octets[:4])))
    assert began == SetResponseDatablock(INVOKE, 1)
    assert meter.note.text == "hello"
    done = ask(served, SetRequestWithDatablock(INVOKE, block(2, octets[4:], last=True)))
    assert (done.result, done.block_number) == (DataAccessResult.SUCCESS, 2)
    assert meter.note.text == "in blocks"


@pytest.mark.finding("dlms D16")
@pytest.mark.parametrize(
    ("bad", "result"),
    [
        (block(3, b"x", last=True), DataAccessResult.DATA_BLOCK_NUMBER_INVALID),
        (block(1, b"x", last=True), DataAccessResult.DATA_BLOCK_NUMBER_INVALID),
        (block(2, b"", last=False), DataAccessResult.LONG_SET_ABORTED),
        (block(2, b"\xee", last=True), DataAccessResult.LONG_SET_ABORTED),
    ],
)
def test_a_broken_set_in_blocks_writes_nothing(bad, result):
    served, meter = dispatcher()
    ask(served, SetRequestWithFirstDatablock(INVOKE, NOTE_VALUE, block(1, write_data(visible_string("abc"))[:3])))
    assert ask(served, SetRequestWithDatablock(INVOKE, bad)).result == result
    again = ask(served, SetRequestWithDatablock(INVOKE, block(2, b"x", last=True)))
    assert again.result == DataAccessResult.NO_LONG_SET_IN_PROGRESS
    assert meter.note.text == "hello"


def test_a_set_that_grows_without_end_is_cut_off():
    served, _ = dispatcher()
    piece = bytes(60_000)
    ask(served, SetRequestWithFirstDatablock(INVOKE, NOTE_VALUE, block(1, piece)))
    for number in range(2, INCOMING_OCTETS_MAX // len(piece) + 2):
        answer = ask(served, SetRequestWithDatablock(INVOKE, block(number, piece)))
    assert answer.result == DataAccessResult.LONG_SET_ABORTED


def test_lists_are_written_whole_and_in_blocks():
    served, meter = dispatcher()
    targets = (AttributeSelection(NOTE_VALUE), AttributeSelection(ENERGY_VALUE))
    expected = (DataAccessResult.SUCCESS, DataAccessResult.READ_WRITE_DENIED)
    values = (visible_string("a"), integer(1))
    assert ask(served, SetRequestWithList(INVOKE, targets, values)).results == expected
    octets = b"\x02" + write_data(visible_string("b")) + write_data(integer(1))
    request = SetRequestWithListAndFirstDatablock(INVOKE, targets, block(1, octets, last=True))
    assert ask(served, request).results == expected
    assert meter.note.text == "b"
    assert isinstance(ask(served, SetRequestWithList(INVOKE, targets, values[:1])), ExceptionResponse)
    short = SetRequestWithListAndFirstDatablock(INVOKE, targets, block(1, b"\x01\x0f\x01", last=True))
    assert ask(served, short).result == DataAccessResult.LONG_SET_ABORTED


def test_methods_run_in_lists_and_blocks():
    served, _ = dispatcher()
    unknown = CosemMethodDescriptor(70, Obis(9, 9, 9, 9, 9), 1)
    values = (visible_string("a"), integer(0))
    outcomes = ask(served, ActionRequestWithList(INVOKE, (ECHO, unknown), values)).outcomes
    assert [outcome.result for outcome in outcomes] == [ActionResult.SUCCESS, ActionResult.OBJECT_UNDEFINED]
    octets = b"\x02" + write_data(values[0]) + write_data(values[1])
    request = ActionRequestWithListAndFirstPblock(INVOKE, (ECHO, unknown), block(1, octets, last=True))
    assert ask(served, request).outcomes == outcomes
    octets = write_data(values[0])
    assert ask(served, ActionRequestWithFirstPblock(INVOKE, ECHO, block(1, octets[:1]))) == ActionResponseNextPblock(
        INVOKE, 1
    )
    done = ask(served, ActionRequestWithPblock(INVOKE, block(2, octets[1:], last=True)))
    assert done.outcome.returned == values[0]


@pytest.mark.parametrize("bad", [block(5, b"x", last=True), block(2, b"\xee", last=True)])
def test_a_broken_action_in_blocks_runs_nothing(bad):
    served, _ = dispatcher()
    ask(served, ActionRequestWithFirstPblock(INVOKE, ECHO, block(1, b"\x0a")))
    assert ask(served, ActionRequestWithPblock(INVOKE, bad)).outcome.result == ActionResult.LONG_ACTION_ABORTED
    late = ask(served, ActionRequestWithPblock(INVOKE, block(3, b"x", last=True)))
    assert late.outcome.result == ActionResult.NO_LONG_ACTION_IN_PROGRESS


def test_a_long_return_value_comes_in_blocks():
    served, _ = dispatcher(apdu_max=100)
    value = visible_string("r" * 200)
    answer = ask(served, ActionRequestNormal(INVOKE, ECHO, value))
    octets = answer.block.raw_data
    while not answer.block.last_block:
        answer = ask(served, ActionRequestNextPblock(INVOKE, answer.block.block_number))
        octets += answer.block.raw_data
    assert octets == write_data(value)
    late = ask(served, ActionRequestNextPblock(INVOKE, 3))
    assert late.outcome.result == ActionResult.NO_LONG_ACTION_IN_PROGRESS


@pytest.mark.attack(2)
@pytest.mark.finding("dlms D10")
def test_an_attribute_that_a_list_names_many_times_is_read_once():
    served, meter = dispatcher(apdu_max=60_000)
    reads = []
    meter.last_counter = lambda: len(reads) or reads.append(1) or 0
    counter = AttributeSelection(CosemAttributeDescriptor(1, helpers_cosem.COUNTER, 2))
    note = AttributeSelection(NOTE_VALUE)
    results = ask(served, GetRequestWithList(INVOKE, (counter, note) * (LIST_ITEMS_MAX // 2))).results
    assert len(reads) == 1
    assert [item.value for item in results[:4]] == [0, "hello", 0, "hello"]
    assert len(results) == LIST_ITEMS_MAX


def test_long_lists_are_refused_before_anything_is_read():
    served, _ = dispatcher()
    request = GetRequestWithList(INVOKE, (AttributeSelection(ENERGY_VALUE),) * (LIST_ITEMS_MAX + 1))
    assert isinstance(ask(served, request), ExceptionResponse)


def test_services_outside_the_conformance_are_not_allowed():
    served, _ = dispatcher(conformance=Conformance.SET)
    answer = ask(served, GetRequestNormal(INVOKE, ENERGY_VALUE))
    assert answer.state == StateFault.SERVICE_NOT_ALLOWED
    served, _ = dispatcher(conformance=Conformance.GET)
    assert ask(served, GetRequestNormal(INVOKE, BUFFER)).result == DataAccessResult.DATA_BLOCK_UNAVAILABLE
    selected = GetRequestNormal(INVOKE, BUFFER, OtherAccess(9, integer(0)))
    assert ask(served, selected).result == DataAccessResult.SCOPE_OF_ACCESS_VIOLATED


def test_an_apdu_that_is_no_request_is_unknown():
    served, _ = dispatcher()
    answer = ask(served, InitiateResponse(Conformance.GET, 100))
    assert answer.state == StateFault.SERVICE_UNKNOWN


def test_selective_access_of_anything_but_a_buffer_is_refused():
    served, _ = dispatcher()
    access = OtherAccess(1, integer(0))
    assert ask(served, GetRequestNormal(INVOKE, ENERGY_VALUE, access)).result == (
        DataAccessResult.SCOPE_OF_ACCESS_VIOLATED
    )
    assert ask(served, SetRequestNormal(INVOKE, NOTE_VALUE, integer(1), access)).result == (
        DataAccessResult.SCOPE_OF_ACCESS_VIOLATED
    )


SERVED, _ = dispatcher(apdu_max=120, rows=4)


@given(st.sampled_from([0xC0, 0xC1, 0xC3]), st.binary(max_size=60))
def test_any_request_that_can_be_read_gets_an_answer_that_can_be_written(tag, octets):
    try:
        apdu = read_apdu(bytes((tag,)) + octets)
    except WireError:
        return
    answer = ask(SERVED, apdu)
    if answer is not None:
        assert read_apdu(write_apdu(answer)) == answer


BOMB = bytes.fromhex("0214") + bytes.fromhex("13020201ffff00110101") * 20
"""A structure of compact-arrays that announce 65,537 values in 10 octets each."""


@pytest.fixture
def values_read(monkeypatch):
    """How many A-XDR values are made while requests are read and served."""
    made, real = [0], axdr_data.Data

    def counting(*args):
        made[0] += 1
        return real(*args)

    monkeypatch.setattr(axdr_data, "Data", counting)
    return made


def denied_requests():
    """Yield requests to write or run what the reader may not, each with a value that costs."""
    attribute, method = bytes.fromhex("0001") + bytes(NOTE) + b"\x02", bytes.fromhex("2000") + bytes(helpers_cosem.ECHO)
    yield b"\xc1\x01\xc1" + attribute + b"\x00" + BOMB
    yield b"\xc1\x04\xc1\x02" + (attribute + b"\x00") * 2 + b"\x02" + BOMB * 2
    yield b"\xc3\x01\xc1" + method + b"\x01\x01" + BOMB
    yield b"\xc3\x03\xc1\x01" + method + b"\x01" + b"\x01" + BOMB


@pytest.mark.parametrize("octets", list(denied_requests()))
def test_a_value_is_not_read_where_the_client_may_not_write_or_run(octets, values_read):
    served, _ = dispatcher(client=helpers_cosem.READER_CLIENT)
    values_read[0] = 0
    answer = ask(served, served.read(octets, authenticated=False))
    results = answer.results if hasattr(answer, "results") else getattr(answer, "outcomes", None)
    found = results or [answer.result if hasattr(answer, "result") else answer.outcome]
    assert all(getattr(item, "result", item) in (3, ActionResult.READ_WRITE_DENIED) for item in found)
    assert values_read[0] <= 2


@pytest.mark.parametrize("octets", list(denied_requests()))
def test_a_value_that_costs_more_than_its_octets_is_refused_where_it_may_be_written(octets):
    served, _ = dispatcher()
    with pytest.raises(WireError, match="values in"):
        served.read(octets, authenticated=True)


@pytest.mark.parametrize(
    ("attribute", "result"),
    [
        (bytes.fromhex("0001") + bytes(NOTE) + b"\x02", DataAccessResult.READ_WRITE_DENIED),
        (bytes.fromhex("0003") + bytes(ENERGY) + b"\x02", DataAccessResult.SCOPE_OF_ACCESS_VIOLATED),
        (bytes.fromhex("0007") + bytes(PROFILE) + b"\x02", DataAccessResult.SCOPE_OF_ACCESS_VIOLATED),
        (bytes.fromhex("0003") + bytes(Obis(9, 9, 9, 9, 9)) + b"\x02", DataAccessResult.OBJECT_UNDEFINED),
    ],
)
def test_access_parameters_are_not_read_where_nothing_can_be_selected_by_them(attribute, result, values_read):
    served, _ = dispatcher(client=helpers_cosem.READER_CLIENT)
    values_read[0] = 0
    request = served.read(b"\xc0\x01\xc1" + attribute + b"\x01\x63" + BOMB, authenticated=False)
    assert ask(served, request, authenticated=False).result == result
    assert values_read[0] <= 2


def test_a_value_in_blocks_is_not_read_where_the_client_may_not_write(values_read):
    served, meter = dispatcher(client=helpers_cosem.READER_CLIENT)
    values_read[0] = 0
    first = SetRequestWithFirstDatablock(INVOKE, NOTE_VALUE, block(1, BOMB[:100]))
    assert isinstance(ask(served, first), SetResponseDatablock)
    answer = ask(served, SetRequestWithDatablock(INVOKE, block(2, BOMB[100:], last=True)))
    assert answer.result == DataAccessResult.READ_WRITE_DENIED
    assert meter.note.text == "hello"
    assert values_read[0] <= 2


WITHOUT_BLOCKS = SERVER_CONFORMANCE & ~(
    Conformance.BLOCK_TRANSFER_WITH_GET | Conformance.BLOCK_TRANSFER_WITH_SET | Conformance.BLOCK_TRANSFER_WITH_ACTION
)


def answers_to(served, request):
    """Yield each answer up to the last block of an answer in blocks."""
    answer = ask(served, request)
    while True:
        yield answer
        block_ = getattr(answer, "block", answer)
        if getattr(block_, "last_block", True):
            return
        following = GetRequestNext if hasattr(answer, "result") else ActionRequestNextPblock
        answer = ask(served, following(INVOKE, block_.block_number))


@pytest.mark.attack(6)
@pytest.mark.finding("dlms D8")
@given(
    st.integers(12, 300),
    st.integers(1, LIST_ITEMS_MAX),
    st.sampled_from([SERVER_CONFORMANCE, WITHOUT_BLOCKS]),
    st.sampled_from(["get", "set", "set in blocks", "action", "action in blocks", "run"]),
)
def test_no_answer_to_a_list_is_longer_than_the_client_s_pdu(apdu_max, items, conformance, kind):
    served, meter = dispatcher(apdu_max, conformance)
    wanted = (AttributeSelection(NOTE_VALUE),) * items
    values = (visible_string("written"),) * items
    octets = write_length(items) + write_data(values[0]) * items
    request = {
        "get": GetRequestWithList(INVOKE, wanted),
        "set": SetRequestWithList(INVOKE, wanted, values),
        "set in blocks": SetRequestWithListAndFirstDatablock(INVOKE, wanted, block(1, octets, last=True)),
        "action": ActionRequestWithList(INVOKE, (ECHO,) * items, values),
        "action in blocks": ActionRequestWithListAndFirstPblock(INVOKE, (ECHO,) * items, block(1, octets, last=True)),
        "run": ActionRequestWithList(INVOKE, (DISCONNECT,) * items, (integer(0),) * items),
    }[kind]
    answers = list(answers_to(served, request))
    assert all(len(write_apdu(answer)) <= apdu_max for answer in answers)
    if isinstance(answers[0], ExceptionResponse):  # then nothing was carried out
        assert (meter.note.text, meter.connected) == ("hello", True)


def test_the_outcomes_of_a_long_list_come_in_blocks():
    served, _ = dispatcher(apdu_max=64)
    request = ActionRequestWithList(INVOKE, (ECHO,) * 20, (visible_string("echo"),) * 20)
    answers = list(answers_to(served, request))
    octets = b"".join(answer.block.raw_data for answer in answers)
    assert len(answers) > 2
    assert octets == bytes((20,)) + (b"\x00\x01\x00" + write_data(visible_string("echo"))) * 20


@pytest.mark.attack(6)
@pytest.mark.finding("dlms D9")
@pytest.mark.parametrize("client", [MANAGEMENT_CLIENT, helpers_cosem.READER_CLIENT, helpers_cosem.PUBLIC_CLIENT])
def test_the_rights_that_are_shown_are_the_rights_that_are_held(client):
    assert helpers_cosem.differing_rights(TestMeter(2).device, client, NOW) == []


def test_an_answer_that_no_block_has_room_for_is_unavailable():
    served, _ = dispatcher(apdu_max=12)
    assert ask(served, GetRequestNormal(INVOKE, BUFFER)).result == DataAccessResult.DATA_BLOCK_UNAVAILABLE
    echo = ask(served, ActionRequestNormal(INVOKE, ECHO, visible_string("x" * 40)))
    assert echo.outcome.result == ActionResult.DATA_BLOCK_UNAVAILABLE
