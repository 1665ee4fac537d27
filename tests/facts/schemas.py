"""What shape does each table of facts have? JSON Schema, one a table."""

from __future__ import annotations

from typing import Any

_DATE = {"type": ["string", "null"], "pattern": r"^\d{4}-\d{2}-\d{2}$"}
_TEXT = {"type": "string", "minLength": 1}
_CAPABILITY = {"type": ["string", "null"], "pattern": r"^\d+\.\d$"}
_POSITIVE = {"type": "number", "exclusiveMinimum": 0}
_SOURCED = {"source": _TEXT, "date": _DATE, "note": _TEXT}


def _row(fields: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    """A mapping with exactly these fields, and a source."""
    return {
        "type": "object",
        "properties": {**fields, **(optional or {}), **_SOURCED},
        "required": [*fields, "source", "date"],
        "additionalProperties": False,
    }


def _rows(row: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": row, "minProperties": 1}


def _table(**parts: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"about": _TEXT, **parts},
        "required": [*parts],
        "additionalProperties": False,
    }


_VERSION = {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2}
_NAMES = {"type": "array", "items": _TEXT, "minItems": 1, "uniqueItems": True}
_NEED = {"capability": _CAPABILITY, "native_from": _CAPABILITY}
_GPU = {
    "compute_capability": {"type": "string", "pattern": r"^\d+\.\d$"},
    "usable_gib": _POSITIVE,
    "smi_mib": {"type": ["integer", "null"]},
    "bandwidth_gbs": _POSITIVE,
    "bf16_tflops": {"type": ["number", "null"]},
    "fp8_tflops": {"type": ["number", "null"]},
    "usd_per_second": _POSITIVE,
    "max_count": {"enum": [4, 8]},
    "smi_names": _NAMES,
    "sources": _rows(_row({})),
}

_RUNNER = {"runner": {"enum": ["v1", "v2"]}}
_NUMBER = {"type": "number", "minimum": 0}
_COUNT = {"type": "integer", "minimum": 1}
_TRIPLE = {"type": "array", "items": _NUMBER, "minItems": 3, "maxItems": 3}


def _since(fields: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    """Rows by the first version that they are about."""
    return {
        "type": "array",
        "items": _row({"since": _VERSION, **fields}, {**_RUNNER, **(optional or {})}),
        "minItems": 1,
    }


SCHEMAS: dict[str, dict[str, Any]] = {
    "memory": _table(
        non_torch=_since({"one": _TRIPLE, "several": _TRIPLE}, {"apart": _TRIPLE}),
        compiled=_since(
            {"gib": _TRIPLE},
            {"text": _TRIPLE, "kept_tied": {"type": "boolean"}, "kept_on": _NAMES},
        ),
        runners=_since({"models": {"enum": ["all", "dense"]}}),
        unlinked_cards=_row({"names": _NAMES}),
        activation=_since(
            {
                **dict.fromkeys(("base", "logits", "hidden", "mlp", "low", "high"), _NUMBER),
                "workspace": {"type": "boolean"},
            }
        ),
        encoder=_since({"gib": _TRIPLE}),
        largest_picture=_since(
            {
                "kinds": _NAMES,
                "pixels": _COUNT,
                "video_pixels": _COUNT,
                "video_frames": _COUNT,
                "low": _NUMBER,
                "high": _NUMBER,
            }
        ),
        graphs=_since(
            {
                "counted": {"type": "boolean"},
                **dict.fromkeys(("base", "layer", "low", "high"), _NUMBER),
            }
        ),
        graphs_of_a_full_set={"type": "integer", "minimum": 1},
        largest_graph=_since(
            {"tokens": _COUNT}, {"cards": _NAMES, "model": _TEXT, "always": {"type": "boolean"}}
        ),
        largest_split=_since({"mib": {"type": ["integer", "null"]}}),
        mxfp4_padding=_since({"hidden": _COUNT, "width": _COUNT}, {"cards": _NAMES}),
        batches=_since(
            {
                "from_gib": _NUMBER,
                "sequences": _COUNT,
                "tokens": _COUNT,
            },
            {"whole_context": {"type": "boolean"}},
        ),
        whole_items=_since(
            {"kinds": _NAMES, "attention": _TEXT, "frames": _COUNT, "frame": _COUNT}
        ),
        small_batch_cards=_row({"names": _NAMES}),
        taken_by_the_driver=_row({"one": _POSITIVE, "several": _POSITIVE}),
    ),
    "gpus": _table(
        gpus=_rows(
            {
                "type": "object",
                "properties": {**_GPU, "fp16_tflops": _POSITIVE, "note": _TEXT},
                "required": [*_GPU],
                "additionalProperties": False,
            }
        ),
        choices=_rows(_row({"modal": _TEXT, "may_be": _NAMES})),
        spellings=_rows(_row({"means": _TEXT})),
        ambiguous=_rows(_row({"means": _TEXT})),
        clusters=_row({"rdma": _NAMES}),
        machine=_row({"usd_per_core_second": _POSITIVE, "usd_per_gib_second": _POSITIVE}),
    ),
    "quantization": _table(
        methods=_rows(_row({**_NEED, "family": {"type": ["string", "null"]}})),
        formats=_rows(_row({**_NEED, "what": _TEXT})),
        foreign=_rows(_row({"instead": {"type": "string"}})),
    ),
    "ggml_types": _rows(
        _row(
            {
                "id": {"type": "integer", "minimum": 0},
                "block": {"type": "integer", "minimum": 1},
                "bytes": {"type": "integer", "minimum": 1},
            }
        )
    ),
    "kv_cache": _table(
        types=_rows(
            _row(
                {"bits": {"enum": [4, 8, 16, 32]}},
                {"scale_bytes": _POSITIVE, "scale_group": _POSITIVE},
            )
        ),
        blocks=_row({"tokens": _POSITIVE, "latent": _POSITIVE, "latent_hybrid": _POSITIVE}),
        behaviours=_rows(_row({"since": _VERSION}, {"until": _VERSION})),
    ),
    "kv_types": _table(types=_rows(_row(_NEED))),
    "places": _table(
        clouds=_row({"names": _NAMES}),
        factors=_rows(_row({"factor": {"type": "number", "minimum": 1}})),
        areas=_rows(_row({"example": _TEXT})),
        container=_rows(_row({"most": _POSITIVE})),
        volume=_row({"gb_per_second_low": _POSITIVE, "gb_per_second_high": _POSITIVE}),
    ),
    "llama_architectures": _rows(
        _row(
            {
                "layers": {
                    "enum": [
                        *("full", "none", "state", "by-heads", "by-interval"),
                        *("both", "sliding", "chunked"),
                    ]
                }
            },
            {
                "period": {"type": "integer", "minimum": 2},
                "full_first": {"const": True},
                "rolls_back": {"const": True},
                "embeds": {"const": True},
                **{
                    name: {"type": "integer", "minimum": 1}
                    for name in ("window", "default_window", "only_with", "own_cache")
                },
            },
        )
    ),
    "llama_memory": _rows(_row({"gib": _POSITIVE, "low": _POSITIVE, "high": _POSITIVE})),
    "vllm_names": _rows(
        _row(
            {
                "tools": _NAMES,
                "reasoning": _NAMES,
                "quantization": _NAMES,
                "online": _NAMES,
                "deprecated": _NAMES,
                "kv_cache": _NAMES,
                "speculative": _NAMES,
                "lora_ranks": {"type": "array", "items": {"type": "integer"}},
                "gpu_only": _NAMES,
            },
            dict.fromkeys(
                (
                    *("no_float16", "mtp", "variables", "pooling", "unchunked", "attention", "mla"),
                    *(
                        "not_async",
                        "not_async_before",
                        "first_runner",
                        "second_runner",
                        "replayssm",
                    ),
                ),
                _NAMES,
            ),
        )
    ),
}
