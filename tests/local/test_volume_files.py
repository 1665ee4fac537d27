"""Files in Volumes: what is put is listed and read as it was, wherever it lies."""

import os
from pathlib import Path

import pytest
from modal_proto import api_pb2

from tests.local.conftest import Client, CommandLine, refusal
from tests.local.volumes import BLOCK, folder_of, listed, made


@pytest.mark.parametrize("version", [1, 2])
def test_blocks_of_zeros_and_odd_lengths_come_back_as_they_were(
    client: Client, version: int
) -> None:
    """The client leaves out the zeros at the end of a block; they are there again."""
    contents = {
        "zeros": bytes(BLOCK + 5),
        "hole": b"a" + bytes(BLOCK) + b"b",
        "exact": os.urandom(1) * BLOCK,
        "ends-in-zeros": b"x" * BLOCK + b"y" + bytes(1000),
    }
    source = client.folder / f"zeros-{version}"
    source.mkdir()
    for name, content in contents.items():
        (source / name).write_bytes(content)
    made(client, f"v-zeros-{version}", version)
    assert client.sdk(
        f"""
        import io, pathlib
        source = pathlib.Path({str(source)!r})
        volume = modal.Volume.from_name("v-zeros-{version}")
        with volume.batch_upload() as batch:
            batch.put_directory(source, "/")
        result = {{}}
        for path in source.iterdir():
            whole = b"".join(volume.read_file(path.name))
            copy = io.BytesIO()
            volume.read_file_into_fileobj(path.name, copy)
            result[path.name] = whole == path.read_bytes() == copy.getvalue()
        """
    ) == dict.fromkeys(contents, True)


NAMES = [
    "a b",
    "ünïcødé",
    "日本",
    "-f",
    "--help",
    "'quote\"",
    "a%2Fb",
    "#x?y=z",
    "new\nline",
    ".dot",
]


@pytest.mark.parametrize("version", [1, 2])
def test_odd_names_are_put_listed_read_copied_and_removed(client: Client, version: int) -> None:
    made(client, f"v-odd-{version}", version)
    result = client.sdk(
        f"""
        import io
        names = {NAMES!r}
        volume = modal.Volume.from_name("v-odd-{version}")
        with volume.batch_upload() as batch:
            for name in names:
                batch.put_file(io.BytesIO(name.encode()), f"/{{name}}/{{name}}")
        put = sorted(entry.path for entry in volume.listdir("/", recursive=True))
        read = [b"".join(volume.read_file(f"{{name}}/{{name}}")).decode() for name in names]
        for name in names:
            volume.copy_files([f"{{name}}/{{name}}"], f"{{name}}/copy")
            volume.remove_file(f"{{name}}/{{name}}")
        left = sorted(entry.path for entry in volume.listdir("/", recursive=True))
        result = [put, read, left]
        """
    )
    assert result == [
        sorted([*NAMES, *(f"{name}/{name}" for name in NAMES)]),
        NAMES,
        sorted([*NAMES, *(f"{name}/copy" for name in NAMES)]),
    ]


def test_listings_answer_folders_files_and_what_is_not_there(
    client: Client, cli: CommandLine
) -> None:
    folder = folder_of(client, made(client, "v-list"))
    deep = folder / Path(*["d"] * 300)
    deep.mkdir(parents=True)
    (deep / "bottom").write_text("b")
    (folder / "top").write_text("t")
    (folder / "link").symlink_to("top")
    os.mkfifo(folder / "pipe")
    assert listed(client, "v-list", recursive=False) == ["d", "link", "pipe", "top"]
    everything = listed(client, "v-list")
    assert everything[300:] == ["d/" * 300 + "bottom", "link", "pipe", "top"]
    assert listed(client, "v-list", "/d/", recursive=False) == ["d/d"]
    assert listed(client, "v-list", "d/../top") == ["top"]
    rows = cli.rows("volume", "ls", "v-list")
    assert [(row["filename"], row["type"], row["size"]) for row in rows[1:]] == [
        ("link", "link", 3),
        ("pipe", "fifo", 0),
        ("top", "file", 1),
    ]
    assert "No such file or folder: nowhere" in cli.fails("volume", "ls", "v-list", "nowhere")
    assert "No such file or folder: top/x" in cli.fails("volume", "ls", "v-list", "top/x")


def test_a_listing_ends_where_it_was_asked_to(client: Client) -> None:
    volume_id = made(client, "v-most")
    for number in range(5):
        (folder_of(client, volume_id) / f"f{number}").write_text("")
    # Straight to the plane: no call of the SDK sends it.
    request = api_pb2.VolumeListFilesRequest(volume_id=volume_id, path="/", max_entries=3)
    (batch,) = client.rpc("VolumeListFiles", request)
    assert [entry.path for entry in batch.entries] == ["f0", "f1", "f2"]


