"""Does the model write text, where the spec's task is to generate?"""

from __future__ import annotations

from collections.abc import Iterator

from modelctl.engines.base import Finding, Setting
from modelctl.engines.finding import wrong
from modelctl.facts import vllm
from modelctl.facts.engines import engine_facts
from modelctl.facts.llama_architectures import architectures
from modelctl.resolved import Unknown

# What these flags of vLLM say, the checkpoint's own files do not.
_OTHERWISE = ("hf-overrides", "hf-config-path", "model-impl", "runner", "convert")
_RANKS = ("ForSequenceClassification", "ForRanking")
_VECTORS = "model: {task: embed}, or a model that writes text"
_SCORES = "model: {task: rerank}, or a model that writes text"


def of_vllm(setting: Setting) -> Iterator[Finding]:
    """vLLM starts such a model for /v1/embeddings or /score, and then has no route for a chat.

    Source: `_get_default_runner_type`, vllm/config/model.py, 0.32.0.
    """
    if setting.task != "generate" or _says_otherwise(setting):
        return
    names = vllm.nearest(setting.version, engine_facts("vllm").default)
    known = names.pooling or vllm.nearest("", engine_facts("vllm").default).pooling
    model = setting.model.architecture
    if isinstance(model, str) and model in known:
        ranks = model.endswith(_RANKS)
        what = "scores" if ranks else "vectors"
        yield _no_text(f"{model} gives {what}, and no text", _SCORES if ranks else _VECTORS)
    elif _is_sentence_transformer(setting):
        yield _no_text(
            "modules.json says that sentence-transformers made it for vectors, and vLLM serves it "
            "for nothing else",
            _VECTORS,
        )


def of_llama_cpp(setting: Setting) -> Iterator[Finding]:
    """Such an architecture keeps nothing of a request that a next token could follow from."""
    header = setting.model.header
    if setting.task != "generate" or isinstance(header, Unknown):
        return
    name = str(header.get("general.architecture"))
    row = architectures().get(name)
    if row is not None and row.embeds:
        yield _no_text(f"a model of the architecture {name} gives vectors, and no text", _VECTORS)


def _no_text(message: str, hint: str) -> Finding:
    return wrong(("model", "task"), "engine/no-text", message, hint)


def _says_otherwise(setting: Setting) -> bool:
    spec = setting.spec
    said = [(spec.backend and spec.backend.args) or {}]
    said += [entry.args or {} for entry in spec.gpu or ()]
    names = {name.lstrip("-").replace("_", "-") for args in said for name in args}
    return any(name.split(".")[0] in _OTHERWISE for name in names)


def _is_sentence_transformer(setting: Setting) -> bool:
    """A list of modules, among them one that pools: `get_pooling_config` of vLLM reads both."""
    paths = {file.path for file in setting.model.remote}
    return "modules.json" in paths and any(path.endswith("_Pooling/config.json") for path in paths)
