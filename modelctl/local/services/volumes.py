"""What do Volumes answer? Files put, read, listed, copied and removed."""

import asyncio
import os
import shutil
import stat
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import quote

from modal_proto import api_pb2

from modelctl.local.keeping.content import PARTIAL, Content, Signer, arriving, copy
from modelctl.local.keeping.ids import new_id
from modelctl.local.keeping.places import Places, volume_metadata
from modelctl.local.keeping.records import Volume
from modelctl.local.keeping.state import DEFAULT_ENVIRONMENT, State, find_named
from modelctl.local.protobuf import Empty
from modelctl.local.rpc import Refused, Status
from modelctl.local.services.creation import FAIL_IF_EXISTS, ONLY_EXISTING

BLOCK = 8 << 20
_LIST_BATCH = 500
_V1 = int(api_pb2.VOLUME_FS_VERSION_V1)
_V2 = int(api_pb2.VOLUME_FS_VERSION_V2)


class Volumes:
    """Volumes of both versions. A write is visible at once: commit and reload change nothing."""

    def __init__(self, state: State, content: Content, signer: Signer, places: Places) -> None:
        self._state = state
        self._content = content
        self._signer = signer
        self._places = places

    # -- the Volumes themselves

    def volume_get_or_create(
        self, request: api_pb2.VolumeGetOrCreateRequest
    ) -> api_pb2.VolumeGetOrCreateResponse:
        environment = self._state.environment(request.environment_name).name
        name = request.deployment_name
        volume = find_named(self._state.volumes, environment, name) if name else None
        if volume is None:
            if request.object_creation_type == ONLY_EXISTING:
                raise Refused(
                    Status.NOT_FOUND, f"Volume '{name}' not found in environment '{environment}'."
                )
            version = request.version or _V1
            volume = Volume(new_id("vo"), environment, name, version, time.time())
            self._places.folder(volume.id)
            self._state.save(volume)
        elif request.object_creation_type == FAIL_IF_EXISTS:
            raise Refused(Status.ALREADY_EXISTS, f"Volume '{name}' already exists.")
        return api_pb2.VolumeGetOrCreateResponse(
            volume_id=volume.id,
            version=api_pb2.VolumeFsVersion.ValueType(volume.version),
            metadata=volume_metadata(volume),
        )

    def volume_get_by_id(
        self, request: api_pb2.VolumeGetByIdRequest
    ) -> api_pb2.VolumeGetByIdResponse:
        volume = self._state.volume(request.volume_id)
        return api_pb2.VolumeGetByIdResponse(volume_id=volume.id, metadata=volume_metadata(volume))

    def volume_heartbeat(self, request: api_pb2.VolumeHeartbeatRequest) -> Empty:
        self._state.volume(request.volume_id)
        return Empty()

    def volume_list(self, request: api_pb2.VolumeListRequest) -> api_pb2.VolumeListResponse:
        environment = request.environment_name or DEFAULT_ENVIRONMENT
        before = request.pagination.created_before
        volumes = [
            volume
            for volume in self._state.volumes.values()
            if volume.name
            and volume.environment == environment
            and (not before or volume.created_at < before)
        ]
        volumes.sort(key=lambda volume: -volume.created_at)
        items = [
            api_pb2.VolumeListItem(
                label=volume.name,
                volume_id=volume.id,
                created_at=volume.created_at,
                metadata=volume_metadata(volume),
            )
            for volume in volumes[: request.pagination.max_objects or len(volumes)]
        ]
        return api_pb2.VolumeListResponse(items=items, environment_name=environment)

    async def volume_delete(self, request: api_pb2.VolumeDeleteRequest) -> Empty:
        volume = self._state.volume(request.volume_id)
        del self._state.volumes[volume.id]
        self._state.store.delete(volume)
        await asyncio.to_thread(shutil.rmtree, self._places.root / volume.id, ignore_errors=True)
        return Empty()

    def volume_rename(self, request: api_pb2.VolumeRenameRequest) -> Empty:
        volume = self._state.volume(request.volume_id)
        if find_named(self._state.volumes, volume.environment, request.name):
            raise Refused(Status.ALREADY_EXISTS, f"Volume '{request.name}' already exists.")
        volume.name = request.name
        self._state.save(volume)
        return Empty()

    def volume_commit(self, request: api_pb2.VolumeCommitRequest) -> api_pb2.VolumeCommitResponse:
        self._state.volume(request.volume_id)
        return api_pb2.VolumeCommitResponse(skip_reload=True)

    def volume_reload(self, request: api_pb2.VolumeReloadRequest) -> Empty:
        self._state.volume(request.volume_id)
        return Empty()

    # -- writing

    async def volume_put_files(self, request: api_pb2.VolumePutFilesRequest) -> Empty:
        places = [self._places.place(request.volume_id, file.filename) for file in request.files]
        self._check_free(places, request.disallow_overwrite_existing_files)
        for file in request.files:
            if not self._content.has(file.sha256_hex):
                raise Refused(
                    Status.FAILED_PRECONDITION,
                    f"{file.filename} was not uploaded (sha256 {file.sha256_hex}).",
                )
        for file, place in zip(request.files, places, strict=True):
            await asyncio.to_thread(copy, self._content.path(file.sha256_hex), place, file.mode)
        return Empty()

    async def volume_put_files2(
        self, request: api_pb2.VolumePutFiles2Request
    ) -> api_pb2.VolumePutFiles2Response:
        """Names the blocks that are missing; once all are there, puts the files together."""
        places = [self._places.place(request.volume_id, file.path) for file in request.files]
        self._check_free(places, request.disallow_overwrite_existing_files)
        response = api_pb2.VolumePutFiles2Response()
        for index, file in enumerate(request.files):
            for number, block in enumerate(file.blocks):
                sha = block.contents_sha256.hex()
                if not self._content.has(sha):
                    url = self._signer.url(f"/blocks/{sha}")
                    response.missing_blocks.add(file_index=index, block_index=number, put_url=url)
        if not response.missing_blocks:
            for file, place in zip(request.files, places, strict=True):
                await asyncio.to_thread(self._assemble, file, place)
        return response

    def _assemble(self, file: api_pb2.VolumePutFiles2Request.File, place: Path) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        with arriving(place) as partial:
            with partial.open("wb") as out:
                for block in file.blocks:
                    with self._content.path(block.contents_sha256.hex()).open("rb") as source:
                        shutil.copyfileobj(source, out, 1 << 20)
                out.truncate(file.size)
            partial.chmod(file.mode or 0o644)

    def _check_free(self, places: list[Path], disallow_overwrite: bool) -> None:
        for place in places:
            if place.is_dir():
                raise Refused(Status.INVALID_ARGUMENT, f"{place.name} is a folder.")
            if disallow_overwrite and place.exists():
                raise Refused(Status.ALREADY_EXISTS, f"{place.name} already exists.")

    # -- reading

    def volume_get_file2(
        self, request: api_pb2.VolumeGetFile2Request
    ) -> api_pb2.VolumeGetFile2Response:
        """One URL per block of 8 MiB of the file that the asked-for range touches."""
        place = self._existing(request.volume_id, request.path)
        if place.is_dir():
            raise Refused(Status.INVALID_ARGUMENT, f"{request.path} is a folder.")
        size = place.stat().st_size
        start = min(request.start, size)
        length = min(request.len or size - start, size - start)
        blocks = range(start // BLOCK, -(-(start + length) // BLOCK)) if length else range(0)
        inside = quote(place.relative_to(self._places.folder(request.volume_id)).as_posix())
        urls = []
        for block in blocks:
            first = max(start, block * BLOCK)
            last = min(start + length, (block + 1) * BLOCK)
            path = f"/volumes/{request.volume_id}/{first}-{last}/{inside}"
            urls.append(self._signer.url(path))
        return api_pb2.VolumeGetFile2Response(get_urls=urls, size=size, start=start, len=length)

    async def volume_list_files(
        self, request: api_pb2.VolumeListFilesRequest
    ) -> AsyncIterator[api_pb2.VolumeListFilesResponse]:
        entries = self._listed(
            request.volume_id, request.path, request.recursive, request.max_entries
        )
        for batch in _in_batches(entries):
            yield api_pb2.VolumeListFilesResponse(entries=batch)

    async def volume_list_files2(
        self, request: api_pb2.VolumeListFiles2Request
    ) -> AsyncIterator[api_pb2.VolumeListFiles2Response]:
        entries = self._listed(
            request.volume_id, request.path, request.recursive, request.max_entries
        )
        for batch in _in_batches(entries):
            yield api_pb2.VolumeListFiles2Response(entries=batch)

    def _listed(
        self, volume_id: str, path: str, recursive: bool, limit: int
    ) -> list[api_pb2.FileEntry]:
        root = self._places.folder(volume_id)
        place = self._existing(volume_id, path)
        if not place.is_dir():
            return [_entry(place, root)]
        found: list[api_pb2.FileEntry] = []
        for child in _walk(place) if recursive else sorted(place.iterdir()):
            if child.name.startswith(PARTIAL):
                continue
            found.append(_entry(child, root))
            if limit and len(found) == limit:
                break
        return found

    def _existing(self, volume_id: str, path: str) -> Path:
        place = self._places.place(volume_id, path)
        if not os.path.lexists(place):
            raise Refused(Status.NOT_FOUND, f"No such file or folder: {path}")
        return place

    # -- changing

    async def volume_remove_file(self, request: api_pb2.VolumeRemoveFileRequest) -> Empty:
        return await self._remove(request.volume_id, request.path, request.recursive)

    async def volume_remove_file2(self, request: api_pb2.VolumeRemoveFile2Request) -> Empty:
        return await self._remove(request.volume_id, request.path, request.recursive)

    async def _remove(self, volume_id: str, path: str, recursive: bool) -> Empty:
        place = self._existing(volume_id, path)
        if place == self._places.folder(volume_id):
            raise Refused(Status.INVALID_ARGUMENT, "The root of a Volume cannot be removed.")
        if place.is_symlink() or not place.is_dir():
            place.unlink()
        elif recursive:
            await asyncio.to_thread(shutil.rmtree, place)
        else:
            raise Refused(
                Status.INVALID_ARGUMENT, f"{path} is a folder; remove it with recursive=True."
            )
        return Empty()

    async def volume_copy_files(self, request: api_pb2.VolumeCopyFilesRequest) -> Empty:
        return await self._copy(request)

    async def volume_copy_files2(self, request: api_pb2.VolumeCopyFiles2Request) -> Empty:
        return await self._copy(request)

    async def _copy(
        self, request: api_pb2.VolumeCopyFilesRequest | api_pb2.VolumeCopyFiles2Request
    ) -> Empty:
        target = self._places.place(request.volume_id, request.dst_path)
        into = target.is_dir() or len(request.src_paths) > 1 or request.dst_path.endswith("/")
        for path in request.src_paths:
            source = self._existing(request.volume_id, path)
            place = target / source.name if into else target
            if source.is_dir():
                if not request.recursive:
                    raise Refused(
                        Status.INVALID_ARGUMENT, f"{path} is a folder; copy it with recursive=True."
                    )
                await asyncio.to_thread(shutil.copytree, source, place, dirs_exist_ok=True)
            else:
                await asyncio.to_thread(copy, source, place, stat.S_IMODE(source.stat().st_mode))
        return Empty()


def _walk(folder: Path) -> Iterator[Path]:
    for child in sorted(folder.iterdir()):
        yield child
        if child.is_dir() and not child.is_symlink():
            yield from _walk(child)


def _entry(place: Path, root: Path) -> api_pb2.FileEntry:
    seen = place.lstat()
    if stat.S_ISLNK(seen.st_mode):
        kind = api_pb2.FileEntry.SYMLINK
    elif stat.S_ISDIR(seen.st_mode):
        kind = api_pb2.FileEntry.DIRECTORY
    else:
        kind = api_pb2.FileEntry.FILE
    return api_pb2.FileEntry(
        path=place.relative_to(root).as_posix(),
        type=kind,
        mtime=int(seen.st_mtime),
        size=seen.st_size,
    )


def _in_batches(entries: list[api_pb2.FileEntry]) -> Iterator[list[api_pb2.FileEntry]]:
    for start in range(0, len(entries), _LIST_BATCH):
        yield entries[start : start + _LIST_BATCH]
