"""Images: kept as recipes, built at once unless told otherwise, compared layer by layer, named."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from modal_proto import api_pb2

from modelctl.local import lifecycle
from modelctl.local.keeping.recipes import chain, layers
from modelctl.local.keeping.records import Image
from modelctl.local.lifecycle import LocalError, Plane
from tests.local.conftest import Client


@pytest.fixture
def plane(client: Client) -> Iterator[Plane]:
    """The shared plane, without faults before and after, with the base image built."""
    lifecycle.clear_faults(client.plane)
    _sdk_build(client, "base")
    yield client.plane
    lifecycle.clear_faults(client.plane)


def _build(client: Client, mark: str, *, force: bool = False) -> api_pb2.ImageGetOrCreateResponse:
    image = api_pb2.Image(dockerfile_commands=["FROM scratch", f"ENV MARK={mark}"])
    request = api_pb2.ImageGetOrCreateRequest(image=image, force_build=force)
    response = client.rpc("ImageGetOrCreate", request)
    assert isinstance(response, api_pb2.ImageGetOrCreateResponse)
    return response


BUILD = """
import contextlib, io
image = modal.Image.debian_slim().env({"MARK": MARK})
shown = io.StringIO()
with contextlib.redirect_stdout(shown), modal.enable_output():
    try:
        image.build(modal.App.lookup("builds", create_if_missing=True))
        failure = ""
    except modal.exception.Error as error:
        failure = str(error)
