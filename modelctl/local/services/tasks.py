"""What do containers tell the plane, and what may be asked and ordered about them?"""

from modal_proto import api_pb2

from modelctl.local.keeping.ledger import ContainerEntry, Ledger
from modelctl.local.keeping.state import State
from modelctl.local.protobuf import Empty
from modelctl.local.rpc import Caller, Refused, Status
from modelctl.local.running.containers import Container
from modelctl.local.running.fleet import Fleet
from modelctl.local.running.placement import CPU


class Tasks:
    """Modal calls a container a task in its protocol."""

    def __init__(self, state: State, fleet: Fleet, ledger: Ledger) -> None:
        self._state = state
        self._fleet = fleet
        self._ledger = ledger

    def _container(self, task_id: str) -> Container:
        if container := self._fleet.container(task_id):
            return container
        raise Refused(Status.NOT_FOUND, f"Container '{task_id}' is not running.")

    # -- from clients

    def task_list(self, request: api_pb2.TaskListRequest) -> api_pb2.TaskListResponse:
        response = api_pb2.TaskListResponse()
        name = request.environment_name
        chosen = [self._state.environment(name)] if name else self._state.own_environments()
        environments = {environment.id for environment in chosen}
        for container in self._fleet.containers():
            app = self._state.app(container.function.app_id)
            if request.app_id and request.app_id != app.id:
                continue
            if app.environment not in environments:
                continue
            response.tasks.add(
                task_id=container.id,
                app_id=app.id,
                app_description=app.description,
                enqueued_at=container.enqueued_at,
                started_at=container.started_at,
            )
        return response

    def task_get_info(self, request: api_pb2.TaskGetInfoRequest) -> api_pb2.TaskGetInfoResponse:
        entry = self._ledger.container(request.task_id)
        if entry is None:
            raise Refused(Status.NOT_FOUND, f"Container '{request.task_id}' not found.")
        info = api_pb2.TaskInfo(
            id=entry.id,
            enqueued_at=entry.enqueued_at,
            started_at=entry.started_at,
            finished_at=entry.ended_at,
            result=_result(entry),
        )
        if entry.gpu not in ("", CPU):
            info.gpu_type, _, count = entry.gpu.partition(":")
            info.gpu_config.gpu_type = info.gpu_type
            info.gpu_config.count = int(count or 1)
        return api_pb2.TaskGetInfoResponse(app_id=self._state.app(entry.app_id).id, info=info)

    def container_stop(
        self, request: api_pb2.ContainerStopRequest
    ) -> api_pb2.ContainerStopResponse:
        container = self._fleet.container(request.task_id)
        if container is None and self._ledger.container(request.task_id):
            return api_pb2.ContainerStopResponse()  # it ended between being listed and now
        container = container or self._container(request.task_id)
        if request.graceful:
            container.drain()
        else:
            container.stop()
        return api_pb2.ContainerStopResponse()

    # -- from containers

    def container_server_lifecycle_ready(
        self, _: api_pb2.ContainerServerLifecycleReadyRequest, caller: Caller
    ) -> Empty:
        self._container(caller.task_id).hooks_done.set()
        return Empty()

    async def task_cluster_hello(
        self, _: api_pb2.TaskClusterHelloRequest, caller: Caller
    ) -> api_pb2.TaskClusterHelloResponse:
        container = self._container(caller.task_id)
        pool = self._fleet.pool_of(container)
        cluster = pool.clusters.get(container.id) if pool else None
        if cluster is None:
            raise Refused(Status.NOT_FOUND, f"Container '{container.id}' is in no cluster.")
        return await cluster.meet(container)

    # -- clusters

    def cluster_get(self, request: api_pb2.ClusterGetRequest) -> api_pb2.ClusterGetResponse:
        for cluster in self._fleet.clusters():
            if cluster.id == request.cluster_id:
                return api_pb2.ClusterGetResponse(cluster=cluster.stats())
        raise Refused(Status.NOT_FOUND, f"Cluster '{request.cluster_id}' is not running.")

    def cluster_list(self, request: api_pb2.ClusterListRequest) -> api_pb2.ClusterListResponse:
        environment = self._state.environment(request.environment_name)
        return api_pb2.ClusterListResponse(
            clusters=[
                cluster.stats()
                for cluster in self._fleet.clusters()
                if self._state.app(cluster.leader.function.app_id).environment == environment.id
            ]
        )

    def task_result(self, request: api_pb2.TaskResultRequest, caller: Caller) -> Empty:
        self._container(caller.task_id).fail(request.result)
        return Empty()


def _result(entry: ContainerEntry) -> api_pb2.GenericResult | None:
    """How it ended, where it did so on its own."""
    if entry.result:
        reported = api_pb2.GenericResult()
        reported.ParseFromString(entry.result)
        return reported
    if entry.failed:
        return api_pb2.GenericResult(
            status=api_pb2.GenericResult.GENERIC_STATUS_FAILURE, exitcode=entry.exit_code or 0
        )
    return None
