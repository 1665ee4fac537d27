"""Does this version of vLLM know the parsers, methods and types that a spec names?"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence

from modelctl.diagnostics import Severity
from modelctl.engines.base import Finding, Setting
from modelctl.facts import quantization, vllm
from modelctl.resolved import Unknown
from modelctl.spec.wanted import Path_

# These read a checkpoint that was quantized before; nothing can be quantized by them while loading.
_BEFORE = ("awq", "gptq", "compressed-tensors", "modelopt", "quark")
_NUMBERS = ("bfloat16", "float16", "float32")
# Where older checkpoints say how they were quantized, when config.json does not.
_OLDER = ("quantize_config.json", "quant_config.json", "hf_quant_config.json")


def find(setting: Setting) -> Iterator[Finding]:
    names = vllm.names(setting.version)
    if names is None:
        return  # that nothing of this version was checked is said once, by its own rule
    yield from _kv_cache(setting, names)
    spec = setting.spec
    said: tuple[tuple[Path_, str | None, Sequence[str], str, str], ...] = (
        (("tools",), spec.tools, names.tools, "tool parser", "tool-parser-plugin"),
        (
            ("reasoning",),
            spec.reasoning,
            names.reasoning,
            "reasoning parser",
            "reasoning-parser-plugin",
        ),
        (
            ("speculative", "method"),
            spec.speculative.method if spec.speculative else None,
            names.speculative,
            "speculative method",
            "",
        ),
    )
    for path, value, known, what, plugin in said:
        if value is not None and value not in known:
            yield _unknown(setting, path, what, value, known, plugin)
    yield from _quantization(setting, names)


def _kv_cache(setting: Setting, names: vllm.Names) -> Iterator[Finding]:
    spec = setting.spec
    asked: list[tuple[Path_, str | None]] = [(("kv_cache",), spec.kv_cache)]
    asked += [(("gpu", index, "kv_cache"), e.kv_cache) for index, e in enumerate(spec.gpu or ())]
    for path, kind in asked:
        if kind is not None and kind not in names.kv_cache:
            near = ["fp8"] if kind.startswith("q") else _near(kind, names.kv_cache)
            yield Finding(
                path,
                Severity.ERROR,
                "engine/wrong-option",
                f"vLLM has no KV cache of type {kind}",
                _either([*near, "auto"]),
                f"there are {', '.join(names.kv_cache)}",
            )
        elif kind == "fp8_e5m2" and _has_scales(setting):
            yield Finding(
                path,
                Severity.ERROR,
                "engine/wrong-option",
                "vLLM refuses a KV cache of type fp8_e5m2 for a checkpoint in FP8",
                "fp8 or auto",
            )


def _has_scales(setting: Setting) -> bool:
    """Whether vLLM looks for the cache's scales in the checkpoint (0.32: attention.py)."""
    own, config = setting.model.quantization, setting.model.config
    said = {} if isinstance(config, Unknown) else config.get("quantization_config")
    scheme = isinstance(said, Mapping) and bool(said.get("kv_cache_scheme"))
    return own == "fp8" or (own == "compressed-tensors" and scheme)


