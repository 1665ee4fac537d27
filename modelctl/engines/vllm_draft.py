"""Can vLLM guess ahead with the model's own layers, or with the draft that a spec names?

Read off vLLM 0.32: vllm/config/speculative.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from modelctl.diagnostics import Severity
from modelctl.engines.base import Finding, Setting
from modelctl.facts import vllm
from modelctl.resolved import Unknown
from modelctl.weights.config import inner, number

# Other kinds of drafts, which vLLM tells by their name or config and which keep words of their own.
_HEADS = ("eagle", "dflash", "dspark", "medusa", "speculator", "mtp", "assistant")
# What these flags say is not what the fields say, or the config is another.
_OTHERWISE = ("speculative-config", "spec-method", "spec-model", "hf-overrides", "hf-config-path")


def find(setting: Setting) -> Iterator[Finding]:
    image = setting.spec.image
    own = image and (image.packages or image.base or image.dockerfile or image.run)
    if own or any(name in _OTHERWISE for name in _flags(setting)):
        return
    yield from _own_layers(setting)
    yield from _same_words(setting)


def _own_layers(setting: Setting) -> Iterator[Finding]:
    said, config, names = (
        setting.spec.speculative,
        setting.model.config,
        vllm.names(setting.version),
    )
    if said is None or said.method != "mtp" or said.model is not None:
        return
    if isinstance(config, Unknown) or names is None or not names.mtp:
        return
    kinds = {*_kinds(config), *_kinds(inner(config))}
    if not kinds or kinds & names.mtp or _names_layers(config):
        return
    kind = config.get("model_type") or inner(config).get("model_type")
    yield Finding(
        ("speculative", "method"),
        Severity.ERROR,
        "engine/wrong-option",
        f"mtp guesses with layers of the model's own, and its config.json, of type {kind}, names "
        "none",
        "speculative: {method: ngram, tokens: 4}, or leave it out",
    )


def _same_words(setting: Setting) -> Iterator[Finding]:
    said = setting.spec.speculative
    if said is None or said.model is None or said.method not in (None, "draft_model"):
        return
    facts, target = setting.model.beside.get(said.model), setting.model.config
    if facts is None or isinstance(facts.config, Unknown) or isinstance(target, Unknown):
        return
    text = " ".join((said.model, *_kinds(facts.config), *facts.config)).lower()
    if any(word in text for word in _HEADS):
        return
    ours, theirs = number(target, "vocab_size"), number(facts.config, "vocab_size")
    if isinstance(ours, Unknown) or isinstance(theirs, Unknown) or ours == theirs:
        return
    yield Finding(
        ("speculative", "model"),
        Severity.ERROR,
        "engine/wrong-option",
        f"vLLM wants a draft with the model's vocabulary: the draft's vocab_size is {theirs}, the "
        f"model's {ours}",
        f"a smaller model of the same family whose vocab_size is {ours}, or "
        "speculative: {method: ngram, tokens: 4}",
    )


def _kinds(config: Mapping[str, Any]) -> list[str]:
    kind, architectures = config.get("model_type"), config.get("architectures")
    named = architectures if isinstance(architectures, list) else []
    return [word for word in (kind, *named) if isinstance(word, str)]


def _names_layers(config: Mapping[str, Any]) -> bool:
    """Whether any key, at any depth, speaks of such layers: a number of 0 or null says none."""
    for name, value in config.items():
        if isinstance(value, Mapping) and _names_layers(value):
            return True
        if value and ("mtp" in name.lower() or "nextn" in name.lower()):
            return True
    return False


def _flags(setting: Setting) -> Iterator[str]:
    backend = setting.spec.backend
    for args in (backend and backend.args, *(entry.args for entry in setting.spec.gpu or ())):
        for name in args or {}:
            yield name.lstrip("-").replace("_", "-").split(".")[0]
