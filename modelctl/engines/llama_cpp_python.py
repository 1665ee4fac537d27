"""How does llama-cpp-python's server run? One request at a time; its flags are its settings."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from modelctl.engines.args import joined, with_args
from modelctl.engines.base import Ask
from modelctl.engines.gguf_files import projector
from modelctl.resolved import Flag
from modelctl.spec.models import Model

SERVER = "llama-cpp-python"

GGML_TYPES: Mapping[str, int] = {
    "f32": 0,
    "f16": 1,
    "q4_0": 2,
    "q4_1": 3,
    "q5_0": 6,
    "q5_1": 7,
    "q8_0": 8,
    "iq4_nl": 20,
    "bf16": 30,
}
"""What ggml.h calls the types of a KV cache."""

_NO_MODEL = Model.model_construct()


def flags(ask: Ask, context: int) -> tuple[Flag, ...]:
    """All flags but the model's and the address's, each with a value: there are no bare ones."""
    own: list[Flag] = [
        ("--model_alias", ask.setting.served_as[0]),
        ("--n_ctx", str(context)),
        ("--n_gpu_layers", "0" if ask.card is None else "-1"),
        # A request that came in would end the answer that is being streamed, with HTTP 200.
        ("--interrupt_requests", "false"),
        ("--flash_attn", "true"),
        ("--logits_all", "false"),  # otherwise context times vocabulary floats
        ("--use_mlock", "false"),
        *_batch(ask, context),
        *_model(ask),
    ]
    kind = GGML_TYPES.get(ask.kv_cache or "")
    if kind is not None:
        own += [("--type_k", str(kind)), ("--type_v", str(kind))]
    if ask.setting.cores is not None:
        # Its own default is what the machine has, of which a container has a part.
        cores = str(math.ceil(ask.setting.cores))
        own += [("--n_threads", cores), ("--n_threads_batch", cores)]
    if ask.count > 1 and ask.tensor:
        own.append(("--split_mode", "3"))
    return tuple(_one_word(flag) for flag in with_args(own, ask))


def _one_word(flag: Flag) -> Flag:
    """argparse knows a negative number for a value, and any other word with a dash for a flag."""
    return flag if re.fullmatch(r"-[0-9.]+", str(flag[-1])) else joined(flag)


def _batch(ask: Ask, context: int) -> list[Flag]:
    batch = ask.max_batched_tokens
    if ask.setting.task == "embed":
        batch = max(batch or 0, context)  # such a prompt is taken in one step or refused
    return [] if batch is None else [("--n_batch", str(batch)), ("--n_ubatch", str(batch))]


def _model(ask: Ask) -> list[Flag]:
    spec, model = ask.spec, ask.spec.model or _NO_MODEL
    own: list[Flag] = []
    for adapter in (model.adapters or {}).values():
        own.append(("--lora_path", ask.setting.rooted(adapter.source)))
    if model.mmproj is not None:
        own += [("--chat_format", "mtmd"), ("--clip_model_path", projector(ask.setting))]
    if ask.setting.task == "embed":
        own.append(("--embedding", "true"))
    if spec.speculative is not None:
        own.append(("--draft_model", "prompt-lookup-decoding"))
        if spec.speculative.tokens is not None:
            own.append(("--draft_model_num_pred_tokens", str(spec.speculative.tokens)))
    if spec.prefix_caching:
        own.append(("--cache", "true"))
    return own
