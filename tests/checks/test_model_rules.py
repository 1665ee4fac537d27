"""What is said of a model's code, template and task, and of names and places that are taken?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from modelctl.resolved import Unknown
from modelctl.weights.facts import ModelFacts
from tests.checks.judging import LLAMA, VLLM, beside_memory, judged, said

REMOTE: dict[str, Any] = {**VLLM["model"], "trust_remote_code": True}
EMBEDS: dict[str, Any] = {
    **VLLM,
    "model": {**VLLM["model"], "task": "embed"},
    "tools": None,
    "reasoning": None,
}

CASES: list[tuple[dict[str, Any], str, dict[str, Any]]] = [
    (
        {**VLLM, "model": REMOTE},
        "model.trust_remote_code warning model/remote-code: Python from hf://Qwen/Qwen3-8B runs in "
        "every container, beside this endpoint's secrets | leave it out where vLLM has the "
        "architecture, or allow it with a reason",
        {"allow": {"model/remote-code": {"reason": "read on 1 November"}}},
    ),
    (
        {**EMBEDS, "tools": "hermes"},
        "tools warning engine/generate-only: a model that does embed writes no text, so that tools "
        "means nothing | leave it out",
        {"tools": None},
    ),
    (
        {**EMBEDS, "speculative": {"method": "ngram", "tokens": 4}},
        "speculative warning engine/generate-only: a model that does embed writes no text, so that "
        "speculative means nothing | leave it out",
        {"speculative": None},
    ),
    (
        {**VLLM, "name": "modelctl-fetch"},
        "name error name/reserved: modelctl-fetch is the app with which modelctl fetches models | "
        "another name",
        {"name": "chat"},
    ),
    (
        {**VLLM, "volumes": {"/usr/": {"name": "v"}}},
        "volumes./usr/ error mounts/taken: /usr/ is a folder of the image's own: nothing is "
        "mounted over it | a path of its own, such as /data",
        {"volumes": {"/data": {"name": "v"}}},
    ),
    (
        {**LLAMA, "volumes": {"/app": {"name": "v"}}},
        "volumes./app error mounts/taken: /app is where the image has llama-server: nothing is "
        "mounted over it | a path of its own, such as /data",
        {"volumes": {"/data": {"name": "v"}}},
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
    "spec",
    [
        EMBEDS,
        {**VLLM, "volumes": {"/app": {"name": "v"}}},
        {**VLLM, "volumes": {"/usr/share/models": {"name": "v"}}},
        {**LLAMA, "volumes": {"/app": {"name": "v"}}, "image": {"base": "acme/llama:1"}},
        {**VLLM, "name": "modelctl-fetcher"},
    ],
)
def test_what_is_right_is_not_refused(spec: dict[str, Any]) -> None:
    assert said(judged(spec)) == []


def test_code_of_another_repository_is_not_fetched() -> None:
    mapped = {"AutoConfig": "other/code--config.Config", "AutoModel": "modeling.Model"}
    facts = ModelFacts("hub", commit="a" * 40, config={"auto_map": mapped})
    spec = {**VLLM, "model": REMOTE, "allow": {"model/remote-code": {"reason": "read"}}}
    assert said(beside_memory(judged(spec, facts))) == [
        "model.trust_remote_code warning model/code-elsewhere: config.json takes code from "
        "other/code, which is neither locked nor fetched | a repository with code of its own, or "
        "with a copy of other/code's .py files"
    ]
    own = replace(facts, config={"auto_map": {"AutoModel": "modeling.Model"}})
    assert said(beside_memory(judged(spec, own))) == []
    assert said(beside_memory(judged({**spec, "model": VLLM["model"]}, facts))) == []


def templated(text: str, tmp_path: Path, spec: dict[str, Any]) -> list[str]:
    (tmp_path / "specs").mkdir(exist_ok=True)
    (tmp_path / "specs/chat.jinja").write_text(text)
    return said(judged({**spec, "chat_template": "chat.jinja"}, root=tmp_path))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "{% for m in messages %}\n{{ m.content }\n{% endfor %}",
            "line 2: unexpected '}'",
        ),
        ("{% if a %}\n\n{% endfor %}", "line 3: Encountered unknown tag 'endfor'. Jinja was "
         "looking for the following tags: 'elif' or 'else' or 'endif'. The innermost block that "
         "needs to be closed is 'if'"),
        ("{{ " + "(" * 5000, "line 1: nested too deeply"),
    ],
    ids=["brace", "tag", "deep"],
)  # fmt: skip
def test_a_template_that_jinja_cannot_read(text: str, sentence: str, tmp_path: Path) -> None:
    assert templated(text, tmp_path, VLLM) == [
        f"chat_template error model/template-syntax: chat.jinja, {sentence} | correct that line; "
        "vLLM reads the file with Jinja"
    ]


@pytest.mark.parametrize(
    "text",
    [
        "{%- for m in messages -%}{% if not m %}{% continue %}{% endif %}{{ m | tojson }}"
        "{%- endfor -%}",
        "{% generation %}{{ message.content }}{% endgeneration %}",
        "{{ raise_exception('no') if a is of_no_kind_that_is_known else strftime_now('%Y') }}",
        "",
    ],
)
def test_what_transformers_adds_to_jinja_is_known(text: str, tmp_path: Path) -> None:
    assert templated(text, tmp_path, VLLM) == []


def test_a_template_of_llama_cpp_is_not_judged_by_another_jinja(tmp_path: Path) -> None:
    spec = {**LLAMA, "model": {"source": "volume://v/m.gguf"}}
    assert templated("{% of_tomorrow %}", tmp_path, spec) == []


def test_heads_of_an_unknown_config_are_not_judged() -> None:
    facts = ModelFacts("hub", commit="a" * 40, config=Unknown("there is no config.json"))
    assert said(judged({**VLLM, "gpu": [{"type": "H100:5"}]}, facts)) == []
