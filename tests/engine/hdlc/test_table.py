"""The legality table is whole, and the documentation shows the one that runs."""

from pathlib import Path

from meterspan.engine.hdlc.table import TRANSITIONS, LinkAction, transition_table
from meterspan.engine.link import Role


def test_every_action_is_used_and_every_state_can_be_left():
    assert {action for action, _ in TRANSITIONS.values()} == set(LinkAction)
    for role in Role:
        states = {state for owner, state, _ in TRANSITIONS if owner is role}
        reached = {following for (owner, _, _), (_, following) in TRANSITIONS.items() if owner is role}
        assert states == reached


def test_the_documentation_shows_the_table_that_runs():
    page = Path(__file__).parents[3] / "docs" / "links.md"
    assert transition_table() in page.read_text(encoding="utf-8")
