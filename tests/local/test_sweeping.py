"""What nothing refers to goes when a plane starts; what a record names stays, however old."""

import os
import secrets
import time
from pathlib import Path

from modal_proto import api_pb2

from modelctl.local import lifecycle
from modelctl.local.keeping.function_calls import KEEP, FunctionCalls
from modelctl.local.keeping.ids import new_id
from modelctl.local.keeping.records import Definition
from modelctl.local.keeping.store import Store
from modelctl.local.keeping.sweeping import sweep
from tests.local.conftest import Client, until

OLD = time.time() - KEEP - 60


def blob(state: Path, made_at: float = OLD) -> str:
    """The id of an upload of that time."""
    blob_id = new_id("bl")
    for name in (blob_id, f"{blob_id}.sha256"):
        file(state / "blobs" / name, made_at)
    return blob_id


def file(path: Path, made_at: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")
    os.utime(path, (made_at, made_at))
    return path


def test_old_uploads_go_that_no_record_names(tmp_path: Path) -> None:
    argument, result, built, young, lost = (
        *(blob(tmp_path), blob(tmp_path), blob(tmp_path)),
        *(blob(tmp_path, time.time()), blob(tmp_path)),
    )
    stray = file(tmp_path / "blobs" / "notes", OLD)
    store = Store(tmp_path / "state.db")
    FunctionCalls(store)  # makes the tables
    item = api_pb2.FunctionGetOutputsItem(
        result=api_pb2.GenericResult(data_blob_id=result), input_id="in-1"
    )
    body = api_pb2.FunctionInput(args_blob_id=argument, data_format=1)
    store.execute(
        "INSERT INTO function_inputs VALUES (?, ?, ?, 0, '', 0, 0, 0, 0, '', 0, ?, ?)",
        ["in-1", "fc-1", "fu-1", body.SerializeToString(), item.SerializeToString()],
    )
    store.save(Definition("de-1", "fu-1", "digest", b"\x0a\x19" + built.encode() + b"J"))
    store.execute(
        "INSERT INTO calls VALUES (1, 0, 'BlobGet', 0, 'OK', ?, '')", [f"blob_id: {lost}"]
    )
    store.commit()
    assert sweep(tmp_path, (), began=time.time(), now=time.time()) == 2
    store.close()
    kept = {path.stem for path in (tmp_path / "blobs").iterdir()}
    assert kept == {argument, result, built, young, stray.name}


def test_half_written_files_go_and_those_of_the_running_plane_stay(tmp_path: Path) -> None:
    began = time.time()

    def partial(folder: str, made_at: float) -> Path:
        return file(tmp_path / folder / f".modelctl-part-{secrets.token_hex(8)}", made_at)

    left = [partial(folder, began - 5) for folder in ("blobs", "files/ab", "volumes/vo-1/deep")]
    being_written = partial("files/ab", began)
    of_the_user = file(tmp_path / "volumes" / "vo-1" / ".modelctl-part-of-mine", began - 5)
    (tmp_path / "outside").mkdir()
    elsewhere = partial("outside", began - 5)
    (tmp_path / "volumes" / "vo-1" / "link").symlink_to(tmp_path / "outside")
    assert sweep(tmp_path, (), began=began, now=began) == 3
    assert not [path for path in left if path.exists()]
    assert being_written.exists() and of_the_user.exists() and elsewhere.exists()


def test_a_plane_that_starts_removes_folders_of_volumes_that_are_gone(own_client: Client) -> None:
    state = own_client.plane.state_dir
    volume_id = own_client.sdk(
        """
        volume = modal.Volume.from_name("v-stays", create_if_missing=True).hydrate()
        result = volume.object_id
        """
    )
    kept = file(state / "volumes" / volume_id / "file", OLD)
    lifecycle.down(state)
    lost = file(state / "volumes" / new_id("vo") / "deep" / "file", OLD).parents[1]
    upload = state / "blobs" / blob(state)
    lifecycle.up(state)
    until(lambda: not lost.exists() and not upload.exists())
    assert kept.exists()
