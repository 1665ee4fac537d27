"""Where does a benchmark deploy to? A control plane of its own, on the loopback, that goes away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import MODAL, cost, environment
from benchmarks.project import WEIGHTS
from benchmarks.result import CannotMeasure
from modelctl.local import lifecycle


@dataclass(frozen=True)
class Target:
    """A plane that runs, and the environment of a process that talks to it."""

    plane: lifecycle.Plane
    env: dict[str, str]

    def last_call(self) -> int:
        return max((int(c["n"]) for c in lifecycle.calls(self.plane)), default=0)

    def calls_since(self, number: int) -> Counter[str]:
        """How often each RPC was called after call `number`."""
        return Counter(str(c["method"]) for c in lifecycle.calls(self.plane, since=number))


@contextmanager
def fresh_plane(state: Path) -> Iterator[Target]:
    """A plane without apps, with the Volume of the fleet's weights; stopped in any case."""
    try:
        plane = lifecycle.up(state)
        variables = {**lifecycle.environ(plane), "MODELCTL_LOCAL_DIR": str(state)}
        target = Target(plane, environment(variables, state))
        cost([MODAL, "volume", "create", WEIGHTS], cwd=state, env=target.env)
        yield target
    finally:
        lifecycle.down(state)


def deployed(calls: Counter[str]) -> int:
    """How many apps these calls deployed. Raises CannotMeasure where one was begun only."""
    created, published = calls["FunctionCreate"], calls["AppPublish"]
    if created != published:
        raise CannotMeasure(f"{created} functions were made, but {published} apps published")
    return published
