"""What is said of sizes, times, places and variables, and does following the hint make it right?"""

from __future__ import annotations

from typing import Any

import pytest

from modelctl.resolved import RemoteFile
from modelctl.weights.facts import ModelFacts
from tests.checks.judging import LLAMA, VLLM, judged, said
from tests.render.apps import local_gguf

VLLM_1: dict[str, Any] = {**VLLM, "concurrency": {"target": 64, "max": 64}}

CASES: list[tuple[dict[str, Any], str, dict[str, Any]]] = [
    (
        {**VLLM, "disk": "4TiB"},
        "disk error resources/too-much: Modal gives a container at most 3,072 GiB of disk, not "
        "4,096 | disk: 3TiB",
        {"disk": "3TiB"},
    ),
    (
        {**VLLM, "cpu": 512.0},
        "cpu warning resources/too-much: no host of Modal's is known to have 512 cores | cpu: 192 "
        "or less",
        {"cpu": 192.0},
    ),
    (
        {**VLLM, "memory": "8TiB"},
        "memory warning resources/too-much: no host of Modal's is known to have 8,192 GiB of "
        "memory | memory: 4TiB or less",
        {"memory": "4TiB"},
    ),
    (
        {**VLLM_1, "max_sequences": 32},
        "max_sequences warning concurrency/target-above-sequences: with a target of 64 requests a "
        "container, 32 of them wait: the engine runs 32 at once on H100 | max_sequences: 64, or "
        "concurrency: {target: 32}",
        {"max_sequences": 64},
    ),
    (
        {**VLLM_1, "gpu": [{"type": "H100"}, {"type": "L4", "max_sequences": 16}]},
        "gpu[1].max_sequences warning concurrency/target-above-sequences: with a target of 64 "
        "requests a container, 48 of them wait: the engine runs 16 at once on L4 | "
        "max_sequences: 64, or concurrency: {target: 16}",
        {"concurrency": {"target": 16, "max": 64}},
    ),
    (
        {**VLLM, "endpoint": {"compute_regions": ["us-west"]}},
        "endpoint.compute_regions warning endpoint/region-price: a container in a region of one's "
        "choice costs 1.75 times as much: $6.92 an hour | leave compute_regions out, or allow it "
        "with a reason",
        {"allow": {"endpoint/region-price": {"reason": "data stays here"}}},
    ),
    (
        {**VLLM, "endpoint": {"region": "europe-west4"}},
        "endpoint.region warning endpoint/unknown-region: no region of Modal's is known to begin "
        "with europe | such as eu-west; a place that nobody has is waited for without end",
        {"endpoint": {"region": "eu-west"}},
    ),
    (
        {**VLLM, "env": {"LD_PRELOAD": "/opt/x.so"}},
        "env.LD_PRELOAD warning env/replaces: LD_PRELOAD takes the place of what the image loads "
        "into every program | leave it out; ENV LD_PRELOAD=…:$LD_PRELOAD in an image.dockerfile "
        "adds to it",
        {"env": {}},
    ),
    (
        {**LLAMA, "env": {"LLAMA_ARG_CTX_SIZE": "8192"}},
        "env.LLAMA_ARG_CTX_SIZE warning env/engine-setting: LLAMA_ARG_CTX_SIZE sets a flag of "
        "llama-server, and nothing here checks it | context says it, for one request",
        {"env": {}, "context": 8192},
    ),
    (
        {**LLAMA, "env": {"LLAMA_ARG_THREADS": "8"}},
        "env.LLAMA_ARG_THREADS warning env/engine-setting: LLAMA_ARG_THREADS sets a flag of "
        "llama-server, and nothing here checks it | backend: {args: {threads: …}}",
        {"env": {}, "backend": {"name": "llama.cpp", "args": {"threads": 8}}},
    ),
    (
        {**LLAMA, "env": {"VLLM_LOGGING_LEVEL": "DEBUG"}},
        "env.VLLM_LOGGING_LEVEL warning env/not-read: llama-server reads no variable "
        "VLLM_LOGGING_LEVEL | leave it out",
        {"env": {}},
    ),
    (
        {**VLLM, "env": {"VLLM_ATTENTION_BACKEND": "FLASHINFER"}},
        "env.VLLM_ATTENTION_BACKEND warning env/not-read: vLLM 0.32.0 reads no variable "
        "VLLM_ATTENTION_BACKEND | backend: {args: {attention-backend: …}}",
        {"env": {}, "backend": {"name": "vllm", "args": {"attention-backend": "FLASHINFER"}}},
    ),
    (
        {**VLLM, "env": {"VLLM_LOGING_LEVEL": "DEBUG"}},
        "env.VLLM_LOGING_LEVEL warning env/not-read: vLLM 0.32.0 reads no variable "
        "VLLM_LOGING_LEVEL | did you mean VLLM_LOGGING_LEVEL?",
        {"env": {"VLLM_LOGGING_LEVEL": "DEBUG"}},
    ),
    (
        {**VLLM, "backend": {"name": "vllm", "args": {"otlp-traces-endpoint": "http://u:p4ss@h"}}},
        "backend.args.otlp-traces-endpoint error args/looks-like-a-secret: otlp-traces-endpoint "
        "looks like a secret, and args are readable by everybody | leave it out; what the engine "
        "reads from a variable, secrets: {NAME: [KEY]} brings from a Modal Secret",
        {"backend": {"name": "vllm"}, "secrets": {"traces": ["OTEL_EXPORTER_OTLP_ENDPOINT"]}},
    ),
    (
        {**VLLM, "image": {"run": ["pip install --index https://ci:hunter22@pypi.acme.com x"]}},
        "image.run[0] error secrets/in-the-open: this looks like a secret, and a spec is readable "
        "by everybody | modal secret create NAME KEY=…, then secrets: {NAME: [KEY]}",
        {"image": {"run": ["pip install x"]}, "secrets": {"index": ["PIP_INDEX_URL"]}},
    ),
]


