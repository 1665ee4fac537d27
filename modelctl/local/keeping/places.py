"""Where does a Volume lie? A folder each under the state directory, which no path leads out of."""

import base64
import os
import posixpath
from pathlib import Path, PurePath

from modal_proto import api_pb2

from modelctl.local.keeping.records import Volume
from modelctl.local.keeping.state import State


class Places:
    """The folders of all Volumes."""

    def __init__(self, state: State, state_dir: Path) -> None:
        self._state = state
        self.root = state_dir / "volumes"
        self.root.mkdir(exist_ok=True)

    def folder(self, volume_id: str) -> Path:
        folder = self.root / volume_id
        folder.mkdir(exist_ok=True)
        return folder

    def place(self, volume_id: str, path: str) -> Path:
        """Where a path of the Volume lies; no path leads out of the Volume's folder."""
        inside = posixpath.normpath("/" + path).strip("/")
        return self.folder(self._state.volume(volume_id).id) / inside


def as_segment(path: PurePath) -> str:
    """A path as one segment of a URL that no client quotes or normalises."""
    return base64.urlsafe_b64encode(os.fsencode(path)).decode()


def from_segment(segment: str) -> str:
    return os.fsdecode(base64.urlsafe_b64decode(segment))


def volume_metadata(volume: Volume) -> api_pb2.VolumeMetadata:
    return api_pb2.VolumeMetadata(
        version=api_pb2.VolumeFsVersion.ValueType(volume.version),
        name=volume.name,
        creation_info=api_pb2.CreationInfo(created_at=volume.created_at, created_by="local"),
    )
