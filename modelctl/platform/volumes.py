"""What lies in the Volumes of an environment, and how is it read and written?"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Mapping
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any

from modelctl.platform import weights
from modelctl.platform.again import again
from modelctl.platform.errors import speaking_of
from modelctl.platform.types import StoredWeights

if TYPE_CHECKING:
    import modal


class Volumes:
    """The part of the Platform that speaks of Volumes; `_environment` is Modal's name of it."""

    _environment: str

    @again
    async def read(self, volume: str, path: str) -> bytes | None:
        import modal.exception as theirs

        with speaking_of(f"reading the Volume {volume}"):
            try:
                return b"".join([part async for part in self._volume(volume).read_file.aio(path)])
            except (theirs.NotFoundError, FileNotFoundError):
                return None

    @again
    async def listed(self, volume: str, folder: str) -> Mapping[str, int]:
        base = f"{folder.strip('/')}/".lstrip("/")
        with speaking_of(f"reading the Volume {volume}"):
            named = self._volume(volume)
            await named.hydrate.aio()
            listed = await entries(named, f"/{base}")
        return {
            entry.path.lstrip("/").removeprefix(base): entry.size
            for entry in listed
            if entry.type.name == "FILE"
        }

    async def beginning(self, volume: str, path: str, count: int) -> bytes:
        found = bytearray()
        with speaking_of(f"reading {path} of the Volume {volume}"):
            async with aclosing(self._volume(volume).read_file.aio(path)) as parts:
                async for part in parts:
                    found += part
                    if len(found) >= count:
                        break
        return bytes(found)

    @again
    async def write(self, volume: str, files: Mapping[str, bytes]) -> None:
        with speaking_of(f"writing the Volume {volume}"):
            async with self._volume(volume, create=True).batch_upload(force=True) as batch:
                for path, content in files.items():
                    batch.put_file(io.BytesIO(content), path)

    @again
    async def volumes(self, beginning: str) -> tuple[str, ...]:
        import modal

        with speaking_of("listing the Volumes"):
            found = await modal.Volume.objects.list.aio(environment_name=self._environment)
        names = sorted(volume.name for volume in found if volume.name)
        return tuple(name for name in names if name.startswith(beginning))

    @again
    async def stored(self, volume: str) -> tuple[StoredWeights, ...]:
        with speaking_of(f"reading the Volume {volume}"):
            listed = await entries(self._volume(volume, create=True), "/")
            folders = weights.folders(entry for entry in listed if entry.type.name == "FILE")
            contents = await asyncio.gather(
                *(self.read(volume, f"{prefix}{weights.MANIFEST}") for prefix in folders)
            )
        return tuple(
            weights.stored(prefix, files, weights.decode_manifest(content))
            for (prefix, files), content in zip(folders.items(), contents, strict=True)
        )

    @again
    async def remove(self, volume: str, prefix: str) -> None:
        import modal.exception as theirs

        with (
            speaking_of(f"removing {prefix} from the Volume {volume}"),
            suppress(theirs.NotFoundError, FileNotFoundError),
        ):
            await self._volume(volume).remove_file.aio(prefix, recursive=True)

    def _volume(self, name: str, *, create: bool = False) -> modal.Volume:
        import modal

        return modal.Volume.from_name(
            name, environment_name=self._environment, create_if_missing=create
        )


async def entries(volume: modal.Volume, prefix: str) -> list[Any]:
    """The files below a folder of a Volume; none where the folder is missing."""
    import modal.exception as theirs

    try:
        return list(await volume.listdir.aio(prefix, recursive=True))
    except (theirs.NotFoundError, FileNotFoundError):
        return []
