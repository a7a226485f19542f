"""Pending requests without a link: what is asked, in which pieces, and what any answer makes of it."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from meterspan.engine.association.agreement import Agreement
from meterspan.engine.association.pending_request import LIST_ITEMS_MAX, pending_request_for
from meterspan.engine.association.records import (
    CLIENT_CONFORMANCE,
    ActionDone,
    ActionList,
    ActionListDone,
    Encoded,
    GetDone,
    GetList,
    RequestFailed,
    SetDone,
)
from meterspan.model.failures import FailureKind
from meterspan.wire.acse import ApplicationContext, AuthenticationMechanism
from meterspan.wire.axdr import integer, null, read_data, visible_string
from meterspan.wire.errors import WireError
from meterspan.wire.xdlms import (
    ActionOutcome,
    ActionRequestNextPblock,
    ActionRequestNormal,
    ActionRequestWithFirstPblock,
    ActionRequestWithList,
    ActionRequestWithListAndFirstPblock,
    ActionRequestWithPblock,
    ActionResponseNextPblock,
    ActionResponseNormal,
    ActionResponseWithList,
    ActionResponseWithPblock,
    ActionResult,
    Conformance,
    DataAccessResult,
    DataBlock,
    GetRequestNext,
    GetRequestNormal,
    GetRequestWithList,
    GetResponseNormal,
    GetResponseWithDatablock,
    GetResponseWithList,
    InvokeIdAndPriority,
    SetRequestNormal,
    SetRequestWithFirstDatablock,
    SetRequestWithList,
    SetResponseDatablock,
    SetResponseLastDatablock,
    SetResponseNormal,
    SetResponseWithList,
    read_apdu,
    write_apdu,
)
from tests.helpers_cosem import CLOCK, ENERGY, NOTE, PROFILE, SWITCH, action_of, get_of, set_of

INVOKE = InvokeIdAndPriority(5)
REQUESTS = (
    get_of(3, ENERGY),
    get_of(7, PROFILE, encoded=True),
    GetList((get_of(3, ENERGY), get_of(1, NOTE))),
    set_of(1, NOTE, 2, visible_string("x" * 400)),
    action_of(8, CLOCK, 6, visible_string("y" * 400)),
    ActionList((action_of(8, CLOCK, 6, visible_string("y")), action_of(8, CLOCK, 6))),
)


def pending(request, *, apdu_max=200, conformance=CLIENT_CONFORMANCE, answer_max=1_000):
    agreement = Agreement(1, AuthenticationMechanism.LOWEST, ApplicationContext.LN, conformance, apdu_max)
    return pending_request_for(request, 7, INVOKE, agreement, answer_max=answer_max)


@given(st.sampled_from(REQUESTS), st.lists(st.binary(min_size=2, max_size=60), max_size=4))
def test_any_answer_makes_a_step_or_a_wire_error(request_, answers):
    running = pending(request_)
    running.start()
    for octets in answers:
        try:
            step = running.answer(read_apdu(bytes((0xC4 + octets[0] % 4,)) + octets[1:]))
        except WireError:
            return
        if isinstance(step, GetDone | SetDone | ActionDone | ActionListDone | RequestFailed):
            assert step.request_id == 7
            return
        assert len(write_apdu(step)) <= 200


@pytest.mark.parametrize("request_", REQUESTS)
def test_what_is_not_negotiated_fails_before_anything_is_sent(request_):
    step = pending(request_, conformance=Conformance(0)).start()
    assert isinstance(step, RequestFailed)
    assert (step.request_id, step.failure.kind) == (7, FailureKind.UNSUPPORTED)


def test_a_list_is_asked_in_as_many_requests_as_the_server_s_pdu_needs_and_answered_in_order():
    items = tuple(get_of(3, ENERGY) for _ in range(LIST_ITEMS_MAX + 10))
    running = pending(GetList(items), apdu_max=400)
    step, asked = running.start(), 0
    while not isinstance(step, GetDone):
        assert isinstance(step, GetRequestWithList | GetRequestNormal)
        assert len(write_apdu(step)) <= 400
        count = len(step.attributes) if isinstance(step, GetRequestWithList) else 1
        results = tuple(integer(number % 100) for number in range(asked, asked + count))
        asked += count
        answer = GetResponseWithList(INVOKE, results) if count > 1 else GetResponseNormal(INVOKE, results[0])
        step = running.answer(answer)
    assert [value.integer for value in step.results] == [number % 100 for number in range(len(items))]


def test_an_encoded_value_is_asked_alone_and_comes_as_octets_whole_or_in_blocks():
    octets = bytes.fromhex("0203110111021103")
    running = pending(get_of(7, PROFILE, encoded=True))
    running.start()
    whole = running.answer_unread(write_apdu(GetResponseNormal(INVOKE, read_data(octets))))
    running = pending(get_of(7, PROFILE, encoded=True))
    running.start()
    following = running.answer(GetResponseWithDatablock(INVOKE, 1, last_block=False, result=octets[:3]))
    assert following == GetRequestNext(INVOKE, 1)
    blocks = running.answer(GetResponseWithDatablock(INVOKE, 2, last_block=True, result=octets[3:]))
    assert whole == blocks == GetDone(7, (Encoded(octets),))


def test_a_refused_block_transfer_refuses_every_attribute_that_was_asked():
    running = pending(GetList((get_of(3, ENERGY), get_of(1, NOTE))))
    running.start()
    refused = DataAccessResult.HARDWARE_FAULT
    done = running.answer(GetResponseWithDatablock(INVOKE, 1, last_block=True, result=refused))
    assert done == GetDone(7, (refused, refused))


def test_a_long_value_is_written_in_blocks_that_fit():
    step = pending(set_of(1, NOTE, 2, visible_string("x" * 400))).start()
    assert isinstance(step, SetRequestWithFirstDatablock)
    assert len(write_apdu(step)) <= 200


LISTED: list[int] = []
"""The methods of the list whose parameters come in blocks now."""


def answered(step):
    """Answer a request of SET or ACTION as a server does that takes every block."""
    match step:
        case SetRequestNormal():
            return SetResponseNormal(INVOKE, DataAccessResult.SUCCESS)
        case SetRequestWithList():
            return SetResponseWithList(INVOKE, (DataAccessResult.SUCCESS,) * len(step.values))
        case ActionRequestNormal():
            return ActionResponseNormal(INVOKE, ActionOutcome(ActionResult.SUCCESS))
        case ActionRequestWithList():
            return ActionResponseWithList(INVOKE, (ActionOutcome(ActionResult.SUCCESS),) * len(step.methods))
    block = step.block
    if isinstance(step, ActionRequestWithListAndFirstPblock):
        LISTED[:] = [len(step.methods)]
    elif isinstance(step, ActionRequestWithFirstPblock):
        LISTED[:] = []
    if isinstance(step, ActionRequestWithFirstPblock | ActionRequestWithListAndFirstPblock | ActionRequestWithPblock):
        if block.last_block and LISTED:
            return ActionResponseWithList(INVOKE, (ActionOutcome(ActionResult.SUCCESS),) * LISTED.pop())
        if block.last_block:
            return ActionResponseNormal(INVOKE, ActionOutcome(ActionResult.SUCCESS))
        return ActionResponseNextPblock(INVOKE, block.block_number)
    if block.last_block:
        return SetResponseLastDatablock(INVOKE, DataAccessResult.SUCCESS, block.block_number)
    return SetResponseDatablock(INVOKE, block.block_number)


SENT = {
    "GET": lambda value: get_of(3, ENERGY),
    "SET": lambda value: set_of(1, NOTE, 2, value),
    "ACTION": lambda value: action_of(8, CLOCK, 6, value),
    "ACTION with-list": lambda value: ActionList((action_of(8, CLOCK, 6, value), action_of(8, CLOCK, 6)) * 2),
    "ACTION without a parameter": lambda value: action_of(8, CLOCK, 6),
}


@pytest.mark.attack(6)
@pytest.mark.finding("dlms D7")
@given(st.integers(12, 1_024), st.booleans(), st.sampled_from(sorted(SENT)), st.integers(0, 1_500))
@example(12, False, "SET", 100)
@example(44, True, "SET", 100)
@example(46, True, "ACTION", 100)
def test_requests_fit_any_pdu_of_the_server_and_end_or_are_refused_at_once(max_pdu, ciphered, kind, size):
    context = ApplicationContext.LN_CIPHERED if ciphered else ApplicationContext.LN
    agreement = Agreement(1, AuthenticationMechanism.LOWEST, context, CLIENT_CONFORMANCE, max_pdu)
    request = SENT[kind](visible_string("x" * size))
    running = pending_request_for(request, 7, INVOKE, agreement, answer_max=1_000)
    step, steps = running.start(), 0
    if isinstance(step, RequestFailed):
        assert step.failure.kind is FailureKind.UNSUPPORTED
        assert f"PDU of {max_pdu} octets" in str(step.failure)
        assert agreement.apdu_max < 24
        return
    while not isinstance(step, GetDone | SetDone | ActionDone | ActionListDone):
        steps += 1
        assert len(write_apdu(step)) <= agreement.apdu_max
        assert steps <= size + 2
        step = running.answer(GetResponseNormal(INVOKE, integer(1)) if kind == "GET" else answered(step))


def test_an_answer_beyond_the_bound_is_a_wire_error():
    running = pending(get_of(7, PROFILE), answer_max=10)
    running.start()
    with pytest.raises(WireError, match="more than 10 octets"):
        running.answer(GetResponseWithDatablock(INVOKE, 1, last_block=False, result=bytes(11)))


@pytest.mark.finding("dlms D16")
def test_methods_run_in_one_request_and_each_has_its_outcome():
    asked = ActionList((action_of(70, SWITCH, 1, integer(0)), action_of(8, CLOCK, 6)))
    running = pending(asked)
    request = running.start()
    assert request == ActionRequestWithList(INVOKE, tuple(item.method for item in asked.items), (integer(0), null()))
    outcomes = (ActionOutcome(ActionResult.SUCCESS), ActionOutcome(ActionResult.OBJECT_UNDEFINED))
    assert running.answer(ActionResponseWithList(INVOKE, outcomes)) == ActionListDone(7, outcomes)


@pytest.mark.finding("dlms D16")
def test_methods_run_one_by_one_where_the_server_takes_no_lists_and_a_failed_one_ends_nothing():
    asked = ActionList((action_of(70, SWITCH, 1, integer(0)), action_of(8, CLOCK, 6)))
    running = pending(asked, conformance=CLIENT_CONFORMANCE & ~Conformance.MULTIPLE_REFERENCES)
    step = running.start()
    for item, result in zip(asked.items, (ActionResult.OBJECT_CLASS_INCONSISTENT, ActionResult.SUCCESS), strict=True):
        assert step == ActionRequestNormal(INVOKE, item.method, item.parameter)
        step = running.answer(ActionResponseNormal(INVOKE, ActionOutcome(result)))
    assert [outcome.result.text for outcome in step.outcomes] == ["object-class-inconsistent", "success"]


def test_a_list_of_methods_that_the_server_gives_up_has_that_outcome_for_each():
    running = pending(ActionList((action_of(8, CLOCK, 6), action_of(8, CLOCK, 6))))
    running.start()
    aborted = ActionOutcome(ActionResult.LONG_ACTION_ABORTED)
    assert running.answer(ActionResponseNormal(INVOKE, aborted)) == ActionListDone(7, (aborted, aborted))


def test_the_outcomes_of_a_list_come_in_blocks():
    running = pending(ActionList((action_of(8, CLOCK, 6),) * 3))
    running.start()
    octets = bytes.fromhex("03") + bytes.fromhex("0000") * 3
    following = running.answer(ActionResponseWithPblock(INVOKE, DataBlock(1, False, octets[:4])))
    assert following == ActionRequestNextPblock(INVOKE, 1)
    done = running.answer(ActionResponseWithPblock(INVOKE, DataBlock(2, True, octets[4:])))
    assert done == ActionListDone(7, (ActionOutcome(ActionResult.SUCCESS),) * 3)
