"""Where does everything that an engine reads lie in the container, and what brings it there?"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from modelctl.cli.locking import named_sources
from modelctl.resolved import Fetch, Mount, RemoteFile, Unknown
from modelctl.weights.facts import NOT_LOCKED, ModelFacts
from modelctl.weights.sources import is_revision
from tests.examples import examples
from tests.render.apps import resolved, wanted

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OTHER = "89abcdef0123456789abcdef0123456789abcdef"


def locked(*paths: str, commit: str = COMMIT, **more: Any) -> ModelFacts:
    """The facts of a Hub model as a lock has them; every file has ten bytes."""
    files = tuple(RemoteFile(path, 10, sha256="a" * 64) for path in paths)
    return ModelFacts(kind="hub", commit=commit, remote=files, **more)


def vllm(model: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "name": "m",
        "model": model,
        "backend": {"name": "vllm"},
        "gpu": [{"type": "L4"}],
        **more,
    }


def llama(model: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**vllm(model, **more), "backend": {"name": "llama.cpp"}}


def test_a_locked_model_lies_at_its_commit_and_only_what_is_needed_is_fetched() -> None:
    facts = locked("config.json", "model.safetensors", "original/consolidated.00.pth", "m.gguf")
    found = resolved(vllm({"source": "hf://org/repo", "secret": "hub"}), facts).weights
    assert found.argument == f"/models/org/repo/{COMMIT}"
    assert found.fetch is not None
    assert (found.fetch.commit, found.fetch.prefix) == (COMMIT, f"/org/repo/{COMMIT}/")
    assert not isinstance(found.fetch.files, Unknown)
    assert [file.path for file in found.fetch.files] == ["config.json", "model.safetensors"]
    assert (found.fetch.size, found.fetch.secret) == (20, "hub")


def test_a_commit_in_the_spec_pins_a_model_without_a_lock() -> None:
    found = resolved(vllm({"source": "hf://org/repo", "revision": OTHER})).weights
    assert found.argument == f"/models/org/repo/{OTHER}"
    assert found.fetch == Fetch(
        "hf://org/repo", OTHER, "modelctl-weights", f"/org/repo/{OTHER}/", NOT_LOCKED
    )


BOTH = "m-Q4_K_M.gguf, sub/m-Q8_0-00001-of-00002.gguf"


@pytest.mark.parametrize(
    ("model", "argument"),
    [
        ({"file": "*Q4_K_M*"}, f"/models/org/repo/{COMMIT}/m-Q4_K_M.gguf"),
        ({"file": "sub/*-Q8_0-*"}, f"/models/org/repo/{COMMIT}/sub/m-Q8_0-00001-of-00002.gguf"),
        ({"file": "*Q2*"}, Unknown(f"no GGUF files match *Q2*: {BOTH}")),
        ({}, Unknown(f"2 GGUF files match *.gguf: {BOTH}")),
    ],
)
def test_a_gguf_file_of_a_locked_repository_is_chosen_by_its_glob(
    model: dict[str, str], argument: object
) -> None:
    facts = locked(
        "m-Q4_K_M.gguf",
        "sub/m-Q8_0-00001-of-00002.gguf",
        "sub/m-Q8_0-00002-of-00002.gguf",
        "mmproj-f16.gguf",
        "README.md",
    )
    found = resolved(llama({"source": "hf://org/repo", **model}), facts).weights
    assert found.argument == argument


def test_a_file_that_is_named_in_full_needs_no_lock_and_a_glob_does() -> None:
    named = resolved(llama({"source": "hf://org/repo", "file": "m.gguf"})).weights
    assert named.argument == "/models/org/repo/main/m.gguf"
    globbed = resolved(llama({"source": "hf://org/repo", "file": "*.gguf"})).weights
    assert globbed.argument == NOT_LOCKED


@pytest.mark.parametrize("scheme", ["volume", "s3", "gs"])
@pytest.mark.parametrize(
    ("named", "argument"),
    [
        ({"source": "shelf/llama", "file": "*Q4*"}, "m-Q4.gguf"),
        ({"source": "shelf/llama", "file": "m-Q8.gguf"}, "m-Q8.gguf"),
        ({"source": "shelf/llama/m-Q4.gguf"}, "m-Q4.gguf"),
    ],
)
def test_where_a_folder_is_read_in_place_its_one_file_is_named(
    scheme: str, named: dict[str, str], argument: str
) -> None:
    model = {**named, "source": f"{scheme}://{named['source']}"}
    files = tuple(RemoteFile(name, 9) for name in ("m-Q4.gguf", "m-Q8.gguf"))
    facts = ModelFacts("volume", commit=COMMIT, remote=files)
    found = resolved(llama(model), facts)
    inside = "llama/" if scheme == "volume" else ""
    assert found.weights.argument == f"/models/{inside}{argument}"
    assert [bucket.prefix for bucket in found.buckets] == ["llama/"] * (scheme != "volume")
    unlocked = resolved(llama(model)).weights.argument
    assert unlocked == (NOT_LOCKED if "*" in str(model) else f"/models/{inside}{argument}")


def test_what_stands_beside_the_model_has_its_own_place() -> None:
    facts = replace(
        locked("config.json", "model.safetensors"),
        beside={
            "hf://org/sql": locked("adapter_config.json", "adapter_model.bin", commit=OTHER),
            "hf://org/draft": locked("config.json", "model.safetensors", commit=OTHER),
        },
    )
    model = {"source": "hf://org/repo", "adapters": {"sql": {"source": "hf://org/sql"}}}
    spec = vllm(model, speculative={"method": "draft_model", "model": "hf://org/draft"})
    found = resolved(spec, facts)
    assert [weights.argument for weights in found.sources] == [
        f"/models/org/repo/{COMMIT}",
        f"/models/org/sql/{OTHER}",
        f"/models/org/draft/{OTHER}",
    ]
    weights_mounts = [m for m in found.mounts if m.volume == "modelctl-weights"]
    assert weights_mounts == [Mount("/models", "modelctl-weights", read_only=True, create=True)]


@pytest.mark.parametrize(
    ("args", "on_gpu", "layout"),
    [
        ({}, {}, ""),
        ({"load-format": "auto", "tokenizer-mode": "mistral"}, {}, ""),
        ({"config-format": "mistral", "load-format": "mistral"}, {}, "mistral"),
        ({"--load_format": "mistral"}, {}, "mistral"),
        ({"config-format": "hf"}, {}, "hf"),
        ({"config-format": "hf"}, {"load-format": "mistral"}, "both"),
    ],
)
def test_the_flags_of_the_engine_choose_the_format(
    args: dict[str, str], on_gpu: dict[str, str], layout: str
) -> None:
    spec = vllm({"source": "hf://org/repo"}, speculative={"method": "eagle", "model": "hf://a/b"})
    spec["backend"]["args"] = args
    spec["gpu"][0]["args"] = on_gpu
    for weights in resolved(spec).sources:
        assert weights.fetch is not None
        assert weights.fetch.selection.layout == layout


def test_code_of_tokenizers_and_drafts_is_fetched_too_where_it_is_trusted() -> None:
    theirs = locked("config.json", "own.py", commit=OTHER)
    beside = {"hf://org/tok": theirs, "hf://org/draft": theirs, "hf://org/sql": theirs}
    model = {
        "source": "hf://org/repo",
        "tokenizer": "hf://org/tok",
        "adapters": {"sql": {"source": "hf://org/sql"}},
        "trust_remote_code": True,
    }
    spec = vllm(model, speculative={"method": "draft_model", "model": "hf://org/draft"})
    found = resolved(spec, replace(locked("config.json", "own.py"), beside=beside))
    fetched = {w.source: w.fetch.files for w in found.sources if w.fetch}
    coded = {s for s, files in fetched.items() if "own.py" in [f.path for f in files]}
    assert coded == {"hf://org/repo", "hf://org/tok", "hf://org/draft"}


def test_a_source_is_listed_where_one_of_the_specs_that_name_it_needs_that() -> None:
    """Else that spec's files would lie at no commit of their own."""
    in_place = vllm({"source": "s3://shelf/m"})
    copied = vllm({"source": "s3://shelf/m", "copy": True})
    for specs in ((in_place, copied), (copied, in_place)):
        (named,) = named_sources(map(wanted, specs)).values()
        assert named.needs_listing


