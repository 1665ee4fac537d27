"""Wanted and Resolved built by hand, for tests that need no file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from modelctl.diagnostics import Place
from modelctl.resolve import resolve
from modelctl.resolved import LocalFile, Resolved
from modelctl.spec.models import Spec
from modelctl.spec.project_models import Project
from modelctl.spec.wanted import Path_, ProjectFile, Wanted
from modelctl.weights.facts import ModelFacts
from modelctl.weights.read import model_facts

SHA = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"


@dataclass(frozen=True)
class NoOrigins:
    """Every value stands in line 1."""

    those: frozenset[Path_] = field(default_factory=frozenset)

    def place(self, path: Path_, *, key: bool = False) -> Place:
        return Place("specs/test.yaml")

    def written(self, path: Path_) -> Path_:
        return path

    def said(self, path: Path_) -> bool:
        return path in self.those

    def layer(self, path: Path_) -> str:
        return "spec" if path in self.those else ""


def wanted(
    spec: dict[str, Any], *, root: Path = Path(), project: dict[str, Any] | None = None
) -> Wanted:
    """`spec` in its long form."""
    parsed = Spec.model_validate(spec)
    file = ProjectFile(
        root, None, Project.model_validate({"project": "examples", **(project or {})})
    )
    return Wanted(parsed.name or "test", "", root / "specs/test.yaml", file, parsed, NoOrigins())


def local_gguf(**facts: Any) -> ModelFacts:
    """A hashed GGUF file that need not be there."""
    return ModelFacts(
        **{
            "kind": "local",
            "format": "gguf",
            "root": Path("models") / GGUF,
            "files": (LocalFile(GGUF, 98362432, SHA),),
            "size": 98362432,
            "digest": SHA,
            "architecture": "llama",
            "context_length": 8192,
            "quantization": "Q4_1",
            **facts,
        }
    )


SMOLLM2: dict[str, Any] = {
    "name": "smollm2-135m",
    "model": {"source": f"../models/{GGUF}"},
    "backend": {"name": "llama.cpp"},
    "context": 2048,
    "gpu": [{"type": "L4"}, {"type": "T4"}],
    "max_sequences": 4,
    "concurrency": {"target": 4, "max": 16},
    "checks": {
        "knows-paris": {
            "messages": [{"role": "user", "content": "What is the capital of France?"}],
            "expect": {"contains": "Paris"},
            "max_tokens": 24,
        },
    },
}


def resolved(spec: dict[str, Any], model: ModelFacts | None = None) -> Resolved:
    want = wanted(spec)
    source = want.spec.model.source if want.spec.model else None
    facts = model or model_facts(source, want.file.parent, want.project.root, hashed=False)
    return resolve(want, facts)


QWEN3: dict[str, Any] = {
    "name": "qwen3-8b",
    "model": {
        "source": "hf://Qwen/Qwen3-8B",
        "revision": "b968826d9c46dd6066d109eabc6255188de91218",
    },
    "backend": {"name": "vllm"},
    "context": 32768,
    "gpu": [
        {"type": "H100"},
        {"type": "A100-80GB"},
        {"type": "L40S:2", "context": 16384},
    ],
    "keep_warm": 1,
    "tools": "hermes",
    "reasoning": "qwen3",
    "concurrency": {"target": 32, "max": 64},
    "allow": {"context/of-entry": {"reason": "a gateway cuts longer requests off"}},
}

VOLUME: dict[str, Any] = {
    "name": "llama-from-volume",
    "model": {
        "source": "volume://team-models/llama-3.1-8b/Q4_K_M.gguf",
        "served_as": ["llama-3.1-8b"],
    },
    "backend": {"name": "llama.cpp"},
    "context": 8192,
    "kv_cache": "q8_0",
    "max_sequences": 8,
    "gpu": [{"type": "L4"}, {"type": "A10G"}],
    "scaling": {"max": 2, "idle_timeout": "2m"},
    "concurrency": {"target": 6, "max": 16},
    "endpoint": {
        "auth": "api-key",
        "api_key": {"secret": "llama-key", "key": "LLAMA_KEY"},
        "compute_regions": ["us-east"],
        "drain": "0s",
    },
    "allow": {"endpoint/region-price": {"reason": "the data may not leave the region"}},
}

EMBED: dict[str, Any] = {
    "name": "embed-bge",
    "model": {"source": "hf://BAAI/bge-m3", "task": "embed"},
    "backend": {"name": "vllm"},
    "context": 8192,
    "dtype": "float16",
    "gpu": [{"type": "T4"}, {"type": "L4"}],
    "image": {"packages": ["numpy==2.4.0"], "apt": ["git"]},
    "secrets": {"hub": ["HF_TOKEN"]},
    "env": {"TOKENIZERS_PARALLELISM": "false"},
}

SNAPSHOT: dict[str, Any] = {
    **QWEN3,
    "gpu": [{"type": "H100!"}],
    "snapshot": "gpu",
    "kv_cache": "fp8",
    "max_sequences": 64,
    "compile": "fast-boot",
}

# As much as fits into one spec: a CPU, a snapshot, a bucket, a template, and people's own flags.
MUCH: dict[str, Any] = {
    "name": "much-at-once",
    "model": {"source": "s3://weights/llama", "file": "m.gguf", "secret": "aws", "task": "rerank"},
    "backend": {
        "name": "llama.cpp",
        "args": {"threads": 8, "batch-size": 512, "lora": ["/data/a"]},
    },
    "chat_template": "chat.jinja",
    "cpu": 7.5,
    "memory": "16GiB",
    "disk": "512GiB",
    "snapshot": "cpu",
    "scaling": {"max": 3, "buffer": 1, "idle_timeout": "90s", "scaleup_window": "15s"},
    "endpoint": {
        "auth": "none",
        "region": "eu-west",
        "compute_regions": ["eu-west", "eu-north"],
        "cloud": "aws",
        "nonpreemptible": True,
    },
    "image": {"base": "registry.example.com/llama:1", "secret": "registry", "python": "3.13"},
    "volumes": {"/data": {"name": "adapters", "read_only": True}, "/logs": {"name": "logs"}},
    "buckets": {"/archive": {"bucket": "archive", "prefix": "2026/", "secret": "aws"}},
    "secrets": {"one": ["A", "B"], "two": []},
    "env": {"LLAMA_LOG_COLORS": "off", "A_LONG_TEXT": "word " * 12},
    "labels": {"team": "search", "cost-centre": "1234"},
}


def own_dockerfile() -> Resolved:
    """An image of one's own, in a registry that asks for a key."""
    image = {"dockerfile": "Dockerfile", "secret": "registry", "packages": ["httpx==0.28.1"]}
    lines = [
        "FROM registry.acme.com/ml/vllm:3",
        "# What the text says is built as it stands.",
        'RUN echo "it\'s ours" > /etc/motd',
        "ENV HF_HUB_DISABLE_TELEMETRY=1",
    ]
    spec = {**EMBED, "name": "own-dockerfile", "image": image}
    facts = model_facts(EMBED["model"]["source"], Path("specs"), Path(), hashed=False)
    return resolve(wanted(spec), replace(facts, dockerfile="\n".join(lines)))


def much() -> Resolved:
    want = wanted(MUCH)
    facts = model_facts(MUCH["model"]["source"], Path("specs"), Path(), hashed=True)
    template = "{% for m in messages %}\n\t'{{ m.content }}' \"é\"\n{% endfor %}"
    return resolve(want, replace(facts, chat_template=template))
