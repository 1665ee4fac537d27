"""How much is there to do for the containers of a pool? Requests of a server, inputs of a function.

A server has no queue: what counts are the requests that its containers have in hand. A function has
one: inputs count from the moment they are put there.
"""

import os
from collections.abc import Sequence
from typing import Protocol

from modal_proto import api_pb2

from modelctl.local.running.containers import Container
from modelctl.local.running.inputs import Inputs

MOST_UNASKED = max(8, 4 * (os.cpu_count() or 1))
"""How many containers a function gets here that does not say how many. See assumptions."""


class Demand(Protocol):
    """What a pool asks about its work."""

    keeps_answering: bool  # whether a container must be there as long as an old one is
    most_unasked: int  # how many containers there may be where nobody said so; 0: any number

    def load(self, fresh: Sequence[Container], old: Sequence[Container], /) -> int:
        """What is to be shared among containers of the current version."""

    def target(self, data: api_pb2.FunctionData, settings: api_pb2.AutoscalerSettings, /) -> float:
        """How much of it a container should have; 0: all of it."""

    def fixed(self, settings: api_pb2.AutoscalerSettings, /) -> bool:
        """Whether the number of containers stays what it is, whatever the load."""


class Requests:
    """The demand on a server."""

    keeps_answering = True
    most_unasked = 0

    def load(self, fresh: Sequence[Container], old: Sequence[Container]) -> int:
        return sum(container.inflight for container in [*fresh, *old])

    def target(self, _: api_pb2.FunctionData, settings: api_pb2.AutoscalerSettings) -> float:
        return settings.target_concurrency_float

    def fixed(self, settings: api_pb2.AutoscalerSettings) -> bool:
        return (
            settings.HasField("target_concurrency_float") and not settings.target_concurrency_float
        )


class Work:
    """The demand on a function: what waits, and what its current containers hold."""

    keeps_answering = False
    most_unasked = MOST_UNASKED

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs

    def load(self, fresh: Sequence[Container], _: Sequence[Container]) -> int:
        return self._inputs.waiting + sum(container.inflight for container in fresh)

    def target(self, data: api_pb2.FunctionData, _: api_pb2.AutoscalerSettings) -> float:
        spec = data.ranked_functions[0].function
        at_once = spec.batch_max_size or 1
        return float((spec.target_concurrent_inputs or spec.max_concurrent_inputs or 1) * at_once)

    def fixed(self, _: api_pb2.AutoscalerSettings) -> bool:
        return False
