"""Does the loopback Hub behave as the Hub does, to the Hub's own client?"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import httpx2
import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import get_hf_file_metadata, hf_hub_url, http_get
from huggingface_hub.utils import build_hf_headers

from tests.hub.models import make_adapter, make_llama
from tests.hub.server import Hub

FILES = {"config.json": "{}", "model.safetensors": bytes(range(256)) * 40}


def address(hub: Hub, path: str, repo: str = "org/m", revision: str = "main") -> str:
    return hf_hub_url(repo, path, revision=revision, endpoint=hub.url)


def test_a_listing_has_commit_sizes_and_both_kinds_of_hashes(hub: Hub) -> None:
    commit = hub.add("org/m", FILES)
    info = HfApi(endpoint=hub.url, token=False).model_info("org/m", files_metadata=True)
    assert info.sha == commit
    small, large = info.siblings or []
    assert (small.rfilename, small.size, small.lfs) == ("config.json", 2, None)
    assert small.blob_id == hashlib.sha1(b"blob 2\0{}").hexdigest()
    assert large.lfs is not None
    assert large.lfs.sha256 == hashlib.sha256(FILES["model.safetensors"]).hexdigest()
    assert large.size == 10_240


def test_a_large_file_comes_from_another_host_without_the_token(hub: Hub, tmp_path: Path) -> None:
    commit = hub.add("org/m", FILES, private=True, members=("hf_member",))
    headers = build_hf_headers(token="hf_member")
    found = get_hf_file_metadata(address(hub, "model.safetensors"), token="hf_member")
    assert found.commit_hash == commit
    assert found.etag == hashlib.sha256(FILES["model.safetensors"]).hexdigest()
    assert found.location.startswith("http://localhost:")
    with (tmp_path / "got").open("wb") as file:
        http_get(address(hub, "model.safetensors"), file, headers=headers)
    assert (tmp_path / "got").read_bytes() == FILES["model.safetensors"]
    (large,) = hub.asked("/large/*")
    assert (large.token, large.sent) == ("", 10_240)


def test_what_was_cut_can_be_asked_for_from_where_it_ended(hub: Hub) -> None:
    hub.add("org/m", FILES)
    hub.fault("/large/*", cut=4000, times=1)
    url, got = address(hub, "model.safetensors"), b""
    with (
        pytest.raises(httpx2.RemoteProtocolError, match="peer closed connection"),
        httpx2.stream("GET", url, follow_redirects=True) as answer,
    ):
        for part in answer.iter_bytes():
            got += part
    assert len(got) == 4000
    rest = httpx2.get(url, headers={"Range": f"bytes={len(got)}-"}, follow_redirects=True)
    assert rest.status_code == 206
    assert got + rest.content == FILES["model.safetensors"]
    assert [(a.start, a.sent) for a in hub.asked("/large/*")] == [(0, 4000), (4000, 6240)]


def test_wrong_bytes_have_the_right_length(hub: Hub, tmp_path: Path) -> None:
    hub.add("org/m", FILES)
    hub.fault("*/config.json", wrong=True)
    with (tmp_path / "got").open("wb") as file:
        http_get(address(hub, "config.json"), file, expected_size=2)
    assert (tmp_path / "got").read_bytes() == bytes(255 - byte for byte in b"{}")


def test_gated_private_and_unknown_are_refused_as_there(hub: Hub) -> None:
    hub.add("org/gated", FILES, gated="manual", members=("hf_member",))
    hub.add("org/private", FILES, private=True, members=("hf_member",))
    api = HfApi(endpoint=hub.url, token=False)
    assert api.model_info("org/gated").gated == "manual"
    with pytest.raises(GatedRepoError):
        get_hf_file_metadata(address(hub, "config.json", "org/gated"), token=False)
    for repo in ("org/private", "org/nowhere"):
        with pytest.raises(HfHubHTTPError, match="401 Unauthorized"):
            api.model_info(repo)
    with pytest.raises(RepositoryNotFoundError):
        api.model_info("org/nowhere", token="hf_member")
    with pytest.raises(RevisionNotFoundError):
        api.model_info("org/gated", revision="v9")
    with pytest.raises(RemoteEntryNotFoundError):
        get_hf_file_metadata(address(hub, "x.json", "org/gated"), token="hf_member")
    with pytest.raises(HfHubHTTPError, match="Invalid credentials in Authorization header"):
        api.model_info("org/gated", token="hf_nobody")
    assert api.model_info("org/private", token="hf_member").private


def test_a_renamed_repository_says_its_new_name(hub: Hub) -> None:
    commit = hub.add("org/m", FILES)
    hub.rename("org/m", "team/new")
    info = HfApi(endpoint=hub.url, token=False).model_info("org/m")
    assert (info.id, info.sha) == ("team/new", commit)


def test_a_hub_that_is_down_refuses_connections_and_comes_back_at_its_address(hub: Hub) -> None:
    hub.add("org/m", FILES)
    with hub.out(), pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{hub.url}/api/models/org/m")
    assert httpx2.get(f"{hub.url}/api/models/org/m").status_code == 200


def test_a_commit_stays_when_its_branch_moves_on(hub: Hub) -> None:
    first = hub.add("org/m", FILES)
    second = hub.add("org/m", {**FILES, "config.json": '{"a": 1}'})
    api = HfApi(endpoint=hub.url, token=False)
    assert first != second
    assert api.model_info("org/m").sha == second
    assert api.model_info("org/m", revision=first).sha == first


def test_the_smallest_model_is_whole_and_the_same_every_time(tmp_path: Path) -> None:
    one, other = make_llama(tmp_path / "one"), make_llama(tmp_path / "other")
    assert {f.name for f in one.iterdir()} == {
        "README.md",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    weights = (one / "model.safetensors").read_bytes()
    assert weights == (other / "model.safetensors").read_bytes()
    length = int.from_bytes(weights[:8], "little")
    header = json.loads(weights[8 : 8 + length])
    ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name[0] != "_"]
    assert max(ends) == len(weights) - 8 - length
    assert header["model.embed_tokens.weight"]["shape"] == [512, 128]
    assert len(json.loads((one / "tokenizer.json").read_text())["model"]["vocab"]) == 512
    adapter = make_adapter(tmp_path / "adapter", rank=4)
    assert json.loads((adapter / "adapter_config.json").read_text())["r"] == 4