def test_no_link_leads_out_of_a_volume(client: Client, tmp_path: Path) -> None:
    """A container may make any link; a client that follows it stays in the Volume."""
    (tmp_path / "outside").write_text("secret")
    volume_id = made(client, "v-links", 2)
    folder = folder_of(client, volume_id)
    (folder / "file").write_text("inside")
    (folder / "inner").symlink_to("file")
    (folder / "outer").symlink_to(tmp_path / "outside")
    (folder / "door").symlink_to(tmp_path)
    (folder / "nowhere").symlink_to("missing")

    def read(path: str) -> tuple[str, str]:
        asked = api_pb2.VolumeGetFile2Request(volume_id=volume_id, path=path)
        return refusal(client, "VolumeGetFile2", asked)

    assert (
        client.sdk(
            'result = b"".join(modal.Volume.from_name("v-links").read_file("inner")).decode()'
        )
        == "inside"
    )
    for path in ("outer", "door/outside", "nowhere"):
        assert read(path) == ("NOT_FOUND", f"No such file or folder: {path}")
    assert listed(client, "v-links") == ["door", "file", "inner", "nowhere", "outer"]
    for method, request in (
        ("VolumeListFiles", api_pb2.VolumeListFilesRequest(volume_id=volume_id, path="door/x")),
        (
            "VolumeCopyFiles2",
            api_pb2.VolumeCopyFiles2Request(
                volume_id=volume_id, src_paths=["file"], dst_path="door/planted"
            ),
        ),
        (
            "VolumeRemoveFile2",
            api_pb2.VolumeRemoveFile2Request(volume_id=volume_id, path="door/outside"),
        ),
    ):
        assert refusal(client, method, request)[0] == "NOT_FOUND", method
    # A link goes, and what it leads to stays.
    client.sdk('modal.Volume.from_name("v-links").remove_file("door", recursive=True)')
    assert (tmp_path / "outside").read_text() == "secret"
    assert not (tmp_path / "planted").exists()


