"""Which names does a version of vLLM know? Asked of its own registries, written as a table.

    .engines/vllm/bin/python scripts/vllm_names.py

puts the installed version into modelctl/facts/data/vllm_names.json. `--package FOLDER --version N`
reads the Python sources in a folder instead: of a version that has no build for this machine, in
the environment of one that has.
"""

import argparse
import importlib
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

TABLE = Path(__file__).resolve().parent.parent / "modelctl" / "facts" / "data" / "vllm_names.json"

# A machine without a GPU refuses these, or has nothing that they could mean.
GPU_GROUPS = {
    "AttentionConfig",
    "CompilationConfig",
    "KernelConfig",
    "OffloadConfig",
    "ParallelConfig",
}
GPU_FLAGS = (
    "async-scheduling",
    "attention-config",
    "compilation-config",
    "enable-sleep-mode",
    "gpu-memory-utilization",
    "kernel-config",
    "kv-cache-dtype",
    "kv-cache-memory-bytes",
    "kv-offloading-backend",
    "kv-offloading-size",
    "kv-transfer-config",
    "load-format",
    "optimization-level",
    "performance-mode",
    "quantization",
    "quantization-config",
    "speculative-config",
)


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the table of a version's names.")
    parser.add_argument("--package", help="a folder with vLLM's Python sources")
    parser.add_argument("--version", help="their version")
    said = parser.parse_args()
    if said.package:
        sys.path.insert(0, said.package)
    version = said.version or module("vllm").__version__.split("+")[0]
    table = json.loads(TABLE.read_text(encoding="utf-8")) if TABLE.exists() else {}
    table[version] = {**table.get(version, {}), **names()}  # what no registry has was read by hand
    lines = [
        f" {json.dumps(key)}: {{\n" + ",\n".join(map(line, row.items())) + "\n }"
        for key, row in sorted(table.items())
    ]
    TABLE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def line(item: tuple[str, Any]) -> str:
    return f"  {json.dumps(item[0])}: {json.dumps(item[1])}"


def module(name: str) -> Any:
    return importlib.import_module(name)


def serving() -> Any:
    """Where this version keeps the arguments of `vllm serve`."""
    try:
        return module("vllm.entrypoints.common.cli_args")
    except ModuleNotFoundError:
        return module("vllm.entrypoints.launchers.cli_args")


def names() -> dict[str, Any]:
    methods = module("vllm.model_executor.layers.quantization")
    return {
        "source": "the registries and literals of vLLM's own sources",
        "date": datetime.now(UTC).date().isoformat(),
        "tools": sorted(module("vllm.tool_parsers").ToolParserManager.list_registered()),
        "reasoning": sorted(module("vllm.reasoning").ReasoningParserManager.list_registered()),
        "quantization": sorted(get_args(methods.QuantizationMethods)),
        "online": sorted(module("vllm.config.quantization")._ONLINE_SHORTHANDS),
        "deprecated": sorted(methods.DEPRECATED_QUANTIZATION_METHODS),
        "kv_cache": list(get_args(module("vllm.config.cache").CacheDType)),
        "speculative": sorted(get_args(module("vllm.config.speculative").SpeculativeMethod)),
        "lora_ranks": list(get_args(module("vllm.config.lora").MaxLoRARanks)),
        "gpu_only": gpu_only(),
        "pooling": sorted(models := pooling()),
        "attention": [
            *module("vllm.v1.attention.backends.registry").AttentionBackendEnum.__members__
        ],
        "unchunked": sorted(name for name, info in models.items() if unchunked(info)),
    }


def unchunked(info: Any) -> bool:
    """Whether a prompt is taken whole: `attn_type` of vllm/config/model.py."""
    return bool(info.default_seq_pooling_type == "CLS" or info.attn_type == "encoder_only")


def pooling() -> dict[str, Any]:
    """The architectures that give vectors or scores where no runner is named.

    As `_get_default_runner_type` of vllm/config/model.py decides. Those whose module needs a
    package that is not here are left out.
    """
    registry, config = module("vllm.model_executor.models.registry"), module("vllm.config.model")
    found = {}
    for name, (file, cls) in registry._VLLM_MODELS.items():
        if name.startswith("Transformers"):  # what stands in for any of them
            continue
        try:
            model = getattr(module(f"vllm.model_executor.models.{file}"), cls)
        except ImportError:
            continue
        info = registry._ModelInfo.from_model_cls(model)
        default = config.try_match_architecture_defaults(name)
        by_name = not info.is_text_generation_model and default and default[1][0] == "pooling"
        drafts = name in registry._SPECULATIVE_DECODING_MODELS
        if (info.is_pooling_model or by_name) and not drafts:
            found[name] = info
    return found


def gpu_only() -> list[str]:
    parser = module("vllm.utils.argparse_utils").FlexibleArgumentParser()
    parser = serving().make_arg_parser(parser)
    found = {
        option.removeprefix("--")
        for group in parser._action_groups
        if group.title in GPU_GROUPS
        for action in group._group_actions
        for option in action.option_strings
        if option.startswith("--") and not option.startswith("--no-")
    }
    return sorted(found.union(GPU_FLAGS))


if __name__ == "__main__":
    main()
