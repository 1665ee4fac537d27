"""Who wins when the project, its environments and a spec all speak, and where does it point?"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.diagnostics import Place
from modelctl.spec.kinds import ShapeKind
from modelctl.spec.merge import Layer, merge, over, without_nulls
from modelctl.spec.models import Spec, plain
from modelctl.spec.shorthand import expand
from modelctl.spec.source import read_text
from modelctl.spec.tree import Mapping, data, from_data
from modelctl.spec.wanted import Wanted
from tests.spec.folder import Folder

PROJECT = """\
project: acme
defaults:
  keep_warm: 1
  labels: {team: search, tier: stable}
  scaling: {max: 2, buffer: 1}
backends:
  vllm: {version: 0.32.0, max_sequences: 64, backend: {args: {seed: 1}}}
  llama.cpp: {version: b9000}
environments:
  prod:
    defaults: {scaling: {max: 8}, endpoint: {region: us-east}}
  staging:
"""
SPEC = """\
name: chat
model: hf://o/r
backend: {name: vllm, args: {seed: 7}}
gpu: [H100, "L40S:2"]
labels: {tier: null}
env: {A: a, B: b}
environments:
  prod:
    gpu: A100-80GB
    env: {B: null, C: c}
  local:
    backend: {name: llama.cpp, args: {seed: null}, version: null}
    model: ./tiny.gguf
    keep_warm: null
