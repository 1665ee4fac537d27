"""What do a Volume's files answer? Put, read, listed, copied and removed, by either version's RPCs.

Files lie in a folder that containers write to as well: they may change, vanish or be links at any
moment. A path of a client leads nowhere else, not even through a link.
"""

import asyncio
import errno
import os
import shutil
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path

from modal_proto import api_pb2

from modelctl.local.keeping.content import PARTIAL, Content, Signer, arriving, copy
from modelctl.local.keeping.places import Places, as_segment
from modelctl.local.keeping.records import Volume
from modelctl.local.protobuf import Empty
from modelctl.local.rpc import Refused, Status
from modelctl.local.services.creation import Shelf

BLOCK = 8 << 20
_LIST_BATCH = 500


class VolumeFiles:
    """The RPCs on files in Volumes."""

    def __init__(
        self, shelf: Shelf[Volume], content: Content, signer: Signer, places: Places
    ) -> None:
        self._shelf = shelf
        self._content = content
        self._signer = signer
        self._places = places

    # -- where

    def _root(self, volume_id: str) -> Path:
        return self._places.folder(self._shelf.get(volume_id).id)

    def _place(self, volume_id: str, path: str) -> Path:
        """Where a path lies, whether something is there or not."""
        root = self._root(volume_id)
        place = self._places.place(volume_id, path)
        if place != root and not place.parent.resolve().is_relative_to(root.resolve()):
            raise _missing(path)
        return place

    def _existing(self, volume_id: str, path: str) -> Path:
        place = self._place(volume_id, path)
        if not os.path.lexists(place):
            raise _missing(path)
        return place

    def _readable(self, volume_id: str, path: str) -> Path:
        """A file whose content may be read; a link counts as what it leads to in the Volume."""
        place = self._existing(volume_id, path).resolve()
        if not place.is_relative_to(self._root(volume_id).resolve()) or not place.exists():
            raise _missing(path)
        if not place.is_file():
            raise Refused(Status.INVALID_ARGUMENT, f"{path} is {_what(place)}, not a file.")
        return place

    # -- writing

    async def volume_put_files(self, request: api_pb2.VolumePutFilesRequest) -> Empty:
        places = [self._place(request.volume_id, file.filename) for file in request.files]
        for file, place in zip(request.files, places, strict=True):
            _check_free(file.filename, place, request.disallow_overwrite_existing_files)
            if not self._content.has(file.sha256_hex):
                raise Refused(
                    Status.FAILED_PRECONDITION,
                    f"{file.filename} was not uploaded (sha256 {file.sha256_hex}).",
                )
        for file, place in zip(request.files, places, strict=True):
            with _refusing(file.filename):
                await asyncio.to_thread(copy, self._content.path(file.sha256_hex), place, file.mode)
        return Empty()

    async def volume_put_files2(
        self, request: api_pb2.VolumePutFiles2Request
    ) -> api_pb2.VolumePutFiles2Response:
        """Names the blocks that are missing; once all are there, puts the files together."""
        places = [self._place(request.volume_id, file.path) for file in request.files]
        response = api_pb2.VolumePutFiles2Response()
        for index, (file, place) in enumerate(zip(request.files, places, strict=True)):
            _check_free(file.path, place, request.disallow_overwrite_existing_files)
            for number, block in enumerate(file.blocks):
                sha = block.contents_sha256.hex()
                if not self._content.has(sha):
                    url = self._signer.url(f"/blocks/{sha}")
                    response.missing_blocks.add(file_index=index, block_index=number, put_url=url)
        if not response.missing_blocks:
            for file, place in zip(request.files, places, strict=True):
                with _refusing(file.path):
                    await asyncio.to_thread(self._assemble, file, place)
        return response

    def _assemble(self, file: api_pb2.VolumePutFiles2Request.File, place: Path) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        with arriving(place) as partial:
            with partial.open("wb") as out:
                for number, block in enumerate(file.blocks):
                    out.seek(number * BLOCK)  # blocks come without the zeros that they end with
                    with self._content.path(block.contents_sha256.hex()).open("rb") as source:
                        shutil.copyfileobj(source, out, 1 << 20)
                out.truncate(file.size)
            partial.chmod(file.mode or 0o644)

    # -- reading

    def volume_get_file2(
        self, request: api_pb2.VolumeGetFile2Request
    ) -> api_pb2.VolumeGetFile2Response:
        """One URL per block of 8 MiB of the file that the asked-for range touches."""
        place = self._readable(request.volume_id, request.path)
        size = place.stat().st_size
        start = min(request.start, size)
        length = min(request.len or size - start, size - start)
        blocks = range(start // BLOCK, -(-(start + length) // BLOCK)) if length else range(0)
        root = self._root(request.volume_id).resolve()
        inside = as_segment(place.relative_to(root))
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
        for batch in await self._listed(request):
            yield api_pb2.VolumeListFilesResponse(entries=batch)

    async def volume_list_files2(
        self, request: api_pb2.VolumeListFiles2Request
    ) -> AsyncIterator[api_pb2.VolumeListFiles2Response]:
        for batch in await self._listed(request):
            yield api_pb2.VolumeListFiles2Response(entries=batch)

    async def _listed(
        self, request: api_pb2.VolumeListFilesRequest | api_pb2.VolumeListFiles2Request
    ) -> list[list[api_pb2.FileEntry]]:
        root = self._root(request.volume_id)
        place = self._existing(request.volume_id, request.path)
        entries = await asyncio.to_thread(
            _entries, root, place, request.recursive, request.max_entries
        )
        return [
            entries[start : start + _LIST_BATCH] for start in range(0, len(entries), _LIST_BATCH)
        ]

    # -- changing

    async def volume_remove_file(self, request: api_pb2.VolumeRemoveFileRequest) -> Empty:
        return await self._remove(request)

    async def volume_remove_file2(self, request: api_pb2.VolumeRemoveFile2Request) -> Empty:
        return await self._remove(request)

    async def _remove(
        self, request: api_pb2.VolumeRemoveFileRequest | api_pb2.VolumeRemoveFile2Request
    ) -> Empty:
        path = request.path
        place = self._existing(request.volume_id, path)
        if place == self._root(request.volume_id):
            raise Refused(Status.INVALID_ARGUMENT, "The root of a Volume cannot be removed.")
        with _refusing(path):
            if place.is_symlink() or not place.is_dir():
                place.unlink()
            elif request.recursive:
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
        target = self._place(request.volume_id, request.dst_path)
        into = target.is_dir() or len(request.src_paths) > 1 or request.dst_path.endswith("/")
        for path in request.src_paths:
            source = self._existing(request.volume_id, path)
            place = target / source.name if into else target
            _check_inside(self._root(request.volume_id), place, request.dst_path)
            with _refusing(path):
                if not source.is_dir() or source.is_symlink():
                    source = self._readable(request.volume_id, path)
                    mode = stat.S_IMODE(source.stat().st_mode)
                    await asyncio.to_thread(copy, source, place, mode)
                elif not request.recursive:
                    raise Refused(
                        Status.INVALID_ARGUMENT, f"{path} is a folder; copy it with recursive=True."
                    )
                elif place.resolve().is_relative_to(source.resolve()):
                    raise Refused(Status.INVALID_ARGUMENT, f"{path} cannot be copied into itself.")
                else:
                    await asyncio.to_thread(_check_no_links, source, place)
                    await asyncio.to_thread(
                        shutil.copytree, source, place, symlinks=True, dirs_exist_ok=True
                    )
        return Empty()


def _missing(path: str) -> Refused:
    return Refused(Status.NOT_FOUND, f"No such file or folder: {path}")


def _check_free(path: str, place: Path, disallow_overwrite: bool) -> None:
    if place.is_dir():
        raise Refused(Status.INVALID_ARGUMENT, f"{path} is a folder.")
    if disallow_overwrite and os.path.lexists(place):
        raise Refused(Status.ALREADY_EXISTS, f"{path} already exists.")


def _check_inside(root: Path, place: Path, said: str) -> None:
    if not place.parent.resolve().is_relative_to(root.resolve()):
        raise Refused(
            Status.INVALID_ARGUMENT,
            f"{said} is a link that leads out of the Volume; nothing can be copied there.",
        )


def _check_no_links(source: Path, place: Path) -> None:
    """Refuses a link where a copy of the folder would lie: what is copied would go through it."""
    if not os.path.lexists(place):
        return
    found = (Path(folder, name) for folder, *names in os.walk(source) for name in chain(*names))
    for entry in chain([source], found):
        inside = place / entry.relative_to(source)
        if inside.is_symlink():
            raise Refused(
                Status.INVALID_ARGUMENT,
                f"{inside.name} is a link where the copy would lie. Remove it first, or copy to "
                "another place.",
            )


@contextmanager
def _refusing(path: str) -> Iterator[None]:
    """What the file system says to a path, as a refusal."""
    try:
        yield
    except FileNotFoundError:
        raise _missing(path) from None
    except (NotADirectoryError, FileExistsError):
        raise Refused(
            Status.INVALID_ARGUMENT, f"{path} leads through a file that is no folder."
        ) from None
    except shutil.Error:
        raise Refused(Status.INTERNAL, f"{path} could not be copied whole.") from None
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        status = Status.RESOURCE_EXHAUSTED if full else Status.INVALID_ARGUMENT
        raise Refused(status, f"{path}: {error.strerror}.") from None


_KINDS = {
    stat.S_IFLNK: (api_pb2.FileEntry.SYMLINK, "a link"),
    stat.S_IFDIR: (api_pb2.FileEntry.DIRECTORY, "a folder"),
    stat.S_IFIFO: (api_pb2.FileEntry.FIFO, "a pipe"),
    stat.S_IFSOCK: (api_pb2.FileEntry.SOCKET, "a socket"),
}
_FILE = (api_pb2.FileEntry.FILE, "a file")


def _what(place: Path) -> str:
    return _KINDS.get(stat.S_IFMT(place.stat().st_mode), _FILE)[1]


def _entries(root: Path, place: Path, recursive: bool, limit: int) -> list[api_pb2.FileEntry]:
    found: list[api_pb2.FileEntry] = []
    lies_in = place.is_dir() and (place == root or not place.is_symlink())
    for path in _walk(place, recursive) if lies_in else [place]:
        with suppress(FileNotFoundError):  # it went while we looked
            found.append(_entry(path, root))
        if limit and len(found) == limit:
            break
    return found


def _walk(folder: Path, recursive: bool) -> Iterator[Path]:
    """What lies in a folder, each folder before what lies in it; any depth."""
    open_folders = [_children(folder)]
    while open_folders:
        child = next(open_folders[-1], None)
        if child is None:
            open_folders.pop()
            continue
        yield child
        if recursive and child.is_dir() and not child.is_symlink():
            open_folders.append(_children(child))


def _children(folder: Path) -> Iterator[Path]:
    try:
        children = sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        children = []  # it went while we looked
    return (child for child in children if not child.name.startswith(PARTIAL))


def _entry(place: Path, root: Path) -> api_pb2.FileEntry:
    seen = place.lstat()
    return api_pb2.FileEntry(
        path=os.fsencode(place.relative_to(root)).decode(errors="replace"),
        type=_KINDS.get(stat.S_IFMT(seen.st_mode), _FILE)[0],
        mtime=int(seen.st_mtime),
        size=seen.st_size,
    )
