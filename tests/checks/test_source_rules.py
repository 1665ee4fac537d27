"""What does a person read about a source that cannot be, the model's or one beside it?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from modelctl.resolve import resolve
from modelctl.resolve.sources import sources_beside
from modelctl.resolved import Unknown
from modelctl.weights.facts import ModelFacts
from modelctl.weights.read import model_facts
from tests.checks.judging import LLAMA, VLLM, judged, said
from tests.hub.models import make_adapter
from tests.render.apps import local_gguf, wanted

KNOWN = "hf://org/repo, volume://name/path, s3://bucket/prefix, gs://bucket/prefix or ./path"
ACCOUNT = "https://acme.r2.cloudflarestorage.com"


def beside(field: str, source: str) -> dict[str, Any]:
    """A spec that names `source` in one of the three fields beside the model's."""
    if field == "speculative.model":
        return {**VLLM, "speculative": {"method": "draft_model", "model": source}}
    model = {"source": "hf://a/b"}
    if field == "model.tokenizer":
        return {**VLLM, "model": {**model, "tokenizer": source}}
    return {**VLLM, "model": {**model, "adapters": {"sql": {"source": source, "rank": 8}}}}


def told(spec: dict[str, Any], folder: Path) -> list[str]:
    """As `validate` reads it: with what can be found out about each source."""
    want = wanted(spec, root=folder)
    named = sources_beside(want.spec)
    where = want.file.parent
    facts = model_facts("hf://a/b", where, folder, hashed=False, beside=named)
    return said(judged(spec, facts, folder))


FIELDS = ("model.tokenizer", "model.adapters.sql.source", "speculative.model")


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("http://x/y", f"model/unknown-source: http:// is no source of models | {KNOWN}"),
        (
            "hf://one",
            "model/malformed-source: hf://one names no repository | hf://org/repo, as the address "
            "on the Hub has it",
        ),
        (
            "volume:///x",
            "model/malformed-source: volume:///x names no Volume | volume://name/path",
        ),
        (
            "s3://b/../x",
            "model/malformed-source: s3://b/../x leaves its bucket | a path without ..",
        ),
        (
            "r2://b/x",
            "model/endpoint: a bucket of R2 is found by its account's address, and none is given "
            "| model: {endpoint: https://ACCOUNT.r2.cloudflarestorage.com}",
        ),
        (
            "./nothere",
            "model/not-found: there is no file ./nothere | paths start at the spec's folder, "
            "{folder}/specs; the Hub is hf://org/repo",
        ),
        (
            "../../elsewhere",
            "model/outside-project: ../../elsewhere is outside the project's folder | move it "
            "below the folder that holds modelctl.yaml, or use volume://name/path",
        ),
    ],
)
def test_a_source_beside_the_model_is_held_to_what_the_models_is(
    field: str, source: str, sentence: str, tmp_path: Path
) -> None:
    found = told(beside(field, source), tmp_path)
    assert found == [f"{field} error {sentence}".replace("{folder}", tmp_path.as_posix())]


@pytest.mark.parametrize("field", FIELDS)
def test_one_that_is_there_is_not_refused(field: str, tmp_path: Path) -> None:
    make_adapter(tmp_path / "specs/here", rank=8)
    assert told(beside(field, "./here"), tmp_path) == []


def test_an_adapter_without_a_source() -> None:
    adapters = {"sql": {"rank": 8}}
    assert said(judged({**VLLM, "model": {"source": "hf://a/b", "adapters": adapters}})) == [
        f"model.adapters.sql error model/no-source: the adapter sql names no source | sql: {KNOWN}"
    ]


@pytest.mark.parametrize(
    ("model", "adapter", "endpoint"),
    [
        ("hf://a/b", "r2://loras/sql", ACCOUNT),
        ("r2://models/b", "r2://loras/sql", ACCOUNT),
        ("s3://models/b", "s3://loras/sql", ACCOUNT),
        ("r2://models/b", "s3://loras/sql", None),
        ("r2://models/b", "gs://loras/sql", "https://storage.googleapis.com"),
    ],
)
def test_a_bucket_beside_the_model_has_the_models_address_where_it_can_be_its_own(
    model: str, adapter: str, endpoint: str | None
) -> None:
    said_ = {
        "source": model,
        "endpoint": ACCOUNT,
        "adapters": {"sql": {"source": adapter, "rank": 8}},
    }
    found = resolve(wanted({**VLLM, "model": said_}), ModelFacts("hub"))
    bucket = next(bucket for bucket in found.buckets if bucket.bucket == "loras")
    assert bucket.endpoint == endpoint
    assert said(judged({**VLLM, "model": said_})) == []


def test_what_is_beside_a_copied_model_is_copied_too() -> None:
    adapters = {"sql": {"source": "s3://loras/sql", "rank": 8}}
    model = {"source": "s3://models/b", "copy": True, "adapters": adapters}
    found = resolve(wanted({**VLLM, "model": model}), ModelFacts("bucket"))
    assert found.buckets == ()
    assert [weights.fetch is not None for weights in found.sources] == [True, True]


