"""What becomes of a finding: its place, a pardon, the project's rules, a policy above them?"""

from __future__ import annotations

import os
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest

import modelctl.checks
from modelctl.checks.catalogue import CATALOGUE
from modelctl.resolved import Unknown
from tests.checks.judging import LLAMA, VLLM, judged, said
from tests.render.apps import local_gguf

PACKAGE = Path(modelctl.__file__).parent
NO_CODES = {"modelctl/v1", "application/json"}
"""What is written like a code and is none."""


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
            {"gpus": []},
            "gpu[0] error policy/gpu: the project's policy does not allow H100 | the policy's list "
            "is empty: it allows none",
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
            "keep_warm error policy/budget: keep_warm costs $2,887.95 a month on H100; the "
            "project's policy allows $100.00 | fewer containers, or a cheaper GPU first in the "
            "list",
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
    """Every code that the package's source can print, and no page is of a code that it cannot."""
    files = [file for file in PACKAGE.rglob("*.py") if not file.name.startswith("pages_")]
    used = {
        code
        for file in files
        for code in re.findall(r'"([a-z]+/[a-z][a-z0-9-]+)"', file.read_text(encoding="utf-8"))
    }
    assert used - NO_CODES == set(CATALOGUE)
    assert all(len(page) > 40 and page[-1] in ".*" for page in CATALOGUE.values())


def test_the_documentation_has_every_page() -> None:
    """`UPDATE_GOLDEN=1` writes it anew."""
    file = Path(__file__).parents[2] / "docs/rules.md"
    text = "# What modelctl says of a spec\n\nLook a code up here: what it means, and what to "
    text += "do. Each diagnostic has one, and it stays:\nfor `rules` and `allow`, and for "
    text += "`modelctl explain CODE`, which prints the same.\n"
    for room in sorted({code.split("/")[0] for code in CATALOGUE}):
        text += f"\n## {room}\n"
        for code in sorted(code for code in CATALOGUE if code.split("/")[0] == room):
            page = textwrap.fill(CATALOGUE[code], width=100, break_on_hyphens=False)
            text += f"\n### {code}\n\n{page}\n"
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(text, encoding="utf-8")
    assert file.read_text(encoding="utf-8") == text


def test_unknown_facts_are_no_error() -> None:
    model = local_gguf(context_length=Unknown("not in the GGUF header"), quantization=Unknown("?"))
    assert said(judged({**LLAMA, "context": 999_999}, model)) == []
