"""Volumes: made, listed, renamed, deleted, and written to by containers."""

import pytest
from modal_proto import api_pb2

from modelctl.local.running import read_only
from tests.local.conftest import Client, CommandLine, refusal
from tests.local.volumes import folder_of, listed, made


def test_the_cli_makes_lists_renames_and_deletes(client: Client, cli: CommandLine) -> None:
    assert "Created Volume 'v-cli' in environment 'main'." in cli("volume", "create", "v-cli")
    assert "Volume 'v-cli' already exists." in cli.fails("volume", "create", "v-cli")
    cli("volume", "create", "v-cli-2", "--version", "2")
    rows = {row["name"]: row for row in cli.rows("volume", "list")}
    assert rows["v-cli"]["created_by"] == "local"
    assert "Volume 'v-cli' already exists." in " ".join(
        cli.fails("volume", "rename", "v-cli-2", "v-cli", "--yes").split()
    )
    cli("volume", "rename", "v-cli-2", "v-cli-3", "--yes")
    names = [row["name"] for row in cli.rows("volume", "list")]
    assert "v-cli-3" in names and "v-cli-2" not in names
    folder = folder_of(client, made(client, "v-cli"))
    assert folder.is_dir()
    cli("volume", "delete", "v-cli", "--yes")
    assert not folder.exists()
    cli("volume", "delete", "v-cli-3", "--yes")
    assert "v-cli" not in cli("volume", "list")
    gone = " ".join(cli.fails("volume", "delete", "v-cli", "--yes").split())
    assert "Volume 'v-cli' not found in environment 'main'." in gone
    cli("volume", "delete", "v-cli", "--yes", "--allow-missing")


def test_a_volume_has_the_version_that_it_was_made_with(client: Client) -> None:
    assert client.sdk(
        """
        modal.Volume.objects.create("v-one")
        modal.Volume.objects.create("v-two", version=2)
        result = []
        for name, version in (("v-one", 1), ("v-two", 2), ("v-one", 2), ("v-two", None)):
            try:
                volume = modal.Volume.from_name(name, version=version).hydrate()
                result.append(volume.info().name)
            except modal.exception.InvalidError as error:
                result.append(str(error).partition(".")[0])
        """
    ) == [
        "v-one",
        "v-two",
        "Volume 'v-one' exists but has version v1, not v2 as requested",
        "v-two",
    ]


@pytest.mark.parametrize("version", [1, 2])
def test_an_ephemeral_volume_has_no_name(client: Client, version: int) -> None:
    assert client.sdk(
        f"""
        import io
        with modal.Volume.ephemeral(version={version}) as volume:
            with volume.batch_upload() as batch:
                batch.put_file(io.BytesIO(b"short"), "/file")
            same = modal.Volume.from_id(volume.object_id)
            result = [
                b"".join(same.read_file("file")).decode(),
                same.info().name,
                volume.object_id in [v.object_id for v in modal.Volume.objects.list()],
            ]
        """
    ) == ["short", None, False]


def test_a_container_commits_and_reloads(client: Client) -> None:
    """What a container wrote is there at once; commit and reload are answered."""
    made(client, "v-commit")
    url = client.deploy(
        "committing",
        "min_containers=1, unauthenticated=True, "
        'volumes={"/data": modal.Volume.from_name("v-commit")}',
        before='volume = modal.Volume.from_name("v-commit"); volume.reload(); '
        'print("kept", end="", file=open(os.environ["MODELCTL_MOUNT_ROOT"] + "/data/note", "w")); '
        "volume.commit()",
    )
    client.ready(url)
    assert (
        client.sdk(
            'result = b"".join(modal.Volume.from_name("v-commit").read_file("note")).decode()'
        )
        == "kept"
    )


def test_a_volume_mounted_read_only_cannot_be_written_where_this_machine_can_see_to_it(
    client: Client,
) -> None:
    """It can where it permits mount namespaces; what others write is seen all the same."""
    folder = folder_of(client, made(client, "v-protected"))
    (folder / "model").write_text("weights")
    (folder_of(client, made(client, "v-part")) / "sub").mkdir()
    made(client, "v-open")
    url = client.deploy(
        "protected",
        "min_containers=1, unauthenticated=True, volumes={"
        '"/whole": modal.Volume.from_name("v-protected").with_mount_options(read_only=True), '
        '"/deep/part": modal.Volume.from_name("v-part").with_mount_options('
        'read_only=True, sub_path="/sub"), '
        '"/open": modal.Volume.from_name("v-open")}',
    )
    client.ready(url)
    assert client.get(url + "/read/whole/model", {}).body == b"weights"
    (folder / "later").write_text("seen")
    assert client.get(url + "/read/whole/later", {}).body == b"seen"
    assert client.get(url + "/write/open/new", {}).status == 200
    protected = read_only.permitted()
    for path in ("whole/new", "whole/model", "deep/part/new"):
        assert client.get(f"{url}/write/{path}", {}).status == (502 if protected else 200)
    assert (folder / "model").read_text() == ("weights" if protected else "written")
    assert listed(client, "v-part") == ["sub"] + ["sub/new"] * (not protected)
    assert listed(client, "v-open") == ["new"]
    if protected:
        assert "Read-only file system" in client.logs("protected")


def test_an_unknown_volume_is_not_found(client: Client) -> None:
    unknown = "vo-" + "0" * 22
    for method, request in (
        ("VolumeGetById", api_pb2.VolumeGetByIdRequest(volume_id=unknown)),
        ("VolumeHeartbeat", api_pb2.VolumeHeartbeatRequest(volume_id=unknown)),
        ("VolumeCommit", api_pb2.VolumeCommitRequest(volume_id=unknown)),
        ("VolumeReload", api_pb2.VolumeReloadRequest(volume_id=unknown)),
        ("VolumeDelete", api_pb2.VolumeDeleteRequest(volume_id=unknown)),
        ("VolumeRename", api_pb2.VolumeRenameRequest(volume_id=unknown, name="x")),
        ("VolumeListFiles", api_pb2.VolumeListFilesRequest(volume_id=unknown)),
        ("VolumeListFiles2", api_pb2.VolumeListFiles2Request(volume_id=unknown)),
        ("VolumeGetFile2", api_pb2.VolumeGetFile2Request(volume_id=unknown, path="f")),
        ("VolumePutFiles", api_pb2.VolumePutFilesRequest(volume_id=unknown, files=[{}])),
        ("VolumePutFiles2", api_pb2.VolumePutFiles2Request(volume_id=unknown, files=[{}])),
        ("VolumeRemoveFile", api_pb2.VolumeRemoveFileRequest(volume_id=unknown, path="f")),
        (
            "VolumeCopyFiles",
            api_pb2.VolumeCopyFilesRequest(volume_id=unknown, src_paths=["f"], dst_path="g"),
        ),
    ):
        expected = ("NOT_FOUND", f"Volume with id '{unknown}' not found.")
        assert refusal(client, method, request) == expected, method