def test_a_copy_goes_through_no_link(client: Client, tmp_path: Path) -> None:
    volume_id = made(client, "v-links-copied", 2)
    folder = folder_of(client, volume_id)
    (folder / "file").write_text("inside")
    (folder / "door").symlink_to(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    (folder / "target" / "tree").mkdir(parents=True)
    (folder / "tree").mkdir()
    (folder / "tree" / "sub").mkdir()
    (folder / "tree" / "sub" / "file").write_text("planted")
    (folder / "target" / "tree" / "sub").symlink_to(tmp_path / "elsewhere")
    for sources, target, sentence in (
        (["file"], "door", "door is a link that leads out of the Volume; nothing can be copied "),
        (["tree"], "target", "sub is a link where the copy would lie. Remove it first, or copy "),
        (["tree/sub"], "target/tree", "sub is a link where the copy would lie. Remove it first"),
    ):
        copied = api_pb2.VolumeCopyFiles2Request(
            volume_id=volume_id, src_paths=sources, dst_path=target, recursive=True
        )
        status, said = refusal(client, "VolumeCopyFiles2", copied)
        assert status == "INVALID_ARGUMENT"
        assert said.startswith(sentence)
    assert not (tmp_path / "file").exists()
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize("version", [1, 2])
def test_what_is_there_is_overwritten_only_with_force(
    client: Client, cli: CommandLine, version: int
) -> None:
    name = f"v-force-{version}"
    volume_id = made(client, name, version)
    (client.folder / "mine.txt").write_text("first")
    cli("volume", "put", name, "mine.txt", "/there/")
    (client.folder / "mine.txt").write_text("second")
    assert "there/mine.txt already exists." in cli.fails(
        "volume", "put", name, "mine.txt", "there/"
    )
    there = folder_of(client, volume_id) / "there" / "mine.txt"
    assert there.read_text() == "first"
    cli("volume", "put", name, "mine.txt", "there/", "--force")
    assert there.read_text() == "second"
    assert "there is a folder." in cli.fails("volume", "put", name, "mine.txt", "/there", "--force")
    refused = cli.fails("volume", "put", name, "mine.txt", "/there/mine.txt/below", "--force")
    assert "/there/mine.txt/below leads through a file that is no folder." in refused
    local = client.folder / f"got-{version}"
    local.mkdir()
    cli("volume", "get", name, "there", str(local))
    assert (local / "there" / "mine.txt").read_text() == "second"
    assert "already exists" in cli.fails(
        "volume", "get", name, "there/mine.txt", str(local / "there")
    )
    assert cli("volume", "get", name, "there/mine.txt", "-").startswith("second")


def test_copies_follow_the_rules_of_cp(client: Client) -> None:
    volume_id = made(client, "v-copy", 2)
    folder = folder_of(client, volume_id)
    (folder / "d" / "e").mkdir(parents=True)
    (folder / "d" / "e" / "f").write_text("f")
    (folder / "x").write_text("x")

    def copy(*paths: str, recursive: bool = False) -> api_pb2.VolumeCopyFiles2Request:
        *sources, target = paths
        return api_pb2.VolumeCopyFiles2Request(
            volume_id=volume_id, src_paths=sources, dst_path=target, recursive=recursive
        )

    for request in (
        copy("x", "y"),  # to a name
        copy("x", "d"),  # into a folder
        copy("x", "y", "new/"),  # several, into a folder that is made
        copy("d", "c", recursive=True),  # a folder to a name
        copy("x", "x"),  # onto itself
    ):
        client.rpc("VolumeCopyFiles2", request)
    assert listed(client, "v-copy") == [
        "c", "c/e", "c/e/f", "c/x", "d", "d/e", "d/e/f", "d/x", "new", "new/x", "new/y", "x", "y",
    ]  # fmt: skip
    for request, sentence in (
        (copy("d", "z"), "d is a folder; copy it with recursive=True."),
        (copy("d", "d", recursive=True), "d cannot be copied into itself."),
        (copy("d", "d/e/deep", recursive=True), "d cannot be copied into itself."),
    ):
        assert refusal(client, "VolumeCopyFiles2", request) == ("INVALID_ARGUMENT", sentence)
    status, said = refusal(client, "VolumeCopyFiles2", copy("missing", "z"))
    assert (status, said) == ("NOT_FOUND", "No such file or folder: missing")


def test_removal_says_what_it_does_not_do(client: Client, cli: CommandLine) -> None:
    volume_id = made(client, "v-rm")
    folder = folder_of(client, volume_id)
    (folder / "d").mkdir()
    (folder / "d" / "f").write_text("f")
    assert "d is a folder; remove it with recursive=True." in " ".join(
        cli.fails("volume", "rm", "v-rm", "d").split()
    )
    assert "The root of a Volume cannot be removed." in " ".join(
        cli.fails("volume", "rm", "v-rm", "/", "-r").split()
    )
    assert "No such file or folder: x" in cli.fails("volume", "rm", "v-rm", "x")
    cli("volume", "rm", "v-rm", "d", "-r")
    assert listed(client, "v-rm") == []


def test_a_file_that_is_removed_while_it_is_read_is_read_to_its_end_or_missing(
    client: Client,
) -> None:
    volume_id = made(client, "v-gone", 2)
    folder = folder_of(client, volume_id)
    (folder / "f").write_bytes(b"x" * (2 * BLOCK))
    asked = api_pb2.VolumeGetFile2Request(volume_id=volume_id, path="f")
    answer = client.rpc("VolumeGetFile2", asked)
    assert (answer.size, len(answer.get_urls)) == (2 * BLOCK, 2)
    assert client.get(answer.get_urls[0], {}).status == 200
    client.rpc("VolumeRemoveFile2", api_pb2.VolumeRemoveFile2Request(volume_id=volume_id, path="f"))
    assert client.get(answer.get_urls[1], {}).status == 404
    assert refusal(client, "VolumeGetFile2", asked) == (
        "NOT_FOUND",
        "No such file or folder: f",
    )


def test_ranges_are_answered_block_by_block(client: Client) -> None:
    volume_id = made(client, "v-range", 2)
    content = os.urandom(2 * BLOCK + 100)
    (folder_of(client, volume_id) / "f").write_bytes(content)
    for start, length in (
        (0, 0),
        (0, 1),
        (BLOCK - 1, 2),
        (BLOCK, BLOCK),
        (2 * BLOCK, 1000),
        (10, 0),
    ):
        asked = api_pb2.VolumeGetFile2Request(
            volume_id=volume_id, path="f", start=start, len=length
        )
        answer = client.rpc("VolumeGetFile2", asked)
        read = b"".join(client.get(url, {}).body for url in answer.get_urls)
        assert read == content[start : start + length if length else None]
    beyond = api_pb2.VolumeGetFile2Request(volume_id=volume_id, path="f", start=len(content) + 1)
    assert list(client.rpc("VolumeGetFile2", beyond).get_urls) == []
