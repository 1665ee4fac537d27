"""On which GPU does a container run? On one of the inventory, or on none that is there.

Without an inventory a request for any GPU is placed on this machine's processor at once, and the
container is told so. With one (``H100=2,L40S=4``) the plane behaves as if it had those: containers
take what their list of fallbacks names first, wait while nothing of it is free, and are told what
they got. No GPU is there in either case.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from modal_proto import api_pb2

CPU = "cpu"

_UPGRADES: Mapping[str, tuple[str, ...]] = {
    "H100": ("H200",),
    "A100": ("A100-40GB", "A100-80GB"),
    "B200+": ("B200", "B300"),
    "A10G": ("A10",),
}
"""What Modal may give for a type when that itself is not free, or is a name
for others. See assumptions."""


@dataclass(frozen=True)
class Choice:
    """One entry of a list of fallbacks: so many GPUs of one type; `type` is "" for none at all."""

    type: str
    count: int

    def __str__(self) -> str:
        return self.type if self.count == 1 else f"{self.type}:{self.count}"


def choices(data: api_pb2.FunctionData) -> list[Choice]:
    """The GPUs that a definition asks for, first choice first; empty if it asks for none."""
    found = []
    for ranked in data.ranked_functions:
        asked = ranked.function.resources.gpu_config
        if asked.count or asked.gpu_type:
            found.append(Choice(asked.gpu_type.upper(), max(1, asked.count)))
    return found


class Placement:
    """Who has which GPUs. One place decides, so that no two containers get the same one."""

    def __init__(self, inventory: Mapping[str, int] | None = None) -> None:
        self._inventory = dict(inventory) if inventory is not None else None
        self._given: dict[str, Choice] = {}  # by container id
        self._waiting: dict[str, tuple[Sequence[Choice], asyncio.Future[str]]] = {}
        self.blocked: Callable[[Choice], bool] = lambda _: False
        """Whether so many of a type cannot be had for now, whatever the inventory says."""

    @property
    def inventory(self) -> Mapping[str, int] | None:
        """How many GPUs of each type there are; None where all requests run on the processor."""
        return self._inventory

    def set_inventory(self, inventory: Mapping[str, int] | None) -> None:
        """Containers keep what they have; who waits is looked at anew."""
        self._inventory = dict(inventory) if inventory is not None else None
        self.look_again()

    def in_use(self) -> Counter[str]:
        used: Counter[str] = Counter()
        for choice in self._given.values():
            used[choice.type] += choice.count
        return used

    def waiting(self) -> dict[str, Sequence[Choice]]:
        """What containers wait for, by their id, longest first."""
        return {container: wanted for container, (wanted, _) in self._waiting.items()}

    def try_now(self, container_id: str, wanted: Sequence[Choice]) -> str | None:
        """What the container gets (``H100``, ``H100:2``, ``cpu``), None if nothing is free."""
        if not wanted:
            return CPU
        if self._inventory is None:
            first = [Choice(choice.type.removesuffix("!"), choice.count) for choice in wanted]
            return None if all(self.blocked(choice) for choice in first) else CPU
        used = self.in_use()
        for choice in wanted:
            for kind in candidates(choice.type, self._inventory):
                given = Choice(kind, choice.count)
                free = self._inventory.get(kind, 0) - used[kind]
                if free >= choice.count and not self.blocked(given):
                    self._given[container_id] = given
                    return str(given)
        return None

    async def place(self, container_id: str, wanted: Sequence[Choice]) -> str:
        """Waits until something of the list is free; what the container got."""
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting[container_id] = (wanted, future)
        self.look_again()
        try:
            return await future
        except asyncio.CancelledError:
            self.release(container_id)
            raise
        finally:
            self._waiting.pop(container_id, None)

    def release(self, container_id: str) -> None:
        """The container is gone, and what it had is free."""
        if self._given.pop(container_id, None) is not None:
            self.look_again()

    def look_again(self) -> None:
        """Something may have become free: in the order of their waiting, who fits is placed."""
        for container_id, (wanted, future) in self._waiting.items():
            if not future.done() and (given := self.try_now(container_id, wanted)) is not None:
                future.set_result(given)


def candidates(kind: str, inventory: Iterable[str] = ()) -> list[str]:
    """The types that a request may be given, the asked-for one first.

    ``H100!`` takes no other; ``any`` takes whatever the inventory names.
    """
    if kind == "ANY":
        return list(inventory)
    if kind.endswith("!"):
        return [kind.removesuffix("!")]
    found = [kind]
    for upgraded in found:
        found += [up for up in _UPGRADES.get(upgraded, ()) if up not in found]
    return found