def _quantization(setting: Setting, names: vllm.Names) -> Iterator[Finding]:
    asked, own = setting.spec.quantization, setting.model.quantization
    path: Path_ = ("quantization",)
    if not isinstance(own, Unknown):
        yield from _foreign(setting, own)
    if asked is None or asked == "auto" or own in quantization.foreign():
        return
    if asked != own and asked not in names.quantization and _is_quantized(own):
        if not _may_have_plugins(setting):
            yield Finding(
                path,
                Severity.ERROR,
                "engine/wrong-option",
                f"vLLM {setting.version} has no quantization method {asked}, and the checkpoint "
                f"is quantized already, with {own}",
                "quantization: auto",
            )
    elif asked == "bitsandbytes":
        if not _may_have_plugins(setting):
            yield Finding(
                path,
                Severity.ERROR,
                "engine/wrong-option",
                "bitsandbytes is no part of vLLM since 0.28",
                "fp8_per_tensor, or image: {packages: [vllm-bnb-plugin]}",
            )
    elif asked not in names.quantization:
        online = [*names.online, "fp8"]
        yield _unknown(setting, path, "quantization method", asked, names.quantization, "", online)
    elif isinstance(own, Unknown):
        yield Finding(
            path,
            Severity.NOT_CHECKED,
            "engine/quantization",
            f"whether the checkpoint can be served as {asked}: {own.reason}",
        )
    elif own in _NUMBERS:
        older = any(file.path in _OLDER for file in setting.model.remote)
        if _family(asked) in _BEFORE and not older:
            yield Finding(
                path,
                Severity.ERROR,
                "engine/quantization",
                f"the checkpoint is {own}, and vLLM cannot make {asked} of it while loading",
                "quantization: fp8_per_tensor, or a checkpoint that was quantized before",
            )
    elif _another_family(asked, own, names):
        yield Finding(
            path,
            Severity.ERROR,
            "engine/quantization",
            f"the checkpoint is quantized with {own}, and vLLM cannot serve it as {asked}",
            "quantization: auto",
        )


def _foreign(setting: Setting, own: str) -> Iterator[Finding]:
    """A checkpoint in what vLLM never read, or reads no more."""
    said = quantization.foreign().get(own)
    if said is not None and not _may_have_plugins(setting):
        version = setting.version
        others = "the model as it was published, or one quantized with AWQ, GPTQ or FP8"
        yield Finding(
            ("model", "source"),
            Severity.ERROR,
            "engine/quantization",
            f"the checkpoint is quantized with {own}, and vLLM {version} does not read that",
            f"{said.instead}, or {others}" if said.instead else others,
        )


def _is_quantized(own: str | Unknown) -> bool:
    return not isinstance(own, Unknown) and own not in _NUMBERS


def _family(method: str) -> str:
    need = quantization.methods().get(method)
    return need.family if need else ""


def _another_family(asked: str, own: str, names: vllm.Names) -> bool:
    theirs = next((family for family in quantization.families() if own in family), None)
    ours = next((family for family in quantization.families() if asked in family), None)
    if theirs is None:
        return False
    if ours is None:  # what quantizes while loading wants a checkpoint that is not
        return asked in names.online and asked != "mxfp8"
    return ours is not theirs


def _unknown(
    setting: Setting,
    path: Path_,
    what: str,
    value: str,
    known: Sequence[str],
    plugin: str,
    likely: Sequence[str] | None = None,
) -> Finding:
    if _may_have_plugins(setting, plugin):
        return Finding(
            path,
            Severity.NOT_CHECKED,
            "engine/wrong-option",
            f"whether there is a {what} {value}: vLLM itself has none, a plugin may",
        )
    near = _near(value, known) or list(likely or ())
    return Finding(
        path,
        Severity.ERROR,
        "engine/wrong-option",
        f"vLLM {setting.version} has no {what} {value}",
        _either(near) if near else f"one of {', '.join(known)}",
        f"there are {', '.join(known)}",
    )


def _near(value: str, known: Sequence[str]) -> list[str]:
    near = difflib.get_close_matches(value, known, n=3, cutoff=0.5)
    return near or [name for name in known if name.startswith(value[:4])][:3]


def _may_have_plugins(setting: Setting, flag: str = "") -> bool:
    """Whether the image has more in it than vLLM, or a flag loads more."""
    image = setting.spec.image
    if image and (image.packages or image.base or image.dockerfile or image.run):
        return True
    said = [(setting.spec.backend and setting.spec.backend.args) or {}]
    said += [entry.args or {} for entry in setting.spec.gpu or ()]
    return any(name.lstrip("-") == flag for args in said for name in args)


def _either(words: Sequence[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last
