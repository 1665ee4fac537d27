"""Which containers form a cluster? They start together, have ranks, meet, and end together."""

import asyncio

from modal_proto import api_pb2

from modelctl.local.keeping.ids import new_id
from modelctl.local.running.containers import Container, Phase

IPV6, IPV4 = "::1", "127.0.0.1"


class Cluster:
    """The containers of one cluster in the order of their ranks; the first answers requests."""

    def __init__(self, members: list[Container]) -> None:
        self.id = new_id("cu")
        self.members = members
        self._arrived: set[str] = set()
        self._complete = asyncio.Event()

    @property
    def leader(self) -> Container:
        return self.members[0]

    async def meet(self, container: Container) -> api_pb2.TaskClusterHelloResponse:
        """Waits until every member is up; what each of them then knows of the others."""
        self._arrived.add(container.id)
        if len(self._arrived) == len(self.members):
            self._complete.set()
        await self._complete.wait()
        size = len(self.members)
        return api_pb2.TaskClusterHelloResponse(
            cluster_id=self.id,
            cluster_rank=self.members.index(container),
            container_ips=[IPV6] * size,
            container_ipv4_ips=[IPV4] * size,
        )

    def changed(self, container: Container) -> None:
        """None goes on without the others."""
        if container.phase in (Phase.STOPPING, Phase.DEAD):
            for other in self.members:
                if other is not container:
                    other.stop()

    def stats(self) -> api_pb2.ClusterStats:
        return api_pb2.ClusterStats(
            app_id=self.leader.function.app_id,
            task_ids=[container.id for container in self.members],
            cluster_id=self.id,
            started_at=min(container.enqueued_at for container in self.members),
        )


def size_of(data: api_pb2.FunctionData) -> int:
    """How many containers `modal.clustered` asks for; 0 where nothing is clustered."""
    size: int = data.ranked_functions[0].function._experimental_group_size
    return size
