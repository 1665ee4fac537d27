"""How does a flag's value get into xllamacpp's CommonParams?"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from modelctl.local.llama_server.values import Member, RefusedError

# The expert weights of a mixture-of-experts layer: LLM_FFN_EXPS_REGEX of llama.cpp's common.h.
EXPERTS = r"\.ffn_(up|down|gate|gate_up)_(ch|)exps"


@dataclass(frozen=True)
class Engine:
    """xllamacpp and the CommonParams being filled."""

    library: Any
    params: Any

    def resolve(self, value: Any) -> Any:
        if isinstance(value, Member):
            return getattr(getattr(self.library, value.enum), value.name)
        return value


Apply = Callable[[Engine, Any], None]


def into(*attributes: str) -> Apply:
    """Set each of these attributes of CommonParams, dotted ones below it."""

    def apply(engine: Engine, value: Any) -> None:
        for attribute in attributes:
            *owners, name = attribute.split(".")
            target = engine.params
            for owner in owners:
                target = getattr(target, owner)
            setattr(target, name, engine.resolve(value))

    return apply


def threads_into(attribute: str) -> Apply:
    # As llama.cpp: anything below 1 means every processor.
    return lambda engine, value: into(attribute)(engine, value if value > 0 else os.cpu_count())


def inverse_into(attribute: str) -> Apply:
    return lambda engine, value: into(attribute)(engine, 1.0 / value)


def context_size(engine: Engine, value: int) -> None:
    engine.params.n_ctx = value
    if value == 0:
        # An explicit 0 asks for the model's whole length: fitting must not shorten it (UINT32_MAX).
        engine.params.fit_params_min_ctx = -1


def tensor_split(engine: Engine, value: list[float]) -> None:
    places = len(engine.params.tensor_split)
    if len(value) >= places:
        raise RefusedError(f"--tensor-split takes fewer than {places} shares, not {len(value)}.")
    engine.params.tensor_split = value + [0.0] * (places - len(value))


def experts_on_cpu(engine: Engine, layers: int | bool) -> None:
    patterns = (
        [EXPERTS] if layers is True else [rf"blk\.{layer}{EXPERTS}" for layer in range(layers)]
    )
    given = engine.params.tensor_buft_overrides
    engine.params.tensor_buft_overrides = ",".join(
        ([given] if given else []) + [pattern + "=CPU" for pattern in patterns]
    )


def aliases(engine: Engine, value: list[str]) -> None:
    engine.params.model_alias = engine.params.model_alias | set(value)


def api_keys(engine: Engine, value: list[str]) -> None:
    engine.params.api_keys = [*engine.params.api_keys, *value]


def reranking(engine: Engine, _: bool) -> None:
    into("embedding")(engine, True)
    into("pooling_type")(engine, Member("llama_pooling_type", "LLAMA_POOLING_TYPE_RANK"))


def loras(engine: Engine, value: list[tuple[str, float]]) -> None:
    info = engine.library.CommonAdapterLoraInfo
    given = [(adapter.path, adapter.scale) for adapter in engine.params.lora_adapters]
    engine.params.lora_adapters = [info(path, scale) for path, scale in given + value]


def template_kwargs(engine: Engine, value: dict[str, str]) -> None:
    engine.params.default_template_kwargs = engine.params.default_template_kwargs | value


def speculation(engine: Engine, value: list[Member]) -> None:
    types = [engine.resolve(member) for member in value]
    none = engine.resolve(Member("common_speculative_type", "COMMON_SPECULATIVE_TYPE_NONE"))
    # As llama.cpp: the types add to those given before, and `none` outweighs its neighbours.
    chosen = [none] if none in types else types
    engine.params.speculative.types = [*engine.params.speculative.types, *chosen]