ADAPTERS: list[tuple[str, dict[str, Any], str]] = [
    (
        "a,b",
        {"source": "hf://c/d", "rank": 8},
        "model.adapters.a,b error model/served-as: 'a,b' cannot be an adapter's name | letters, "
        "digits and . _ : / @ -, the first a letter or digit",
    ),
    (
        "a=b",
        {"source": "hf://c/d", "rank": 8},
        "model.adapters.a=b error model/served-as: 'a=b' cannot be an adapter's name | letters, "
        "digits and . _ : / @ -, the first a letter or digit",
    ),
    (
        "chat",
        {"source": "hf://c/d", "rank": 8},
        "model.adapters.chat error model/served-as: chat is the model's own name, so no request "
        "would reach the adapter | another name, or another in model.served_as",
    ),
    (
        "sql",
        {"source": "volume://v/a,b", "rank": 8},
        "model.adapters.sql.source error engine/wrong-option: vLLM reads sql=/volumes/v/a,b as "
        "JSON, because of its comma | a path without a comma",
    ),
]


@pytest.mark.parametrize(("name", "adapter", "sentence"), ADAPTERS, ids=[c[0] for c in ADAPTERS])
def test_what_would_break_vllms_list_of_adapters(
    name: str, adapter: dict[str, Any], sentence: str
) -> None:
    model = {"source": "hf://a/b", "served_as": ["chat"], "adapters": {name: adapter}}
    assert said(judged({**VLLM, "model": model})) == [sentence]


@pytest.mark.parametrize("path", ['a"b', "a\\b"])
def test_what_would_break_the_json_around_a_draft_models_path(path: str) -> None:
    assert said(judged(beside("speculative.model", f"volume://v/{path}"))) == [
        f"speculative.model error engine/wrong-option: vLLM is given /volumes/v/{path} in JSON, "
        "where a quote or a backslash ends it | a path without either"
    ]
    assert said(judged(beside("speculative.model", "volume://v/größe,1"))) == []


@pytest.mark.parametrize(
    ("own", "said_", "sentences"),
    [
        (
            1024,
            None,
            [
                "model.adapters.sql error engine/wrong-option: vLLM 0.32.0 takes adapters up to "
                "rank 512, and sql has rank 1024 | an adapter of rank 512 or less, or one merged "
                "into the model"
            ],
        ),
        (
            64,
            8,
            [
                "model.adapters.sql.rank error engine/wrong-option: the adapter sql has rank 64, "
                "which is more than 8 | rank: 64, or leave it out"
            ],
        ),
        (64, 64, []),
        (64, 128, []),
        (Unknown("not read"), 8, []),
    ],
)
def test_an_adapters_own_rank_is_held_against_what_is_said(
    own: int | Unknown, said_: int | None, sentences: list[str]
) -> None:
    adapter = {"source": "volume://v/sql", "rank": said_}
    facts = ModelFacts("hub", beside={"volume://v/sql": ModelFacts("volume", adapter_rank=own)})
    spec = {**VLLM, "model": {"source": "hf://a/b", "adapters": {"sql": adapter}}}
    assert said(judged(spec, facts)) == sentences


@pytest.mark.parametrize(
    ("change", "by"),
    [
        ({"backend": {"name": "vllm", "args": {"hf-overrides": {"a": 1}}}}, "--hf-overrides"),
        ({"backend": {"name": "vllm", "args": {"hf_overrides": "{}"}}}, "--hf-overrides"),
        ({"gpu": [{"type": "H100", "args": {"hf-overrides": {"a": 1}}}]}, "--hf-overrides"),
        ({"env": {"VLLM_ALLOW_LONG_MAX_MODEL_LEN": "1"}}, "VLLM_ALLOW_LONG_MAX_MODEL_LEN"),
    ],
)
def test_a_context_that_the_spec_stretches_is_not_checked(change: dict[str, Any], by: str) -> None:
    facts = ModelFacts("hub", context_length=32768)
    assert said(judged({**VLLM, **change, "context": 131072}, facts)) == [
        "context not checked model/context: a context of 131,072 is more than the model's own "
        f"32,768, and {by} may change that"
    ]
    assert said(judged({**VLLM, **change, "context": 32768}, facts)) == []


@pytest.mark.parametrize("flag", [{"rope-scaling": "yarn"}, {"override-kv": "a=int:1"}])
def test_nor_is_one_that_llama_cpp_stretches(flag: dict[str, Any]) -> None:
    spec = {**LLAMA, "backend": {"name": "llama.cpp", "args": flag}, "context": 16384}
    assert said(judged(spec, local_gguf())) == [
        "context not checked model/context: a context of 16,384 is more than the model's own "
        f"8,192, and --{next(iter(flag))} may change that"
    ]