@pytest.mark.parametrize(
    ("spec", "sentence", "way_out"), CASES, ids=[c[1].split(": ")[0] for c in CASES]
)
def test_sentences_and_their_ways_out(
    spec: dict[str, Any], sentence: str, way_out: dict[str, Any]
) -> None:
    assert said(judged(spec)) == [sentence]
    assert said(judged({**spec, **way_out})) == []


@pytest.mark.parametrize(
    "change",
    [
        {"env": {"VLLM_LOGGING_LEVEL": "DEBUG"}},
        {"env": {"VLLM_OURS": "1"}, "image": {"packages": ["our-plugin==1"]}},
        {"env": {"VLLM_OURS": "1"}, "backend": {"name": "vllm", "version": "0.33.0"}},
        {"endpoint": {"region": "us-west"}},
        {"labels": {"use": "task-classification", "who": "risk-assessment-team"}},
        {"env": {"NOTE": "hf_overrides_of_ours, sk-learn, ask-the-team-in-berlin"}},
        {"backend": {"name": "vllm", "args": {"long-prefill-token-threshold": 2048}}},
        {"concurrency": {"target": 64, "max": 128}, "max_sequences": 64},
        {"concurrency": {"target": 64, "max": 128}},
    ],
    ids=str,
)
def test_what_is_right_is_not_doubted(change: dict[str, Any]) -> None:
    assert said(judged({**VLLM, **change})) == []


def test_a_policy_that_asks_for_regions_has_accepted_their_price() -> None:
    spec = {**VLLM, "endpoint": {"compute_regions": ["us-east"], "region": "us-east"}}
    assert said(judged(spec, project={"policy": {"regions": ["us-east"]}})) == []


def test_a_start_has_time_to_read_the_weights() -> None:
    files = tuple(RemoteFile(f"model-{i}.safetensors", 50 * 10**9) for i in range(8))
    facts = ModelFacts("hub", commit="a" * 40, remote=(RemoteFile("config.json", 1), *files))
    spec = {**VLLM, "model": {"source": "hf://a/b"}, "endpoint": {"startup_timeout": "5m"}}
    assert said(judged(spec, facts)) == [
        "endpoint.startup_timeout warning scaling/startup-timeout: reading 400 GB of weights takes "
        "200 to 400 s, and a start may take 300 s | endpoint: {startup_timeout: 11m}"
    ]
    assert said(judged({**spec, "endpoint": {"startup_timeout": "11m"}}, facts)) == []
    assert said(judged({**LLAMA, "endpoint": {"startup_timeout": "30s"}}, local_gguf())) == []


def test_no_line_and_no_sentence_shows_a_secret() -> None:
    token = "hf_abcdefghijklmnopqrst"
    for spec in (
        {**VLLM, "backend": {"name": "vllm", "args": {"hf-token": token}}},
        {**VLLM, "backend": {"name": "vllm", "args": {"dtype": token}}},
        {**VLLM, "labels": {"team": token + " x"}},
        {**VLLM, "tools": token},
    ):
        found = judged(spec)
        assert any(d.is_error for d in found)
        assert token not in repr(found)