def test_a_model_in_a_volume_leaves_another_place_to_what_is_fetched() -> None:
    model = {"source": "volume://team/llama", "adapters": {"sql": {"source": "hf://org/sql"}}}
    found = resolved(vllm(model))
    assert [(m.path, m.volume) for m in found.mounts][:2] == [
        ("/models", "team"),
        ("/weights", "modelctl-weights"),
    ]
    assert [w.argument for w in found.sources] == ["/models/llama", "/weights/org/sql/main"]


def test_a_volume_that_the_spec_mounts_itself_is_not_mounted_again() -> None:
    spec = vllm({"source": "volume://team/llama"}, volumes={"/data": {"name": "team"}})
    found = resolved(spec)
    assert [(m.path, m.volume) for m in found.mounts if m.volume == "team"] == [("/data", "team")]
    assert found.weights.argument == "/data/llama"


def test_a_mount_of_the_spec_keeps_the_path_that_ours_would_take() -> None:
    spec = vllm({"source": "hf://org/repo"}, volumes={"/models": {"name": "mine"}})
    found = resolved(spec)
    assert found.weights.argument == "/weights/org/repo/main"
    assert len({m.path for m in found.mounts}) == len(found.mounts)


SOURCES = st.sampled_from(
    [
        "hf://a/b",
        "hf://c/d",
        "volume://v/x",
        "volume://w",
        "volume://modelctl-weights/y",
        "s3://b/p",
    ]
)
PATHS = st.sampled_from(["/models", "/weights", "/data", "/volumes/v", "/volumes/w"])


