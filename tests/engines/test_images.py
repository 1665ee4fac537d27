"""Which steps make an image: what changes seldom comes first, and every one is pinned."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from modelctl.engines.images import base_images
from modelctl.facts.engines import engine_facts
from modelctl.render import render
from modelctl.resolve import resolve
from modelctl.weights.facts import ModelFacts
from tests.render.apps import QWEN3, SMOLLM2, local_gguf, resolved, wanted


def chain(spec: dict[str, Any], image: dict[str, Any]) -> list[str]:
    """The steps of the app's image, one a line."""
    gguf = local_gguf() if spec["name"] == SMOLLM2["name"] else None
    found = []
    for step in resolved({**spec, "image": image}, gguf).image:
        words = [*step.args, *(f"{key}={value}" for key, value in step.options.items())]
        secret = f" secret={step.secret}" if step.secret else ""
        found.append(f"{step.method}({', '.join(words)}){secret}")
    return found


PYTHON_BESIDE_PYTHON3 = "run_commands(which python || ln -s $(which python3) /usr/local/bin/python)"
ON_THE_PATH = "run_commands(which llama-server || ln -s /app/llama-server /usr/local/bin/)"
A_COMMAND = (
    "run_commands(printf '#!/bin/sh\\nexec env -u HOST -u PORT -u CONFIG_FILE python -m "
    'llama_cpp.server "$@"\\n\' > /usr/local/bin/llama-cpp-python && '
    "chmod +x /usr/local/bin/llama-cpp-python)"
)
LLAMA_SERVER = engine_facts("llama.cpp").image(engine_facts("llama.cpp").default)
CUDA = "nvidia/cuda:12.9.0-devel-ubuntu22.04"
MORE = {"apt": ["git"], "packages": ["numpy==2.4.0"], "run": ["true"]}
EXTRAS = [
    "apt_install(git)",
    "uv_pip_install(numpy==2.4.0, uv_version=0.13.8)",
    "run_commands(true)",
]


@pytest.mark.parametrize(
    ("image", "steps"),
    [
        (
            MORE,
            [
                "from_registry(vllm/vllm-openai:v0.32.0)",
                "entrypoint()",
                PYTHON_BESIDE_PYTHON3,
                *EXTRAS,
            ],
        ),
        (
            {"install": "pip", **MORE},
            [
                f"from_registry({CUDA}, add_python=3.12)",
                "entrypoint()",
                "uv_pip_install(vllm==0.32.0, uv_version=0.13.8)",
                *EXTRAS,
            ],
        ),
        (
            {"install": "pip", "base": "team/cuda:1", "secret": "registry"},
            [
                "from_registry(team/cuda:1) secret=registry",
                "entrypoint()",
                "uv_pip_install(vllm==0.32.0, uv_version=0.13.8)",
            ],
        ),
        (
            {"base": "team/vllm:1", "secret": "registry", "python": "3.13"},
            [
                "from_registry(team/vllm:1, add_python=3.13) secret=registry",
                "entrypoint()",
                PYTHON_BESIDE_PYTHON3,
            ],
        ),
    ],
)
def test_vllm(image: dict[str, Any], steps: list[str]) -> None:
    assert chain(QWEN3, image) == steps


def test_llama_server_is_on_the_path_and_an_own_image_keeps_its_own() -> None:
    assert chain(SMOLLM2, {}) == [
        f"from_registry({LLAMA_SERVER}, add_python=3.12)",
        "entrypoint()",
        ON_THE_PATH,
    ]
    assert chain(SMOLLM2, {"base": "team/llama:1"}) == [
        "from_registry(team/llama:1)",
        "entrypoint()",
        ON_THE_PATH,
    ]


def test_without_a_gpu_llama_server_comes_in_its_small_image() -> None:
    first, *_ = chain({**SMOLLM2, "gpu": [{"type": "none"}]}, {})
    assert first == "from_registry(ghcr.io/ggml-org/llama.cpp:server-b11312, add_python=3.12)"


def test_llama_cpp_python_is_built_in_one_step_for_the_cards_of_the_spec() -> None:
    spec = {**SMOLLM2, "backend": {"name": "llama.cpp", "server": "llama-cpp-python"}}
    spec["gpu"] = [{"type": "T4"}, {"type": "H100"}]
    assert chain(spec, {"packages": ["numpy"]}) == [
        f"from_registry({CUDA}, add_python=3.12)",
        "entrypoint()",
        "apt_install(build-essential, cmake, git)",
        "run_commands(CMAKE_ARGS='-DGGML_NATIVE=OFF -DGGML_CUDA=on "
        "-DCMAKE_EXE_LINKER_FLAGS=-Wl,--allow-shlib-undefined -DCMAKE_CUDA_ARCHITECTURES=75;90' "
        "python -m pip install --no-cache-dir 'llama-cpp-python[server]==0.3.36')",
        A_COMMAND,
        "uv_pip_install(numpy, uv_version=0.13.8)",
    ]
    on_a_cpu = chain({**spec, "gpu": [{"type": "none"}]}, {})
    assert on_a_cpu[0] == "from_registry(ubuntu:22.04, add_python=3.12)"
    assert not any("GGML_CUDA" in step for step in on_a_cpu)


def test_a_dockerfile_is_a_literal_in_the_app() -> None:
    text = 'FROM registry.acme.com/vllm:3\nRUN echo "it\'s"\n'
    want = wanted({**QWEN3, "image": {"dockerfile": "Dockerfile", "secret": "registry"}})
    facts = replace(ModelFacts(kind="hub"), dockerfile=text)
    app = resolve(want, facts)
    assert base_images(app.image) == ("registry.acme.com/vllm:3",)
    rendered = render(app).text
    assert 'DOCKERFILE: list[str] = [\n    "FROM registry.acme.com/vllm:3",\n' in rendered
    assert "modal.Image.from_dockerfile(" in rendered
    assert 'registry_secret=modal.Secret.from_name("registry")' in rendered
