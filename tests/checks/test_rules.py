"""What does each rule say, word for word? And is the hint a way out?"""

from __future__ import annotations

import datetime
import re
from pathlib import Path
from typing import Any

import pytest

import modelctl.checks
from modelctl.assess import assess
from modelctl.checks import check
from modelctl.checks.catalogue import CATALOGUE
from modelctl.diagnostics import Diagnostic
from modelctl.resolve import resolve
from modelctl.resolved import Unknown
from modelctl.weights.facts import ModelFacts
from modelctl.weights.read import model_facts
from tests.render.apps import EMBED, QWEN3, SMOLLM2, SNAPSHOT, VOLUME, local_gguf, wanted

TODAY = datetime.date(2026, 11, 21)

# The fewest words that are right, so that a case shows what it changes.
VLLM: dict[str, Any] = {**QWEN3, "gpu": [{"type": "H100"}]}
LLAMA: dict[str, Any] = {**SMOLLM2, "gpu": [{"type": "L4"}]}


def judged(
    spec: dict[str, Any],
    model: ModelFacts | None = None,
    root: Path = Path(),
    project: dict[str, Any] | None = None,
) -> list[Diagnostic]:
    want = wanted(spec, root=root, project=project)
    if model is None:
        source = want.spec.model.source if want.spec.model else None
        if source and "://" not in source and root == Path():
            model = local_gguf()
        else:
            said = want.spec
            model = model_facts(
                source,
                want.file.parent,
                root,
                hashed=False,
                chat_template=said.chat_template,
                dockerfile=said.image.dockerfile if said.image else None,
            )
    return check(want, assess(resolve(want, model)), model, today=TODAY)


def said(diagnostics: list[Diagnostic]) -> list[str]:
    return [
        f"{d.path} {d.severity} {d.code}: {d.message}" + (f" | {d.hint}" if d.hint else "")
        for d in diagnostics
        if d.code != "model/unlocked"
    ]


@pytest.mark.parametrize("spec", [QWEN3, SMOLLM2, VOLUME, EMBED, SNAPSHOT], ids=lambda s: s["name"])
def test_the_examples_are_right(spec: dict[str, Any]) -> None:
    assert said(judged(spec)) == []


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
        {**VLLM, "rollout": {"on_failure": "rollback"}},
        "rollout.on_failure warning later/rollout: rollout.on_failure is not acted on by this "
        "version of modelctl | a version that fails its gate is reported and not tried again as "
        "it is",
    ),
    (
        {**VLLM, "rollout": {"wave": "canary"}},
        "rollout.wave warning later/rollout: rollout.wave is not acted on by this version of "
        "modelctl | a version that fails its gate is reported and not tried again as it is",
    ),
    (
        {**VLLM, "renamed_from": "old"},
        "renamed_from warning later/renamed: this version of modelctl does not rename: it creates "
        "the new app and leaves the old | modelctl destroy old, or apply --prune, once the new "
        "one serves",
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
        "budget.usd_per_hour error budget/keep-warm: keep_warm 1 costs $3.96 an hour; the budget "
        "is $3.00 | keep_warm: 0, or a cheaper GPU first in the list",
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
        {**VLLM, "allow": {"gpu/count": {"reason": "x", "until": "soon"}}},
        "allow.gpu/count.until warning allow/no-date: soon is no date, so gpu/count is allowed for "
        "ever | until: 2027-01-31",
    ),
]


@pytest.mark.parametrize(("spec", "sentence"), CASES, ids=[c[1].split(": ")[0] for c in CASES])
def test_sentences(spec: dict[str, Any], sentence: str) -> None:
    assert said(judged(spec)) == [sentence]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "model/not-found: there is no file ./m.gguf | paths start at the spec's folder, "),
        (b"", "model/empty: ./m.gguf is empty | fetch the model again"),
        (
            b"version https://git-lfs.github.com/spec/v1",
            "model/not-gguf: ./m.gguf is no GGUF file: it does not begin with the letters GGUF | "
            "fetch it again; a Git LFS pointer or a web page may have been saved instead",
        ),
    ],
)
def test_local_files(tmp_path: Path, content: bytes | None, sentence: str) -> None:
    folder = tmp_path / "specs"
    folder.mkdir()
    if content is not None:
        (folder / "m.gguf").write_bytes(content)
    (found,) = said(judged({**LLAMA, "model": {"source": "./m.gguf"}}, root=tmp_path))
    assert found.startswith(f"model.source error {sentence}")


