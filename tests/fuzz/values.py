"""Which values may stand in a spec? Read off its models, some right and some that mean harm."""

from __future__ import annotations

from random import Random
from typing import Any, get_args, get_origin

from modelctl.spec.kinds import Kind, LeafKind, ListKind, NamedKind, ShapeKind, choices
from modelctl.spec.models import Spec
from modelctl.spec.project_models import Project
from tests.fuzz.pieces import HOSTILE

GOOD: dict[str, tuple[Any, ...]] = {
    "name": ("case", "a", "x1-b"),
    "source": ("hf://Qwen/Qwen3-8B", "../models/tiny.gguf", "../models/st",
        "volume://v/m.gguf", "s3://b/p", "gs://b/p", "hf://BAAI/bge-m3"),
    "type": ("H100", "L4", "L40S:2", "A100-80GB", "T4", "B200", "H200:8", "none", "A10G", "H100!"),
    "file": ("*.gguf", "*Q4_K_M.gguf"),
    "revision": ("main", "b968826d9c46dd6066d109eabc6255188de91218"),
    "chat_template": ("../chat.jinja", "../bad.jinja", "../missing.jinja"),
    "dockerfile": ("../Dockerfile", "../missing"),
    "base": ("registry.example.com/x:1", "ubuntu:24.04"),
    "version": ("0.32.0", "0.33.0", "b11312", "0.3.36", "0.1.0", "nightly", "b9000"),
    "quantization": ("auto", "fp8", "awq", "Q4_K_M", "bitsandbytes"),
    "kv_cache": ("auto", "fp8", "q8_0", "fp8_e4m3"),
    "method": ("ngram", "eagle3", "draft_model", "mtp"),
    "tools": ("hermes", "llama3_json"),
    "reasoning": ("qwen3", "deepseek_r1"),
    "region": ("us-east", "eu-west"),
    "cloud": ("aws", "gcp", "oci"),
    "python": ("3.12", "3.13"),
    "wave": ("tier=canary", "canary"),
    "until": ("2027-01-31", "2020-01-01", "2027-02-30"),
    "bucket": ("s3://b", "gs://b", "r2://b"),
    "endpoint": ("https://x.r2.cloudflarestorage.com",),
    "matches": ("Par.s", "(", "(a+)+$"),
    "modal_environment": ("main", "prod"),
}  # fmt: skip
KEYS: dict[str, tuple[str, ...]] = {
    "args": ("seed", "max-model-len", "threads", "enforce-eager", "lora", "tensor-parallel-size",
        "hf-overrides", "ctx-size", "no-mmap", "api-key", "port", "chat-template-kwargs"),
    "volumes": ("/data", "/models", "/", "/root", "/tmp/x"),
    "buckets": ("/archive", "/mnt/b"),
    "environments": ("prod", "staging", "local"),
    "backends": ("vllm", "llama.cpp"),
    "allow": ("fit/too-large", "context/of-entry", "x/y"),
    "rules": ("fit/too-large", "endpoint/open", "x/y"),
    "secrets": ("hub", "aws"),
    "env": ("A", "HF_TOKEN", "CUDA_VISIBLE_DEVICES", "PATH", "MODELCTL_PORT"),
    "labels": ("team", "tier"),
}  # fmt: skip


def document(dice: Random, what: str) -> dict[str, Any]:
    """A spec or a project file as data: `harm` of its values are not what its field takes."""
    harm = dice.choice((0.0, 0.0, 0.01, 0.05, 0.3))
    if what == "project":
        return {"project": "team", **_shape(ShapeKind(Project), dice, harm, dice.randint(0, 3), 0)}
    made = _shape(ShapeKind(Spec), dice, harm, dice.choice((0, 1, 2, 3, 5, 12)), 0)
    source = hostile(dice) if dice.random() < 0.05 else dice.choice(GOOD["source"])
    gpu = {"gpu": dice.choice(GOOD["type"])} if dice.random() < 0.8 else {}
    return {"name": "case", "model": source, **gpu, **made}


def hostile(dice: Random) -> Any:
    kind = dice.random()
    if kind < 0.75:
        return dice.choice(HOSTILE)
    if kind < 0.85:
        return dice.choice((None, True, False, 0, -1, 2**31, 2**63 - 1, 2**63, 10**40, 1e308, -0.0))
    if kind < 0.92:
        return [hostile(dice) for _ in range(dice.randint(0, 3))]
    return {dice.choice(HOSTILE): hostile(dice) for _ in range(dice.randint(0, 3))}


def _shape(kind: ShapeKind, dice: Random, harm: float, fields: int, depth: int) -> dict[str, Any]:
    names = list(kind.fields)
    chosen = dice.sample(names, min(fields, len(names)))
    return {name: _value(kind.fields[name], name, dice, harm, depth + 1) for name in chosen}


def _value(kind: Kind, field: str, dice: Random, harm: float, depth: int) -> Any:
    if dice.random() < harm:
        return hostile(dice)
    match kind:
        case ShapeKind():
            short = kind.short
            if short is not None and dice.random() < 0.4:
                return _value(kind.fields[short], short, dice, harm, depth)
            return _shape(kind, dice, harm, dice.randint(0, 4), depth)
        case NamedKind():
            keys = [_key(field, dice, harm) for _ in range(dice.randint(0, 3))]
            return {key: _value(kind.value, field, dice, harm, depth + 1) for key in keys}
        case ListKind():
            return [
                _value(kind.item, field, dice, harm, depth + 1) for _ in range(dice.randint(0, 3))
            ]
        case LeafKind():
            return _leaf(kind, field, dice)


def _key(field: str, dice: Random, harm: float) -> str:
    if dice.random() < harm:
        return dice.choice(HOSTILE)
    return dice.choice(KEYS.get(field, ("a", "b", "knows-paris")))


def _leaf(kind: LeafKind, field: str, dice: Random) -> Any:
    words = choices(kind)
    if words:
        return dice.choice(words)
    annotation = kind.annotation
    members = get_args(annotation) if get_origin(annotation) is not None else (annotation,)
    if int in members and str not in members and dice.random() < 0.05:
        return dice.choice((0, 1, 2**31, 2**53, 2**62))
    if bool in members and (str not in members or dice.random() < 0.3):
        return dice.random() < 0.5
    if "Duration" in repr(kind.metadata) or "read_duration" in repr(kind.metadata):
        return dice.choice(("90s", "5m", "2h", "0s", "1ms", "3d", "1.5h"))
    if "read_size" in repr(kind.metadata):
        return dice.choice(("16GiB", "512MiB", "1TiB", "0.5GiB", "100GB"))
    if float in members and str not in members:
        return dice.choice((0.5, 0.9, 1, 4, 7.5, 1e-9, 1e12))
    if int in members and (str not in members or dice.random() < 0.5):
        return dice.choice((1, 2, 3, 4, 8, 16, 512, 4096, 32768, 131072))
    return dice.choice(GOOD.get(field, ("a", "us-east", "x y")))
