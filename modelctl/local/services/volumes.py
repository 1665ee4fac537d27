"""Which Volumes are there? Made, listed, renamed and removed with all that lies in them."""

import asyncio
import shutil
import time
from functools import partial

from modal_proto import api_pb2

from modelctl.local.clock import Clock
from modelctl.local.keeping.ids import new_id
from modelctl.local.keeping.places import Places, volume_metadata
from modelctl.local.keeping.records import Volume
from modelctl.local.keeping.state import State, find_named
from modelctl.local.protobuf import Empty
from modelctl.local.rpc import Refused, Status
from modelctl.local.services.creation import Shelf

_V1 = int(api_pb2.VOLUME_FS_VERSION_V1)


class Volumes:
    """Volumes of both versions. A write is visible at once: commit and reload change nothing."""

    def __init__(self, state: State, places: Places, clock: Clock) -> None:
        self._state = state
        self._places = places
        self.shelf = Shelf("Volume", state, state.volumes, clock, self._wipe)

    def volume_get_or_create(
        self, request: api_pb2.VolumeGetOrCreateRequest
    ) -> api_pb2.VolumeGetOrCreateResponse:
        version = request.version or _V1
        volume, new = self.shelf.get_or_create(
            request,
            lambda environment, name: Volume(new_id("vo"), environment, name, version, time.time()),
        )
        if new:
            self._places.folder(volume.id)
        return api_pb2.VolumeGetOrCreateResponse(
            volume_id=volume.id,
            version=api_pb2.VolumeFsVersion.ValueType(volume.version),
            metadata=volume_metadata(volume),
        )

    def volume_get_by_id(
        self, request: api_pb2.VolumeGetByIdRequest
    ) -> api_pb2.VolumeGetByIdResponse:
        volume = self.shelf.get(request.volume_id)
        return api_pb2.VolumeGetByIdResponse(volume_id=volume.id, metadata=volume_metadata(volume))

    def volume_heartbeat(self, request: api_pb2.VolumeHeartbeatRequest) -> Empty:
        self.shelf.hold(request.volume_id)
        return Empty()

    def volume_list(self, request: api_pb2.VolumeListRequest) -> api_pb2.VolumeListResponse:
        environment = self._state.environment(request.environment_name)
        response = api_pb2.VolumeListResponse(environment_name=environment.name)
        for volume in self.shelf.newest(environment, request.pagination):
            response.items.add(
                label=volume.name,
                volume_id=volume.id,
                created_at=volume.created_at,
                metadata=volume_metadata(volume),
            )
        return response

    async def volume_delete(self, request: api_pb2.VolumeDeleteRequest) -> Empty:
        await self.shelf.remove(self.shelf.get(request.volume_id))
        return Empty()

    def _wipe(self, volume: Volume) -> asyncio.Future[None]:
        self._state.store.commit()  # a record that is gone for good: what is left then goes too
        folder = self._places.root / volume.id
        return asyncio.get_running_loop().run_in_executor(
            None, partial(shutil.rmtree, folder, ignore_errors=True)
        )

    def volume_rename(self, request: api_pb2.VolumeRenameRequest) -> Empty:
        volume = self.shelf.get(request.volume_id)
        if find_named(self._state.volumes, volume.environment, request.name):
            raise Refused(Status.ALREADY_EXISTS, f"Volume '{request.name}' already exists.")
        volume.name = request.name
        self._state.save(volume)
        return Empty()

    def volume_commit(self, request: api_pb2.VolumeCommitRequest) -> api_pb2.VolumeCommitResponse:
        self.shelf.get(request.volume_id)
        return api_pb2.VolumeCommitResponse(skip_reload=True)

    def volume_reload(self, request: api_pb2.VolumeReloadRequest) -> Empty:
        self.shelf.get(request.volume_id)
        return Empty()
