"""Images that could not be built, or that have no engine in them, are said before anything is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.engines.dockerfile import copied_from_context, from_images, instructions
from tests.checks.judging import LLAMA, VLLM, judged, said

REFERENCE = "registry/name:tag, such as ghcr.io/team/vllm:1.4"

CASES: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    (VLLM, {"base": "ghcr.io/team/vllm:1.4"}, ""),
    (VLLM, {"base": "nvcr.io/nvidia/vllm:26.10-py3", "secret": "registry"}, ""),
    (VLLM, {"base": "localhost:5000/a/b@sha256:" + "0" * 64}, ""),
    (
        VLLM,
        {"base": "team/vllm"},
        "image.base warning image/moving-base: team/vllm without a tag is whatever was pushed last "
        "when Modal first builds it | team/vllm:TAG, or @sha256:…",
    ),
    (
        VLLM,
        {"base": "team/vllm:latest"},
        "image.base warning image/moving-base: team/vllm:latest with the tag latest is whatever "
        "was pushed last when Modal first builds it | team/vllm:TAG, or @sha256:…",
    ),
    (
        VLLM,
        {"base": "a:1\nRUN curl evil"},
        f"image.base error image/base: 'a:1\\nRUN curl evil' is no image | {REFERENCE}",
    ),
    (VLLM, {"base": "-a"}, f"image.base error image/base: '-a' is no image | {REFERENCE}"),
    (VLLM, {"install": "pip"}, ""),
    (VLLM, {"install": "pip", "python": "3.13"}, ""),
    (VLLM, {"install": "official"}, ""),
    (
        VLLM,
        {"install": "official", "base": "a:1"},
        "image.install error image/two-beginnings: install: official is vllm's own image, and base "
        "says another | leave base out, or install: pip to put the engine onto it",
    ),
    (
        VLLM,
        {"python": "3.13"},
        "image.python error image/second-python: vLLM's image has a Python, and packages would "
        "land in the one that is added | leave python out, or install: pip",
    ),
    (
        LLAMA,
        {"python": "3.9"},
        "image.python error image/python: Modal adds no Python 3.9 to images | one of 3.11, 3.12, "
        "3.13, 3.14, 3.14t, 3.15, 3.15t",
    ),
    (
        LLAMA,
        {"python": "3.10"},
        "image.python warning image/python: Modal's image builder 2026.10 adds no Python 3.10 any "
        "more | one of 3.11, 3.12, 3.13, 3.14, 3.14t, 3.15, 3.15t",
    ),
    (
        LLAMA,
        {"install": "pip"},
        "image.install error image/install: llama-server is no Python package | leave install out, "
        "or server: llama-cpp-python",
    ),
    (
        VLLM,
        {"packages": ["numpy==2.4.0", "--pre"]},
        "image.packages[1] error image/words: '--pre' is no package | a requirement, such as "
        "numpy==2.4.0; options of pip: run: [uv pip install …]",
    ),
    (
        VLLM,
        {"apt": ["git", "a; rm"]},
        "image.apt[1] error image/words: 'a; rm' is no Debian package | a package's name, such as "
        "git",
    ),
    (
        VLLM,
        {"run": ["a && b", "a\nCOPY . /"]},
        "image.run[1] error image/words: a command of several lines | one entry a command; && "
        "joins two into one layer",
    ),
]


@pytest.mark.parametrize(("base", "image", "sentence"), CASES)
def test_sentences(base: dict[str, Any], image: dict[str, Any], sentence: str) -> None:
    assert said(judged({**base, "image": image})) == ([sentence] if sentence else [])


DOCKERFILES = [
    ("FROM vllm/vllm-openai:v0.32.0\nRUN pip install x\n", ""),
    ("FROM a:1 AS build\nRUN make\nFROM b:1\nCOPY --from=build /x /x\n", ""),
    ("FROM a:1\nCOPY <<EOF /x\nCOPY . /y\nEOF\nADD https://example.com/x /x\n", ""),
    (
        "FROM a:1\n# COPY . /\nRUN a \\\n  b\nCOPY --chown=1 one \\\n  two /there\n",
        "image.dockerfile error image/build-context: line 5 of Dockerfile copies one two from the "
        "folder around it, and an app carries no such folder | RUN curl, COPY --from=IMAGE, a "
        "here-document, or a base image that has it",
    ),
    (
        "FROM a:1\nadd . /there\n",
        "image.dockerfile error image/build-context: line 2 of Dockerfile copies . from the folder "
        "around it, and an app carries no such folder | RUN curl, COPY --from=IMAGE, a "
        "here-document, or a base image that has it",
    ),
    (
        "RUN x\n",
        "image.dockerfile error image/dockerfile: Dockerfile has no FROM | FROM registry/name:tag "
        "as first line",
    ),
]


@pytest.mark.parametrize(("text", "sentence"), DOCKERFILES)
def test_a_dockerfile_must_stand_alone(tmp_path: Path, text: str, sentence: str) -> None:
    folder = tmp_path / "specs"
    folder.mkdir()
    (folder / "Dockerfile").write_text(text)
    found = said(judged({**VLLM, "image": {"dockerfile": "Dockerfile"}}, root=tmp_path))
    assert found == ([sentence] if sentence else [])


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("missing", None, "No such file or directory"),
        ("../../out", b"FROM a:1", "outside the project's folder"),
        ("large", b"#" * 300_000, "larger than 256 KiB"),
        ("binary", b"\xff\xfe", "not UTF-8"),
    ],
)
def test_a_dockerfile_that_cannot_be_read(
    tmp_path: Path, name: str, content: bytes | None, reason: str
) -> None:
    root = tmp_path / "project"
    (root / "specs").mkdir(parents=True)
    if content is not None:
        (root / "specs" / name).write_bytes(content)
    found = said(judged({**VLLM, "image": {"dockerfile": name}}, root=root))
    assert found == [
        f"image.dockerfile error image/dockerfile: {name}: {reason} | a file in the project; paths "
        f"start at {(root / 'specs').as_posix()}"
    ]


def test_a_private_registry_opens_for_one_stage_only(tmp_path: Path) -> None:
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "Dockerfile").write_text("FROM a:1 AS x\nFROM b:1\n")
    image = {"dockerfile": "Dockerfile", "secret": "registry"}
    assert said(judged({**VLLM, "image": image}, root=tmp_path)) == [
        "image.secret error image/secret-stages: Dockerfile has 2 stages, and Modal opens a "
        "private registry for one only | build the image elsewhere and name it: image: {base: "
        "registry/name:tag, secret: …}"
    ]


def test_the_policy_sees_every_image_of_a_dockerfile(tmp_path: Path) -> None:
    (tmp_path / "specs").mkdir()
    text = "FROM --platform=linux/amd64 good/a:1 AS build\nFROM build AS x\nFROM bad/b:1\n"
    (tmp_path / "specs" / "Dockerfile").write_text(text)
    spec = {**VLLM, "image": {"dockerfile": "Dockerfile"}}
    assert said(judged(spec, root=tmp_path, project={"policy": {"images": ["good/*"]}})) == [
        "image.dockerfile error policy/image: the project's policy does not allow the image "
        "bad/b:1 | one that looks like good/*"
    ]


@given(st.text(alphabet="ab<>\\#=-'\" \n", max_size=60))
def test_any_text_is_read_as_a_dockerfile(text: str) -> None:
    lines = text.splitlines()
    for found in instructions(lines):
        assert found.words and 1 <= found.line <= len(lines)
    assert from_images(lines) == ()
    assert not list(copied_from_context(lines))
