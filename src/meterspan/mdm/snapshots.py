"""Answers of one state of the data: repeated while writers interfere, finally with the writers held."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from meterspan.mdm.generations import Generations

__all__ = ["Snapshot", "consistent"]

ResultT = TypeVar("ResultT")

ATTEMPTS = 3
"""Answers tried before writers are made to wait for one."""


class Snapshot:
    """The state that one answer depends on: a generation, and the devices whose readings it has used."""

    def __init__(self, generations: Generations) -> None:
        self._generations = generations
        self.stamp = generations.now
        self._devices: set[str] = set()

    def rest_on(self, devices: Iterable[str]) -> None:
        """Note that the answer rests on readings of these devices."""
        self._devices.update(devices)

    @property
    def holds(self) -> bool:
        """Whether no reading that the answer rests on has changed since it began."""
        return self._generations.unchanged(self._devices, self.stamp)


def consistent(generations: Generations, ask: Callable[[Snapshot], ResultT]) -> ResultT:
    """Return the answer of ``ask`` to one state of the data, however many writers there are.

    ``ask`` is called again where a writer changed what it had read; it must not write. What it raises is raised only
    where it was asked of one state.
    """
    for _attempt in range(ATTEMPTS):
        snapshot = Snapshot(generations)
        try:
            answer = ask(snapshot)
        except Exception:
            if snapshot.holds:
                raise
            continue
        if snapshot.holds:
            return answer
    with generations.held():
        return ask(Snapshot(generations))
