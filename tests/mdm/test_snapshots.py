"""An answer is asked again until it is of one state, and with the writers held at last."""

import pytest

from meterspan.mdm.generations import Generations
from meterspan.mdm.snapshots import ATTEMPTS, consistent


def write(generations, device="M1"):
    with generations.changing({device}) as change:
        change.readings(device, [1])


def test_an_undisturbed_answer_is_asked_once():
    asked = []
    assert consistent(Generations(), lambda snapshot: asked.append(snapshot) or 7) == 7
    assert len(asked) == 1


def test_an_answer_that_a_writer_changed_is_asked_again():
    generations, asked = Generations(), []

    def ask(snapshot):
        snapshot.rest_on(["M1"])
        asked.append(snapshot.stamp)
        if len(asked) == 1:
            write(generations)
        return len(asked)

    assert consistent(generations, ask) == 2
    assert asked == [0, 1]


def test_a_change_of_another_device_does_not_matter():
    generations, asked = Generations(), []

    def ask(snapshot):
        snapshot.rest_on(["M1"])
        asked.append(1)
        write(generations, "M2")

    consistent(generations, ask)
    assert len(asked) == 1


def test_the_last_attempt_has_the_writers_held():
    generations, asked = Generations(), []

    def ask(snapshot):
        snapshot.rest_on(["M1"])
        asked.append(1)
        if len(asked) <= ATTEMPTS:
            write(generations)
        return snapshot.holds

    assert consistent(generations, ask) is True
    assert len(asked) == ATTEMPTS + 1


def test_an_error_counts_only_where_it_is_of_one_state():
    generations, asked = Generations(), []

    def ask(snapshot):
        snapshot.rest_on(["M1"])
        asked.append(1)
        if len(asked) == 1:
            write(generations)
        raise ValueError(len(asked))

    with pytest.raises(ValueError, match="2"):
        consistent(generations, ask)