result = [image.object_id if not failure else None, failure, shown.getvalue()]
"""


def _sdk_build(client: Client, mark: str) -> tuple[str, str, str]:
    image_id, failure, shown = client.sdk(BUILD.replace("MARK}", f"{mark!r}}}"))
    return image_id, failure, shown


# -- builds


def test_a_new_recipe_counts_as_built_at_once_and_is_known_again(client: Client) -> None:
    first = _build(client, "at once")
    assert first.result.status == api_pb2.GenericResult.GENERIC_STATUS_SUCCESS
    assert _build(client, "at once").image_id == first.image_id
    assert _build(client, "another").image_id != first.image_id


def test_a_build_that_is_forced_makes_another_image(client: Client) -> None:
    first = _build(client, "forced")
    again = _build(client, "forced", force=True)
    assert again.image_id != first.image_id
    assert _build(client, "forced").image_id == again.image_id
    request = api_pb2.ImageFromIdRequest(image_id=first.image_id)
    assert client.rpc("ImageFromId", request).image_id == first.image_id


def test_a_slow_build_prints_its_steps_and_succeeds(client: Client, plane: Plane) -> None:
    lifecycle.add_fault(plane, "slow-build", app="builds", seconds=0.4, times=1)
    image_id, failure, shown = _sdk_build(client, "slow")
    assert failure == ""
    assert "=> Step 0: FROM base" in shown
    assert "=> Step 1: ENV MARK=slow" in shown
    assert f"Built image {image_id} in 0.40s" in shown
    assert _sdk_build(client, "slow") == (image_id, "", "")


def test_a_build_fails_with_the_sentence_and_is_not_remembered_as_built(
    client: Client, plane: Plane
) -> None:
    lifecycle.add_fault(plane, "fail-build", message="no space left on device", times=1)
    _, failure, shown = _sdk_build(client, "fails")
    first, sentence = failure.split("\n")
    assert first.startswith("Image build for im-")
    assert first.endswith(" failed with the exception:")
    assert sentence == "no space left on device"
    assert "=> Step 1: ENV MARK=fails" in shown
    failed = first.split()[3]
    assert lifecycle.image(plane, failed)["state"] == "failed"
    image_id, failure, _ = _sdk_build(client, "fails")
    assert failure == ""
    assert image_id != failed


def test_what_a_build_printed_is_shown_by_modals_command_line(client: Client, plane: Plane) -> None:
    lifecycle.add_fault(plane, "fail-build", message="disk on fire", times=1)
    _, failure, _ = _sdk_build(client, "logged")
    failed = failure.split()[3]
    assert client.modal("image", "logs", failed).splitlines() == [
        "=> Step 0: FROM base",
        "=> Step 1: ENV MARK=logged",
        "disk on fire",
    ]


def test_faults_on_builds_meet_the_apps_that_they_name(client: Client, plane: Plane) -> None:
    lifecycle.add_fault(plane, "fail-build", app="somebody-else")
    assert _sdk_build(client, "elsewhere")[1] == ""


def test_two_that_ask_for_one_recipe_join_one_build(client: Client, plane: Plane) -> None:
    lifecycle.add_fault(plane, "slow-build", seconds=0.5)
    first = _build(client, "joined")
    second = _build(client, "joined")
    assert first.image_id == second.image_id
    assert not first.result.status and not second.result.status
    joins = [_join(client, first.image_id) for _ in range(2)]
    assert joins[0] == joins[1]
    assert [line for line in joins[0] if line.startswith("=> Step")] == [
        "=> Step 0: FROM scratch\n",
        "=> Step 1: ENV MARK=joined\n",
    ]
    assert lifecycle.faults(plane)[0]["met"] == 1


def test_who_comes_back_to_a_build_is_told_what_it_missed(client: Client, plane: Plane) -> None:
    lifecycle.add_fault(plane, "slow-build", seconds=0.6)
    image_id = _build(client, "resumed").image_id
    request = api_pb2.ImageJoinStreamingRequest(image_id=image_id, timeout=0.1)
    early = client.rpc("ImageJoinStreaming", request)
    assert [log.data for part in early for log in part.task_logs] == ["=> Step 0: FROM scratch\n"]
    assert not early[-1].result.status
    late = _join(client, image_id, after=early[-1].entry_id)
    assert late[0] == "=> Step 1: ENV MARK=resumed\n"
    assert len(late) == 2


def test_a_build_that_the_plane_did_not_survive_was_terminated(own_client: Client) -> None:
    lifecycle.add_fault(own_client.plane, "slow-build", seconds=60)
    image_id = _build(own_client, "killed").image_id
    lifecycle.down(own_client.plane.state_dir)
    lifecycle.up(own_client.plane.state_dir)
    request = api_pb2.ImageJoinStreamingRequest(image_id=image_id)
    (*_, last) = own_client.rpc("ImageJoinStreaming", request)
    assert last.result.status == api_pb2.GenericResult.GENERIC_STATUS_TERMINATED
    assert lifecycle.image(own_client.plane, image_id)["state"] == "terminated"
    again = _build(own_client, "killed")
    assert again.image_id != image_id
    assert again.result.status == api_pb2.GenericResult.GENERIC_STATUS_SUCCESS


def _join(client: Client, image_id: str, after: str = "") -> list[str]:
    """The lines of a build, to its end."""
    request = api_pb2.ImageJoinStreamingRequest(image_id=image_id, last_entry_id=after)
    parts = client.rpc("ImageJoinStreaming", request)
    assert parts[-1].result.status == api_pb2.GenericResult.GENERIC_STATUS_SUCCESS
    return [log.data for part in parts for log in part.task_logs]


# -- recipes


def test_a_recipe_is_shown_layer_by_layer(client: Client, plane: Plane) -> None:
    source = client.folder / "requirements.txt"
    source.write_text("numpy\n")
    image_id = client.sdk(
        f"""
        secret = modal.Secret.from_dict({{"TOKEN": "canary-7"}})
        image = (
            modal.Image.from_registry("nvidia/cuda:12.9.0-devel-ubuntu24.04", add_python="3.12")
            .pip_install_from_requirements({str(source)!r})
            .run_commands("make", "make install", secrets=[secret], gpu="L4:2")
        )
        image.build(modal.App.lookup("recipes", create_if_missing=True))
        result = image.object_id
        """
    )
    shown = lifecycle.image(plane, image_id)
    assert shown["state"] == "built"
    assert shown["starts"] == "FROM nvidia/cuda:12.9.0-devel-ubuntu24.04"
    assert shown["ends"] == "RUN make install"
    made_of = shown["layers"]
    assert shown["layer_count"] == len(made_of) == 4
    assert made_of[-1]["id"] == image_id
    assert [line.split(":")[0] for line in made_of[-2]["lines"][:1]] == [
        "USE FILE /.requirements.txt sha256"
    ]
    last = made_of[-1]["lines"]
    assert last[0].startswith("USE SECRET st-")
    assert last[1:] == ["USE GPU L4:2", "FROM base", "RUN make", "RUN make install"]
    assert "canary-7" not in json.dumps(shown)


def test_the_apps_that_use_an_image_are_listed(client: Client, plane: Plane) -> None:
    client.deploy("pictured", "image=modal.Image.debian_slim().env({'PICTURED': '1'})")
    (found,) = [image for image in lifecycle.images(plane) if image["apps"] == ["pictured"]]
    assert found["ends"] == "ENV PICTURED=1"
    assert found["starts"].startswith("FROM ")


def test_an_image_that_is_not_there_is_a_sentence(plane: Plane) -> None:
    with pytest.raises(LocalError, match="there is no image im-none"):
        lifecycle.image(plane, "im-none")


def test_a_layer_that_two_lead_to_stands_once_and_below_both() -> None:
    def kept(image_id: str, *bases: str) -> Image:
        recipe = api_pb2.Image(base_images=[api_pb2.BaseImage(image_id=base) for base in bases])
        return Image(image_id, "", "", recipe.SerializeToString())

    images = {
        image.id: image
        for image in (kept("top", "left", "right"), kept("left", "base"), kept("right", "base"))
    } | {"base": kept("base")}
    assert [image.id for image in chain(images, "top")] == ["base", "left", "right", "top"]
    assert layers(images, "gone") == []


def test_files_and_build_functions_are_known_by_what_is_in_them() -> None:
    def lines(**fields: Any) -> list[str]:
        image = Image("im-1", "", "", api_pb2.Image(**fields).SerializeToString())
        return list(layers({"im-1": image}, "im-1")[0]["lines"])

    file = api_pb2.ImageContextFile(filename="/a", data=b"one")
    assert lines(context_files=[file]) == ["USE FILE /a sha256:7692c3ad3540 (3 bytes)"]
    function = api_pb2.BuildFunction(definition="def fetch():\n    pass", globals=b"g")
    assert lines(build_function=function) == [
        "RUN FUNCTION",
        "  def fetch():",
        "      pass",
        "  globals sha256:cd0aa9856147",
    ]
    assert lines(build_args={"B": "2", "A": "1"}) == ["ARG A=1", "ARG B=2"]


# -- names


def test_an_image_is_published_found_and_forgotten_by_name(client: Client) -> None:
    first, second = (_build(client, mark).image_id for mark in ("name 1", "name 2"))
    published = client.sdk(
        f"""
        for image_id in ({first!r}, {second!r}):
            image = modal.Image.from_id(image_id)
            image.build(modal.App.lookup("naming", create_if_missing=True))
            image.publish("picture")
        found = modal.Image.from_name("picture")
        found.build(modal.App.lookup("naming"))
        result = found.object_id
        """
    )
    assert published == second
    (listed,) = client.rpc("ImageListTags", api_pb2.ImageListTagsRequest(tag_prefix="pict")).items
    assert (listed.tag, listed.image_id) == ("picture:latest", second)
    revisions = api_pb2.ImageTagRevisionsRequest(tag="main/picture:latest")
    history = client.rpc("ImageTagRevisions", revisions).items
    assert [entry.image_id for entry in history] == [second, first]
    client.rpc("ImageNameDelete", api_pb2.ImageNameDeleteRequest(tag="main/picture:latest"))
    said = client.sdk(
        """
        try:
            modal.Image.from_name("picture").build(modal.App.lookup("naming"))
        except modal.exception.NotFoundError as error:
            result = str(error)
        """
    )
    assert said == "Image 'picture:latest' not found in environment 'main'."


def test_names_are_listed_page_by_page(client: Client) -> None:
    image_id = _build(client, "paged").image_id
    for number in range(5):
        request = api_pb2.ImagePublishRequest(image_id=image_id, tag=f"page-{number}:v1")
        client.rpc("ImagePublish", request)
    tags, token = [], ""
    while True:
        page = client.rpc(
            "ImageListTags",
            api_pb2.ImageListTagsRequest(tag_prefix="page-", max_objects=2, page_token=token),
        )
        tags.append([item.tag for item in page.items])
        if not (token := page.next_page_token):
            break
    assert tags == [["page-0:v1", "page-1:v1"], ["page-2:v1", "page-3:v1"], ["page-4:v1"]]