@settings(max_examples=examples(200))
@given(
    main=SOURCES,
    adapters=st.lists(SOURCES, max_size=3, unique=True),
    volumes=st.dictionaries(
        PATHS, st.sampled_from(["v", "w", "modelctl-weights", "z"]), max_size=2
    ),
)
def test_no_volume_and_no_path_is_mounted_twice(
    main: str, adapters: list[str], volumes: dict[str, str]
) -> None:
    if len(set(volumes.values())) < len(volumes):
        return  # the spec itself mounts one twice, which is a rule's finding
    model = {"source": main, "adapters": {f"a{n}": {"source": s} for n, s in enumerate(adapters)}}
    found = resolved(vllm(model, volumes={p: {"name": n} for p, n in volumes.items()}))
    paths = [m.path for m in found.mounts] + [b.path for b in found.buckets]
    assert len(set(paths)) == len(paths)
    names = [m.volume for m in found.mounts]
    assert len(set(names)) == len(names)
    assert all(str(w.argument).startswith(tuple(paths)) for w in found.sources)


@pytest.mark.parametrize("name", ["main", "v1.0", "refs/pr/7", "user/new-quants", "1.0@2", COMMIT])
def test_what_git_takes_is_a_revision(name: str) -> None:
    assert is_revision(name)


@pytest.mark.parametrize(
    "name",
    ["", "../../x/y", "a..b", "/a", "a/", "-a", "a b", "a\n", "v~1", "^", "a:b", "a*", "a\\b"],
)
def test_what_git_does_not_take_gets_into_no_path(name: str) -> None:
    assert not is_revision(name)
    if name:
        weights = resolved(vllm({"source": "hf://org/m", "revision": name})).weights
        assert weights.fetch is None
        assert weights.argument == Unknown("the revision is none that git has")
