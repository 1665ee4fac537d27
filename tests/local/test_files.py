"""Volumes, secrets and dicts behave as the SDK expects of Modal's."""

import os
from pathlib import Path

import pytest

from tests.local.conftest import Client


@pytest.mark.parametrize("version", [1, 2])
def test_volumes_take_and_give_back_files_of_any_size(client: Client, version: int) -> None:
    folder = client.folder / f"upload{version}"
    (folder / "deep").mkdir(parents=True)
    (folder / "small.txt").write_text("small")
    (folder / "deep" / "empty").write_text("")
    # Past the 4 MiB from which v1 uploads by HTTP, and over two blocks of 8 MiB.
    big = os.urandom(1 << 20) * 9
    (folder / "big.bin").write_bytes(big)
    result = client.sdk(
        f"""
        import hashlib
        volume = modal.Volume.from_name("files{version}", create_if_missing=True, version={version})
        with volume.batch_upload() as batch:
            batch.put_directory({str(folder)!r}, "/data")
        entries = volume.listdir("/", recursive=True)
        listed = sorted((entry.path, entry.size) for entry in entries if entry.type == 1)
        digest = hashlib.sha256(b"".join(volume.read_file("data/big.bin"))).hexdigest()
        small = b"".join(volume.read_file("data/small.txt")).decode()
        empty = list(volume.read_file("data/deep/empty"))
        try:
            with volume.batch_upload() as batch:
                batch.put_file({str(folder / "small.txt")!r}, "/data/small.txt")
            again = "overwritten"
        except FileExistsError:
            again = "refused"
        try:
            list(volume.read_file("nowhere"))
            missing = "found"
        except FileNotFoundError:
            missing = "not found"
        volume.remove_file("data/deep", recursive=True)
        left = [e.path for e in volume.listdir("/data")]
        result = [listed, digest, small, len(b"".join(empty)), again, missing, sorted(left)]
        """
    )
    import hashlib

    assert result[0] == [
        ["data/big.bin", len(big)],
        ["data/deep/empty", 0],
        ["data/small.txt", 5],
    ]
    assert result[1] == hashlib.sha256(big).hexdigest()
    assert result[2:] == ["small", 0, "refused", "not found", ["data/big.bin", "data/small.txt"]]


def test_a_container_reads_and_writes_its_volumes(client: Client) -> None:
    client.modal("volume", "create", "shared")
    (client.folder / "weights.txt").write_text("weights")
    client.modal("volume", "put", "shared", "weights.txt", "/models/weights.txt")
    volume = 'modal.Volume.from_name("shared")'
    url = client.deploy(
        "mounting",
        f"min_containers=1, unauthenticated=True, volumes={{'/cache': {volume}}}",
    )
    client.ready(url)
    assert client.get(url + "/read/cache/models/weights.txt", {}).body == b"weights"
    assert client.get(url + "/write/cache/out.txt", {}).status == 200
    listed = client.modal("volume", "ls", "shared", "--json")
    assert "out.txt" in listed and "models" in listed
    client.modal("volume", "get", "shared", "out.txt", str(client.folder / "got.txt"))
    assert (client.folder / "got.txt").read_text() == "written"


def test_a_volume_is_mounted_from_its_sub_path(client: Client) -> None:
    client.sdk(
        """
        import io
        volume = modal.Volume.from_name("parted", create_if_missing=True)
        with volume.batch_upload() as batch:
            batch.put_file(io.BytesIO(b"inner"), "/inner/file")
        """
    )
    volume = (
        'modal.Volume.from_name("parted").with_mount_options(sub_path="/inner", read_only=True)'
    )
    url = client.deploy(
        "parting", f"min_containers=1, unauthenticated=True, volumes={{'/part': {volume}}}"
    )
    client.ready(url)
    assert client.get(url + "/read/part/file", {}).body == b"inner"


def test_no_path_leads_out_of_a_volume(client: Client, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("secret")
    steps = "../" * 20
    assert (
        client.sdk(
            f"""
        volume = modal.Volume.from_name("walls", create_if_missing=True)
        try:
            result = b"".join(volume.read_file("{steps}{tmp_path}/outside")).decode()
        except FileNotFoundError:
            result = "not found"
        """
        )
        == "not found"
    )


def test_secrets_reach_containers_and_missing_ones_are_named(client: Client) -> None:
    client.modal("secret", "create", "tokens", "MY_TOKEN=hidden-value")
    url = client.deploy(
        "secretive",
        'min_containers=1, unauthenticated=True, secrets=[modal.Secret.from_name("tokens")]',
    )
    client.ready(url)
    assert client.get(url + "/env", {}).json()["MY_TOKEN"] == "hidden-value"
    assert "hidden-value" not in str(client.calls("SecretGetOrCreate"))
    sentence = client.sdk(
        """
        try:
            modal.Secret.from_name("nowhere").hydrate()
        except modal.exception.NotFoundError as error:
            result = str(error)
        """
    )
    assert sentence == "Secret 'nowhere' not found in environment 'main'."


def test_an_update_of_a_dict_with_if_not_exists_has_one_winner(client: Client) -> None:
    assert client.sdk(
        """
        lock = modal.Dict.from_name("lock", create_if_missing=True)
        first = lock.put("owner", "a", skip_if_exists=True)
        second = lock.put("owner", "b", skip_if_exists=True)
        held = lock.get("owner")
        popped = lock.pop("owner")
        result = [first, second, held, popped, lock.get("owner"), lock.len()]
        """
    ) == [True, False, "a", "a", None, 0]


def test_what_is_not_served_says_so(client: Client) -> None:
    sentence = client.sdk(
        """
        try:
            modal.Workspace.from_context().service_users.create("bot", expires_in=None)
        except modal.exception.Error as error:
            result = str(error)
        """
    )
    assert sentence == "The local control plane does not serve ServiceUserCreate."
