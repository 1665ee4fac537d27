"""What does each rule say, word for word? And is the hint a way out?"""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.checks.judging import LLAMA, VLLM, judged, said
from tests.render.apps import EMBED, QWEN3, SMOLLM2, SNAPSHOT, VOLUME


@pytest.mark.parametrize("spec", [QWEN3, SMOLLM2, VOLUME, EMBED, SNAPSHOT], ids=lambda s: s["name"])
def test_the_examples_are_right(spec: dict[str, Any]) -> None:
    assert said(judged(spec)) == []


DEAR_FIRST = ({"type": "H100"}, {"type": "L40S"})
CHEAP_FIRST = ({"type": "L40S"}, {"type": "H100"})
AT_MOST_4: dict[str, Any] = {"scaling": {"max": 4}}

CASES: list[tuple[dict[str, Any], str]] = [
    (
        {**VLLM, "gpu": [{"type": "H10"}]},
        "gpu[0].type error gpu/unknown: Modal has no GPU H10 | did you mean H100? There are A10, "
        "A100-40GB, A100-80GB, B200, B200+, H100, H100!, H200, L4, L40S, RTX-PRO-6000, T4",
    ),
    (
        {**VLLM, "gpu": [{"type": "A10:8"}]},
        "gpu[0] error gpu/count: a container has at most 4 × A10, not 8 | A10:4, or a larger GPU",
    ),
    (
        {**VLLM, "gpu": [{"type": "L4:0"}]},
        "gpu[0] error gpu/count: 0 × L4 is no GPU at all | L4, or gpu: none for a CPU",
    ),
    (
        {**VLLM, "gpu": [{"type": "A100:2"}]},
        "gpu[0].type warning gpu/ambiguous: A100 comes with 40 or 80 GB; without a size it is the "
        "one with 40 | A100-40GB:2 or A100-80GB:2",
    ),
    (
        {**VLLM, "gpu": [{"type": "A10"}, {"type": "A10G"}]},
        "gpu[1] warning gpu/duplicate: A10 is in the list already, as gpu[0]; what this entry says "
        "is lost | leave this entry out",
    ),
    (
        {**VLLM, "gpu": [{"type": "L4"}, {"type": "none"}]},
        "gpu[1] error gpu/none-in-list: a container that asked for a GPU never falls back to a CPU"
        " | leave none out, or write gpu: none alone",
    ),
    (
        {**VLLM, "gpu": [{"type": "none"}]},
        "gpu error gpu/missing: vLLM's image runs on a GPU only, and the spec names none | "
        "gpu: [L40S], or image: {base: …} with a CPU build, or backend: llama.cpp",
    ),
    (
        {**VLLM, "gpu": [{"type": "L4:4"}], "parallel": {"tensor": 2}},
        "parallel error parallel/does-not-match-count: parallel asks for 2 GPUs, and L4:4 has 4 | "
        "L4:2 in the list, or tensor: 4",
    ),
    (
        {**VLLM, "keep_warm": 3, "scaling": {"max": 2}},
        "keep_warm error scaling/keep-warm-above-max: keep_warm 3 is more than scaling.max 2 | "
        "keep_warm: 2, or scaling: {max: 3}",
    ),
    (
        {**VLLM, "concurrency": {"target": 9, "max": 4}},
        "concurrency.target error concurrency/target-above-max: a target of 9 requests is more "
        "than the max of 4 | concurrency: {target: 4, max: 4}",
    ),
    (
        {**VLLM, "gpu": [{"type": "L4", "concurrency": {"max": 4}}]},
        "gpu[0].concurrency.max error concurrency/of-entry: Modal has one concurrency.max an "
        "endpoint, whatever GPU it gets | concurrency.max beside gpu; max_sequences may differ "
        "from entry to entry",
    ),
    (
        {**VLLM, "scaling": {"idle_timeout": "2h"}},
        "scaling.idle_timeout error scaling/window: an idle_timeout of 2h: Modal takes 2s to 1h | "
        "idle_timeout: 1h",
    ),
    (
        {**VLLM, "scaling": {"scaleup_window": "0s"}},
        "scaling.scaleup_window error scaling/window: a scaleup_window of 0s: Modal takes 1s or "
        "more | scaleup_window: 1s, or leave it out",
    ),
    (
        {**VLLM, "endpoint": {"drain": "90m"}},
        "endpoint.drain error scaling/window: a drain of 90m: Modal takes 0s to 1h | drain: 1h",
    ),
    (
        {**VLLM, "endpoint": {"startup_timeout": "5s"}},
        "endpoint.startup_timeout error scaling/window: a startup_timeout of 5s is too short for "
        "any model | startup_timeout: 20m, or leave it out",
    ),
    (
        {**VLLM, "endpoint": {"auth": "none"}},
        "endpoint.auth warning endpoint/auth-none: anybody who finds the URL may use this "
        "endpoint, on your bill | auth: proxy asks for Modal's proxy token",
    ),
    (
        {**VLLM, "endpoint": {"auth": "api-key"}},
        "endpoint.auth error endpoint/api-key: auth: api-key needs the Secret and the key that "
        "hold it | endpoint: {auth: api-key, api_key: {secret: NAME, key: KEY}}",
    ),
    (
        {**VLLM, "endpoint": {"api_key": {"secret": "s", "key": "K"}}},
        "endpoint.api_key warning endpoint/api-key-unused: the api_key is not asked for with auth: "
        "proxy | auth: api-key, or leave api_key out",
    ),
    (
        {**VLLM, "snapshot": "gpu", "gpu": [{"type": "L40S:2"}]},
        "gpu[0] error snapshot/multi-gpu: a snapshot of 2 × L40S is known not to come back | "
        "snapshot: none, or entries of one GPU",
    ),
    (
        {**VLLM, "snapshot": "gpu"},
        "gpu[0] warning snapshot/hardware: H100 may become H200, and a snapshot is good for one of "
        "the two | H100!",
    ),
    (
        {**VLLM, "snapshot": "cpu"},
        "snapshot warning snapshot/cpu-with-gpu: a cpu snapshot is taken before there is a GPU: "
        "the engine starts after it, so that little is saved | snapshot: gpu, or none",
    ),
    (
        {**SNAPSHOT, "endpoint": {"auth": "api-key", "api_key": {"secret": "s", "key": "K"}}},
        "endpoint.auth error snapshot/open-routes: a GPU snapshot needs vLLM's development routes, "
        "which change weights and ask no key | auth: proxy, or snapshot: none",
    ),
    (
        {**VLLM, "env": {"NOTE": "a\0b"}},
        "env.NOTE error env/value: the value of NOTE holds a zero byte, which no variable can | "
        "leave it out",
    ),
    (
        {**VLLM, "renamed_from": "qwen3-8b"},
        "renamed_from error rollout/renamed: renamed_from is the name that it has | leave "
        "renamed_from out, or say the name that the app had before",
    ),
    (
        {
            **VLLM,
            "tools": None,
            "reasoning": None,
            "model": {**VLLM["model"], "task": "embed"},
            "checks": {"hello": {"prompt": "Hello?"}},
        },
        "checks error checks/task: checks ask a question in words; a model that does embed has no "
        "answer | leave checks out; the first request that warms it up must succeed all the same",
    ),
    (
        {**VLLM, "volumes": {"/a": {"name": "v"}, "/b": {"name": "v"}}},
        "volumes./b error mounts/volume-twice: the Volume v is mounted at /a already | mount it "
        "once; a container sees all of it there",
    ),
    (
        {**VLLM, "volumes": {"/models/x": {"name": "v"}}},
        "volumes./models/x error mounts/taken: /models/x is where modelctl mounts the weights and "
        "caches | any path outside /models and /cache, such as /data",
    ),
    (
        {**VLLM, "volumes": {"data": {"name": "v"}}},
        "volumes.data error mounts/path: data is no mount path | such as /data",
    ),
    (
        {**VLLM, "volumes": {"/data": {}}},
        "volumes./data error mounts/name: /data names no Volume | /data: my-volume",
    ),
    (
        {**VLLM, "labels": {"team name": "x"}},
        "labels.team name error labels/invalid-tag: 'team name' cannot be a Modal tag | "
        "1 to 63 letters, digits, dots, dashes and underscores",
    ),
    (
        {**VLLM, "labels": {"modelctl-digest": "x"}},
        "labels.modelctl-digest error labels/reserved: the label modelctl-digest is modelctl's own "
        "| another name",
    ),
    (
        {**VLLM, "env": {"SOME_API_KEY": "abcdef"}},
        "env.SOME_API_KEY error env/looks-like-a-secret: SOME_API_KEY looks like a secret, and env "
        "is readable by everybody | modal secret create NAME SOME_API_KEY=…, then secrets: "
        "{NAME: [SOME_API_KEY]}",
    ),
    (
        {**VLLM, "env": {"SETTING": "hf_abcdefghijklmnop"}},
        "env.SETTING error env/looks-like-a-secret: SETTING looks like a secret, and env is "
        "readable by everybody | modal secret create NAME SETTING=…, then secrets: "
        "{NAME: [SETTING]}",
    ),
    (
        {**VLLM, "env": {"1X": "a"}},
        "env.1X error env/name: '1X' cannot be a variable's name | letters, digits and "
        "underscores, the first no digit",
    ),
    (
        {**VLLM, "env": {"MODELCTL_PORT": "1"}},
        "env.MODELCTL_PORT error env/name: MODELCTL_PORT is modelctl's own | another name",
    ),
    (
        {**VLLM, "model": {"source": "ftp://x/y"}},
        "model.source error model/unknown-source: ftp:// is no source of models | hf://org/repo, "
        "volume://name/path, s3://bucket/prefix, gs://bucket/prefix or ./path",
    ),
    (
        {**VLLM, "model": {"source": "hf://Qwen3-8B"}},
        "model.source error model/malformed-source: hf://Qwen3-8B names no repository | "
        "hf://org/repo, as the address on the Hub has it",
    ),
    (
        {**VLLM, "model": {"source": "hf://a/b", "revision": "../../x/y"}},
        "model.revision error model/malformed-revision: '../../x/y' is no branch, tag or commit | "
        "a name as git has it, with no .. and none of ~ ^ : ? * [ \\ or spaces in it, and no / or "
        "- at its beginning",
    ),
    (
        {**VLLM, "model": {"source": "volume:///x"}},
        "model.source error model/malformed-source: volume:///x names no Volume | "
        "volume://name/path",
    ),
    (
        {**VLLM, "model": {"source": "volume://v/../x"}},
        "model.source error model/malformed-source: volume://v/../x leaves its volume | a path "
        "without ..",
    ),
    (
        {key: value for key, value in VLLM.items() if key != "model"},
        "model error model/no-source: the spec names no model | model: hf://org/repo, "
        "volume://name/path, s3://bucket/prefix, gs://bucket/prefix or ./path",
    ),
    (
        {**VLLM, "model": {"source": "hf://a/b", "trust_remote_code": True}},
        "model.trust_remote_code warning model/remote-code: whoever can push to the repository can "
        "run code beside this endpoint's secrets | modelctl lock keeps it to the code that was "
        "read",
    ),
    (
        {**VLLM, "model": {"source": "hf://a/b", "served_as": ["--port"]}},
        "model.served_as[0] error model/served-as: '--port' cannot be a model's name | letters, "
        "digits and . _ : / @ -, the first a letter or digit",
    ),
    (
        {**LLAMA, "context": 16384},
        "context error model/context: a context of 16,384 is more than the model's own 8,192 | "
        "context: 8192",
    ),
    (
        {**VLLM, "backend": {"name": "vllm", "version": "0.99.0"}},
        "backend.version not checked engine/unknown-version: vllm 0.99.0 is not in the tables: its "
        "flags were not checked | known: 0.32.0, 0.33.0",
    ),
    (
        {**VLLM, "backend": {"name": "vllm", "args": {"disable-log-requests": True}}},
        "backend.args.disable-log-requests error engine/removed-flag: vLLM 0.32.0 has no "
        "--disable-log-requests any more | leave it out: requests are not logged unless "
        "enable-log-requests says so",
    ),
    (
        {**LLAMA, "backend": {"name": "llama.cpp", "args": {"mlock": True}}},
        "backend.args.mlock error engine/removed-flag: llama.cpp b11312 has no --mlock any more | "
        "load-mode: mlock",
    ),
    (
        {**LLAMA, "gpu": [{"type": "L4", "args": {"port": 1}}]},
        "gpu[0].args.port error engine/reserved-flag: --port is set by modelctl | leave it out: "
        "the address is modelctl's",
    ),
    (
        {**VLLM, "backend": {"name": "vllm", "server": "llama-server"}},
        "backend.server error engine/wrong-option: llama-server is a server of llama.cpp | leave "
        "server out, or backend: llama.cpp",
    ),
    (
        {**VLLM, "model": {"source": "volume://v/x.gguf"}},
        "model.source error engine/wrong-format: vLLM has no GGUF since 0.24 | backend: llama.cpp, "
        "or the model's safetensors",
    ),
    (
        {**LLAMA, "kv_cache": "fp8"},
        "kv_cache error engine/wrong-option: llama.cpp has no KV cache of type fp8 | q8_0, or "
        "another of auto, f32, f16, bf16, q8_0, q4_0, q4_1, iq4_nl, q5_0, q5_1",
    ),
    (
        {**LLAMA, "quantization": "Q8_0"},
        "quantization error engine/quantization: the file is Q4_1, not Q8_0, and llama.cpp serves "
        "it as it is | quantization: auto, or a file in Q8_0",
    ),
    (
        {**VLLM, "budget": {"usd_per_hour": 3.0}},
        "budget.usd_per_hour error budget/keep-warm: keep_warm 1 costs $3.96 an hour on H100; the "
        "budget is $3.00 | keep_warm: 0, or a cheaper GPU first in the list",
    ),
    (
        {**VLLM, "gpu": [*DEAR_FIRST], "keep_warm": 2, "budget": {"usd_per_month": 4000.0}},
        "budget.usd_per_month error budget/keep-warm: keep_warm 2 costs $5,775.90 a month on H100, "
        "the first of the list; the budget is $4,000.00 | keep_warm: 1, or a cheaper GPU first in "
        "the list",
    ),
    (
        {**VLLM, "gpu": [*CHEAP_FIRST], "budget": {"usd_per_hour": 3.0}},
        "budget.usd_per_hour warning budget/may-exceed: where no L40S is free, keep_warm 1 may run "
        "on H100 and cost $3.96 an hour; the budget is $3.00 | usd_per_hour: 3.96, or the list "
        "without H100",
    ),
    (
        {**VLLM, "gpu": [*CHEAP_FIRST], **AT_MOST_4, "budget": {"usd_per_hour_at_max": 8.0}},
        "budget.usd_per_hour_at_max warning budget/may-exceed: where no L40S is free, 4 containers "
        "may run on H100 and cost $15.82 an hour; the budget is $8.00 | usd_per_hour_at_max: "
        "15.83, or the list without H100",
    ),
    (
        {**VLLM, **AT_MOST_4, "budget": {"usd_per_hour_at_max": 8.0}},
        "budget.usd_per_hour_at_max error budget/at-max: 4 containers cost $15.82 an hour on H100; "
        "the budget is $8.00 | a smaller scaling.max, or a cheaper GPU first in the list",
    ),
    (
        {**VLLM, "budget": {"usd_per_hour_at_max": 3.0}},
        "budget.usd_per_hour_at_max not checked budget/at-max: what the endpoint costs at most: "
        "scaling.max is not said | scaling: {max: N}",
    ),
    (
        {**VLLM, "model": {"source": "volume://v/m", "revision": "main"}},
        "model.revision error model/unused: a Volume has no revision | leave it out: the source "
        "says it all",
    ),
    (
        {**VLLM, "gpu": [{"type": "L4", "concurrency": {"target": 4}}]},
        "gpu[0].concurrency.target error concurrency/of-entry: Modal has one concurrency.target an "
        "endpoint, whatever GPU it gets | concurrency.target beside gpu; max_sequences may differ "
        "from entry to entry",
    ),
    (
        {**VLLM, "allow": {"gpu/count": {}}},
        "allow.gpu/count error allow/no-reason: allowing gpu/count needs a reason | allow: "
        "{gpu/count: {reason: why it is right here}}",
    ),
    (
        {**VLLM, "allow": {"gpu/count": {"reason": "x", "until": "2027-02-30"}}},
        "allow.gpu/count.until error allow/no-date: 2027-02-30 is no day of the calendar | until: "
        "2027-01-31",
    ),
]