"""


@pytest.fixture
def chat(folder: Folder) -> Any:
    folder.write("modelctl.yaml", PROJECT)
    folder.write("specs/chat.yaml", SPEC)

    def load(*overlays: str) -> Wanted:
        loaded = folder.load(overlays=overlays)
        assert loaded.diagnostics == ()
        return loaded.wanted[0]

    return load


def test_later_layers_win(chat: Any) -> None:
    assert plain(chat("prod").spec) == {
        "name": "chat",
        "model": {"source": "hf://o/r"},
        "backend": {"name": "vllm", "version": "0.32.0", "args": {"seed": 7}},
        "gpu": [{"type": "A100-80GB"}],
        "labels": {"team": "search"},
        "env": {"A": "a", "C": "c"},
        "keep_warm": 1,
        "max_sequences": 64,
        "scaling": {"max": 8, "buffer": 1},
        "endpoint": {"region": "us-east"},
    }


def test_overlays_stack_and_the_backend_in_effect_brings_its_defaults(chat: Any) -> None:
    spec = plain(chat("prod", "local").spec)
    assert spec["backend"] == {"name": "llama.cpp", "args": {}}
    assert spec["model"] == {"source": "./tiny.gguf"}
    assert "keep_warm" not in spec
    assert "max_sequences" not in spec
    assert spec["gpu"] == [{"type": "A100-80GB"}]


@pytest.mark.parametrize(
    ("path", "where", "layer"),
    [
        (("context",), "specs/chat.yaml:1:1", ""),
        (("gpu", 0, "type"), "specs/chat.yaml:9:10", "spec, environment prod"),
        (("gpu", 0, "count"), "specs/chat.yaml:9:10", "spec, environment prod"),
        (("gpu", 5), "specs/chat.yaml:9:10", "spec, environment prod"),
        (("backend", "version"), "modelctl.yaml:7:19", "project defaults, backend vllm"),
        (("backend", "args", "seed"), "specs/chat.yaml:3:36", "spec"),
        (("scaling", "max"), "modelctl.yaml:11:31", "project defaults, environment prod"),
        (("scaling", "buffer"), "modelctl.yaml:5:29", "project defaults"),
        (("env", "A"), "specs/chat.yaml:6:10", "spec"),
        (("env", "C"), "specs/chat.yaml:10:23", "spec, environment prod"),
        (("env", "B"), "specs/chat.yaml:10:10", "spec, environment prod"),
    ],
)
def test_every_value_knows_its_place(
    chat: Any, path: tuple[str | int, ...], where: str, layer: str
) -> None:
    origins = chat("prod").origins
    place = origins.place(path)
    assert f"{place.file}:{place.line}:{place.column}" == where
    assert origins.layer(path) == layer


def test_said_is_only_what_somebody_wrote(chat: Any) -> None:
    origins = chat("prod").origins
    assert (
        origins.said(("env", "A")) and origins.said(("scaling",)) and origins.said(("keep_warm",))
    )
    assert not any(origins.said(path) for path in [("env", "B"), ("context",), ("gpu", 0, "count")])
    assert origins.place(("env", "A"), key=True).column == 7


def test_a_gpu_entry_points_at_itself(folder: Folder) -> None:
    folder.write("x.yaml", SPEC[: SPEC.index("environments")])
    origins = folder.load("x.yaml").wanted[0].origins
    for path in (("gpu", 1), ("gpu", 1, "type"), ("gpu", 1, "count")):
        place = origins.place(path)
        assert (place.line, place.column, place.width) == (4, 13, 8)
    assert origins.said(("gpu", 1, "count"))


SHORT_AND_LONG = [
    ("model: hf://o/r", "model: {source: hf://o/r}"),
    ("backend: vllm", "backend: {name: vllm}"),
    ("gpu: H100", "gpu: [{type: H100}]"),
    ("gpu: none", "gpu: [{type: none}]"),
    ("gpu: L40S:2", "gpu: [{type: L40S, count: 2}]"),
    ("gpu: {type: L40S:2}", "gpu: [{type: L40S, count: 2}]"),
    (
        "gpu: [H100, {type: L4, concurrency: 8}]",
        "gpu: [{type: H100}, {type: L4, concurrency: {target: 8}}]",
    ),
    ("concurrency: 32", "concurrency: {target: 32}"),
    ("secrets: [hf, aws]", "secrets: {hf: [], aws: []}"),
    ("secrets: hf", "secrets: {hf: []}"),
    ("secrets: {hf: HF_TOKEN}", "secrets: {hf: [HF_TOKEN]}"),
    ("only: prod", "only: [prod]"),
    ("volumes: {/mnt: data}", "volumes: {/mnt: {name: data}}"),
    ("buckets: {/mnt: s3://b}", "buckets: {/mnt: {bucket: s3://b}}"),
    (
        "model: {source: x, adapters: {a: hf://o/a}}",
        "model: {source: x, adapters: {a: {source: hf://o/a}}}",
    ),
    ("allow: {fit/too-large: tested}", "allow: {fit/too-large: {reason: tested}}"),
    ("checks: {c: {expect: Paris}}", "checks: {c: {expect: {contains: Paris}}}"),
    ("image: python:3.12", "image: {base: 'python:3.12'}"),
    ("rollout: recreate", "rollout: {strategy: recreate}"),
    ("speculative: ngram", "speculative: {method: ngram}"),
    (
        "environments: {prod: {gpu: H100, backend: vllm}}",
        "environments: {prod: {gpu: [{type: H100}], backend: {name: vllm}}}",
    ),
]


def long_form(text: str) -> Mapping:
    tree = read_text(text, "x.yaml").tree
    assert tree is not None
    expanded = expand(tree, ShapeKind(Spec))
    assert isinstance(expanded, Mapping)
    return expanded


@pytest.mark.parametrize(("short", "long"), SHORT_AND_LONG)
def test_short_means_long(short: str, long: str) -> None:
    assert data(long_form(short)) == data(long_form(long))
    assert Spec.model_validate(data(long_form(short)))
    again = expand(long_form(short), ShapeKind(Spec))
    assert data(again) == data(long_form(short))


# --- the laws of merging ----------------------------------------------------------------------

HERE = Place("x.yaml")
leaves = st.none() | st.booleans() | st.integers(0, 9) | st.sampled_from(["a", "b"])
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=12,
)
mappings = st.dictionaries(st.sampled_from("abc"), values)


def tree(value: dict[str, Any]) -> Mapping:
    node = from_data(value, HERE)
    assert isinstance(node, Mapping)
    return node


def merged(*layers: dict[str, Any]) -> Any:
    return data(merge([Layer(str(n), tree(layer)) for n, layer in enumerate(layers)]))


def expected(below: Any, above: Any) -> Any:
    """The law in five lines: mappings merge, all else is replaced."""
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    return below | {key: expected(below.get(key), value) for key, value in above.items()}


@given(mappings, mappings)
def test_merging_follows_the_law(below: dict[str, Any], above: dict[str, Any]) -> None:
    assert data(over(tree(below), tree(above))) == expected(below, above)


@given(mappings)
def test_merging_with_itself_or_nothing_changes_nothing(one: dict[str, Any]) -> None:
    alone = merged(one)
    assert merged(one, one) == merged({}, one) == merged(one, {}) == alone
    assert data(without_nulls(tree(alone))) == alone


@given(mappings, st.sampled_from("abc"), values)
def test_the_last_leaf_wins_and_null_takes_back(
    below: dict[str, Any], key: str, value: Any
) -> None:
    if not isinstance(value, dict) and value is not None:
        assert merged(below, {key: value}) == merged({**below, key: value})
    assert key not in merged(below, {key: None})


@given(mappings, mappings)
def test_no_null_of_a_mapping_is_left(below: dict[str, Any], above: dict[str, Any]) -> None:
    def nulls(value: Any) -> bool:
        if isinstance(value, dict):
            return any(v is None or nulls(v) for v in value.values())
        return isinstance(value, list) and any(nulls(v) for v in value)

    assert not nulls(merged(below, above))
