"""The tables of both roles: every state can be left, every move is used, and the documentation shows what runs."""

from pathlib import Path

import pytest

from meterspan.engine.association.states import (
    CLIENT_TABLE,
    SERVER_TABLE,
    AssociationState,
    ClientMove,
    ServerMove,
    transition_table,
)
from tests.helpers_cosem import LLS, join

ROLES = pytest.mark.parametrize(("table", "moves"), [(CLIENT_TABLE, ClientMove), (SERVER_TABLE, ServerMove)])


@ROLES
def test_a_lost_link_leads_to_idle_from_everywhere_else(table, moves):
    reached = set(table.values())
    for state in reached - {AssociationState.IDLE}:
        assert table[state, moves.LINK_DOWN] is AssociationState.IDLE
    assert (AssociationState.IDLE, moves.LINK_DOWN) not in table


@ROLES
def test_every_move_is_used_and_every_state_but_idle_is_reached_and_left(table, moves):
    assert {move for _, move in table} == set(moves)
    assert set(table.values()) == {state for state, _ in table}


def test_only_a_client_connects():
    assert AssociationState.CONNECTING not in SERVER_TABLE.values()
    assert {state for state, _ in CLIENT_TABLE} == set(AssociationState)


def test_a_move_of_the_other_role_is_illegal_in_every_state():
    _, client, server, _ = join("wrapper", LLS)
    for state in AssociationState:
        client._state = server._state = state
        assert not any(client._may(move) for move in ServerMove)
        assert not any(server._may(move) for move in ClientMove)


def test_the_documentation_shows_the_tables_that_run():
    page = Path(__file__).parents[3] / "docs" / "cosem.md"
    assert transition_table() in page.read_text(encoding="utf-8")