@pytest.mark.parametrize(("spec", "sentence"), CASES, ids=[c[1].split(": ")[0] for c in CASES])
def test_sentences(spec: dict[str, Any], sentence: str) -> None:
    assert said(judged(spec)) == [sentence]


def test_more_cards_than_a_container_has_are_no_way_out() -> None:
    forty = {**VLLM, "gpu": [{"type": "L4:4"}], "parallel": {"tensor": 10, "pipeline": 4}}
    assert said(judged(forty)) == [
        "parallel error parallel/does-not-match-count: parallel asks for 40 GPUs, and L4:4 has 4 | "
        "tensor: 1"
    ]


L4: dict[str, Any] = {"gpu": [{"type": "L4"}]}
KEY: dict[str, Any] = {"secret": "team", "key": "KEY"}
HUB: dict[str, Any] = VLLM["model"]

WAYS_OUT: dict[str, list[dict[str, Any]]] = {
    "gpu/unknown": [{"gpu": [{"type": "H100"}]}],
    "gpu/count": [{"gpu": [{"type": "A10:4"}]}, L4],
    "gpu/ambiguous": [{"gpu": [{"type": "A100-80GB:2"}]}],
    "gpu/duplicate": [{"gpu": [{"type": "A10"}]}],
    "gpu/none-in-list": [L4],
    "gpu/missing": [{"gpu": [{"type": "L40S"}]}],
    "parallel/does-not-match-count": [{"gpu": [{"type": "L4:2"}]}],
    "scaling/keep-warm-above-max": [{"keep_warm": 2}],
    "concurrency/target-above-max": [{"concurrency": {"target": 4, "max": 4}}],
    "concurrency/of-entry": [
        {**L4, "concurrency": {"max": 4}},
        {**L4, "concurrency": {"target": 4}},
    ],
    "scaling/window": [
        {"scaling": {"idle_timeout": "1h"}},
        {"scaling": {"scaleup_window": "1s"}},
        {"endpoint": {"drain": "1h"}},
        {"endpoint": {"startup_timeout": "20m"}},
    ],
    "endpoint/auth-none": [{"endpoint": {"auth": "proxy"}}],
    "endpoint/api-key": [{"endpoint": {"auth": "api-key", "api_key": KEY}}],
    "endpoint/api-key-unused": [{"endpoint": {"auth": "api-key", "api_key": KEY}}],
    "snapshot/multi-gpu": [{"gpu": [{"type": "L40S"}]}],
    "snapshot/hardware": [{"gpu": [{"type": "H100!"}]}],
    "snapshot/cpu-with-gpu": [{"snapshot": "none"}],
    "snapshot/open-routes": [{"endpoint": {"auth": "proxy"}}],
    "env/value": [{"env": {}}],
    "rollout/renamed": [{"renamed_from": None}],
    "checks/task": [{"checks": {}}],
    "mounts/volume-twice": [{"volumes": {"/a": {"name": "v"}}}],
    "mounts/taken": [{"volumes": {"/data": {"name": "v"}}}],
    "mounts/path": [{"volumes": {"/data": {"name": "v"}}}],
    "mounts/name": [{"volumes": {"/data": {"name": "my-volume"}}}],
    "labels/invalid-tag": [{"labels": {"team-name": "x"}}],
    "labels/reserved": [{"labels": {"digest": "x"}}],
    "env/looks-like-a-secret": [
        {"env": {}, "secrets": {"name": ["SOME_API_KEY"]}},
        {"env": {}, "secrets": {"name": ["SETTING"]}},
    ],
    "env/name": [{"env": {"X1": "a"}}, {"env": {"OUR_PORT": "1"}}],
    "model/unknown-source": [{"model": HUB}],
    "model/malformed-source": [
        {"model": HUB},
        {"model": {"source": "volume://name/path"}},
        {"model": {"source": "volume://v/x"}},
    ],
    "model/malformed-revision": [{"model": {"source": "hf://a/b", "revision": "x/y"}}],
    "model/no-source": [{"model": HUB}],
    "model/remote-code": [{"model": {**HUB, "trust_remote_code": None}}],
    "model/served-as": [{"model": {**HUB, "served_as": ["port"]}}],
    "model/context": [{"context": 8192}],
    "engine/unknown-version": [{"backend": {"name": "vllm", "version": "0.33.0"}}],
    "engine/removed-flag": [
        {"backend": {"name": "vllm"}},
        {"backend": {"name": "llama.cpp", "args": {"load-mode": "mlock"}}},
    ],
    "engine/reserved-flag": [L4],
    "engine/wrong-option": [{"backend": {"name": "vllm"}}, {"kv_cache": "q8_0"}],
    "engine/wrong-format": [
        {"backend": {"name": "llama.cpp"}, "tools": None, "reasoning": None},
    ],
    "engine/quantization": [{"quantization": "auto"}],
    "budget/keep-warm": [{"keep_warm": 0}, {"keep_warm": 1, "gpu": [{"type": "H100"}]}],
    "budget/may-exceed": [
        {"budget": {"usd_per_hour": 3.96}},
        {"budget": {"usd_per_hour_at_max": 15.83}},
    ],
    "budget/at-max": [
        {"scaling": {"max": 2}},
        {"scaling": {"max": 1}, "budget": {"usd_per_hour_at_max": 5.0}},
    ],
    "model/unused": [{"model": {"source": "volume://v/m"}}],
    "allow/no-reason": [{"allow": {"gpu/count": {"reason": "it is right here"}}}],
    "allow/no-date": [{"allow": {"gpu/count": {"reason": "x", "until": "2027-01-31"}}}],
}
"""What each hint says, done: one change for each case of a code, in their order."""


def test_the_hint_is_a_way_out() -> None:
    """Nobody is sent from one problem into the next."""
    left = {code: list(ways) for code, ways in WAYS_OUT.items()}
    for spec, sentence in CASES:
        code = re.search(r" (?:error|warning|not checked) ([a-z0-9/-]+):", sentence)
        assert code is not None
        way_out = left[code[1]].pop(0)
        assert said(judged({**spec, **way_out})) == [], sentence
    assert not any(left.values())