def test_a_model_outside_the_project(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    root = tmp_path / "project"
    (root / "specs").mkdir(parents=True)
    assert said(judged({**LLAMA, "model": {"source": "../../m.gguf"}}, root=root)) == [
        "model.source error model/outside-project: ../../m.gguf is outside the project's folder | "
        "move it below the folder that holds modelctl.yaml, or use volume://name/path"
    ]


def test_a_folder_with_several_files(tmp_path: Path) -> None:
    folder = tmp_path / "specs/m"
    folder.mkdir(parents=True)
    for name in ("a.gguf", "b.gguf"):
        (folder / name).write_bytes(b"x")
    assert said(judged({**LLAMA, "model": {"source": "./m"}}, root=tmp_path)) == [
        "model.source error model/which-file: ./m has 2 GGUF files, and llama.cpp takes one | "
        "./m/a.gguf"
    ]


def test_a_chat_template_that_is_not_there(tmp_path: Path) -> None:
    (found,) = said(judged({**VLLM, "chat_template": "x.jinja"}, root=tmp_path))
    assert found.startswith(
        "chat_template error model/chat-template: x.jinja: No such file or directory | a file in "
        "the project; paths start at "
    )


def test_what_is_not_locked() -> None:
    pinned, loose = judged(VLLM), judged({**VLLM, "model": {"source": "hf://Qwen/Qwen3-8B"}})
    assert [(d.severity, d.message) for d in (*pinned, *loose)] == [
        (
            "not checked",
            "hf://Qwen/Qwen3-8B is not in modelctl.lock: its size and context were not checked",
        ),
        (
            "warning",
            "hf://Qwen/Qwen3-8B is not in modelctl.lock, and no commit pins it: it may change by "
            "itself",
        ),
    ]


def test_a_secret_is_shown_nowhere() -> None:
    (found,) = [d for d in judged({**VLLM, "env": {"T": "hf_abcdefghijklmnop"}}) if d.is_error]
    assert found.place is not None
    assert found.place.text == ""
    assert "hf_abc" not in repr(found)


@pytest.mark.parametrize(
    "env",
    [
        {"TOKENIZERS_PARALLELISM": "false"},
        {"KEY_FILE": "/run/key"},
        {"MAX_TOKENS": "100"},
        {"MONKEY": "bananas"},
        {"TOKEN_LIMIT": "5"},
    ],
)
def test_what_is_no_secret(env: dict[str, str]) -> None:
    assert said(judged({**VLLM, "env": env})) == []


def test_the_projects_rules() -> None:
    spec = {**VLLM, "endpoint": {"auth": "none"}}
    stricter = judged(spec, project={"rules": {"endpoint/auth-none": "error"}})
    assert [d.severity for d in stricter if d.code == "endpoint/auth-none"] == ["error"]
    off = judged(spec, project={"rules": {"endpoint/auth-none": "off"}})
    assert said(off) == []


@pytest.mark.parametrize(
    ("policy", "sentence"),
    [
        (
            {"gpus": ["L4", "A10"]},
            "gpu[0] error policy/gpu: the project's policy does not allow H100 | one of L4, A10",
        ),
        (
            {"auth": ["api-key"]},
            "endpoint.auth error policy/auth: the project's policy does not allow auth: proxy | "
            "auth: api-key",
        ),
        (
            {"images": ["registry.acme.com/*"]},
            "image.base error policy/image: the project's policy does not allow the image "
            "vllm/vllm-openai:v0.32.0 | one that looks like registry.acme.com/*",
        ),
        (
            {"regions": ["us-east"]},
            "endpoint error policy/region: the project's policy allows some regions only, and the "
            "containers may run in any | endpoint: {compute_regions: [us-east]}",
        ),
        (
            {"budget": {"usd_per_month": 100.0}},
            "keep_warm error policy/budget: keep_warm costs $2,887.95 a month; the project's "
            "policy allows $100.00 | fewer containers, or a cheaper GPU first in the list",
        ),
        (
            {"budget": {"usd_per_hour_at_max": 10.0}},
            "scaling error policy/budget: the project's policy allows $10.00 an hour: scaling.max "
            "is not said | scaling: {max: N}, with GPUs whose price is known",
        ),
    ],
)
def test_nobody_weakens_the_policy(policy: dict[str, Any], sentence: str) -> None:
    code = sentence.split()[2].rstrip(":")
    spec = {**VLLM, "allow": {code: {"reason": "please"}}}
    assert said(judged(spec, project={"policy": policy, "rules": {code: "off"}})) == [sentence]


def test_what_is_allowed_is_not_said_until_its_last_day() -> None:
    def with_until(until: str | None) -> list[str]:
        allow = {"endpoint/auth-none": {"reason": "a gateway is in front", "until": until}}
        return said(judged({**VLLM, "endpoint": {"auth": "none"}, "allow": allow}))

    assert with_until(None) == []
    assert with_until("2026-11-21") == []
    (expired,) = with_until("2026-11-20")
    assert expired.endswith("; it was allowed until 2026-11-20")


def test_every_code_has_its_page() -> None:
    package = Path(modelctl.__file__).parent
    folders = [package / "checks", package / "engines"]
    files = [file for folder in folders for file in folder.glob("*.py")]
    files += [package / "weights" / "lock.py", package / "cli" / "locking.py"]
    used = {
        code
        for file in files
        if not file.name.startswith("pages_")
        for code in re.findall(r'"([a-z]+/[a-z][a-z0-9-]+)"', file.read_text(encoding="utf-8"))
    }
    assert used == set(CATALOGUE)
    assert all(len(page) > 40 and page[-1] in ".*" for page in CATALOGUE.values())


def test_unknown_facts_are_no_error() -> None:
    model = local_gguf(context_length=Unknown("not in the GGUF header"), quantization=Unknown("?"))
    assert said(judged({**LLAMA, "context": 999_999}, model)) == []
