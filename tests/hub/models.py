"""What does a model look like that is as small as one can be, and that engines still serve?

A Llama of two layers with random weights, a byte-level tokenizer, and an adapter for it: written by
hand, byte for byte the same everywhere.
"""

from __future__ import annotations

import json
import random
import struct
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Shape:
    """How large a Llama is: widths, and how many of each."""

    hidden: int
    inner: int
    layers: int
    heads: int
    kv_heads: int
    head: int


TINY = Shape(hidden=128, inner=256, layers=2, heads=4, kv_heads=2, head=32)
SMOLLM2 = Shape(hidden=576, inner=1536, layers=30, heads=9, kv_heads=3, head=64)
"""SmolLM2-135M's but for its vocabulary: 106 million weights."""
CONTEXT, VOCABULARY = 2048, 512


def config(shape: Shape = TINY) -> Mapping[str, object]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
        "head_dim": shape.head,
        "hidden_act": "silu",
        "hidden_size": shape.hidden,
        "initializer_range": 0.02,
        "intermediate_size": shape.inner,
        "max_position_embeddings": CONTEXT,
        "mlp_bias": False,
        "num_attention_heads": shape.heads,
        "num_hidden_layers": shape.layers,
        "num_key_value_heads": shape.kv_heads,
        "rms_norm_eps": 1e-05,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "vocab_size": VOCABULARY,
    }


CONFIG = config()
_CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
_SPECIAL = ("<pad>", "<s>", "</s>")
_PAIRED = "etaoinsrhldcumfp"


def make_llama(folder: Path, *, shape: Shape = TINY, seed: int = 0, weights_in: int = 1) -> Path:
    """A model's folder, as a repository of the Hub has it; about 1 MB. Returns the folder.

    `weights_in` is the number of files that the weights are split into, with an index beside them.
    """
    shapes = dict(_shapes(shape))
    _write(folder, "config.json", config(shape))
    _write(folder, "generation_config.json", {"bos_token_id": 1, "eos_token_id": 2})
    _write(folder, "tokenizer.json", tokenizer())
    _write(
        folder,
        "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": "<s>",
            "eos_token": "</s>",
            "pad_token": "<pad>",
            "model_max_length": CONTEXT,
            "clean_up_tokenization_spaces": False,
            "chat_template": _CHAT_TEMPLATE,
        },
    )
    _write(
        folder,
        "special_tokens_map.json",
        {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"},
    )
    (folder / "README.md").write_text("# Two layers of noise\n")
    if weights_in == 1:
        (folder / "model.safetensors").write_bytes(safetensors(shapes, seed))
        return folder
    names = list(shapes)
    where: dict[str, str] = {}
    for number in range(weights_in):
        file = f"model-{number + 1:05}-of-{weights_in:05}.safetensors"
        part = {name: shapes[name] for name in names[number::weights_in]}
        (folder / file).write_bytes(safetensors(part, seed))
        where |= dict.fromkeys(part, file)
    _write(folder, "model.safetensors.index.json", {"metadata": {}, "weight_map": where})
    return folder


def make_adapter(folder: Path, *, rank: int = 8, seed: int = 1) -> Path:
    """A LoRA adapter for that model, strong enough to change what it says."""
    _write(
        folder,
        "adapter_config.json",
        {
            "base_model_name_or_path": "tiny",
            "bias": "none",
            "lora_alpha": 64,
            "lora_dropout": 0.0,
            "peft_type": "LORA",
            "r": rank,
            "target_modules": ["q_proj", "v_proj"],
            "task_type": "CAUSAL_LM",
            "inference_mode": True,
        },
    )
    shapes = {}
    for layer in range(TINY.layers):
        for name, out in (
            ("q_proj", TINY.heads * TINY.head),
            ("v_proj", TINY.kv_heads * TINY.head),
        ):
            stem = f"base_model.model.model.layers.{layer}.self_attn.{name}"
            shapes[f"{stem}.lora_A.weight"] = (rank, TINY.hidden)
            shapes[f"{stem}.lora_B.weight"] = (out, rank)
    (folder / "adapter_model.safetensors").write_bytes(safetensors(shapes, seed, spread=0.5))
    return folder


def safetensors(shapes: Mapping[str, tuple[int, ...]], seed: int, *, spread: float = 0.1) -> bytes:
    """Tensors of bfloat16 noise in the format of safetensors; those named norm are ones."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    data = bytearray()
    for name, shape in shapes.items():
        count = 1
        for side in shape:
            count *= side
        begin = len(data)
        data += _ones(count) if "norm" in name else _noise(count, f"{seed} {name}", spread)
        header[name] = {
            "dtype": "BF16",
            "shape": list(shape),
            "data_offsets": [begin, len(data)],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + bytes(data)


def tokenizer() -> dict[str, object]:
    """A byte-level BPE of 512 tokens: three special ones, the bytes, and pairs of letters."""
    alphabet = list(_bytes_as_letters().values())
    pairs = [(a, b) for a in _PAIRED for b in _PAIRED][: VOCABULARY - len(_SPECIAL) - 256]
    words = [*_SPECIAL, *alphabet, *(a + b for a, b in pairs)]
    byte_level = {"add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": number,
                "content": word,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
            for number, word in enumerate(_SPECIAL)
        ],
        "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", **byte_level},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", **byte_level},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {word: number for number, word in enumerate(words)},
            "merges": [f"{a} {b}" for a, b in pairs],
        },
    }


def _shapes(shape: Shape) -> Iterator[tuple[str, tuple[int, ...]]]:
    queries, values = shape.heads * shape.head, shape.kv_heads * shape.head
    yield "model.embed_tokens.weight", (VOCABULARY, shape.hidden)
    for layer in range(shape.layers):
        stem = f"model.layers.{layer}"
        yield f"{stem}.input_layernorm.weight", (shape.hidden,)
        yield f"{stem}.self_attn.q_proj.weight", (queries, shape.hidden)
        yield f"{stem}.self_attn.k_proj.weight", (values, shape.hidden)
        yield f"{stem}.self_attn.v_proj.weight", (values, shape.hidden)
        yield f"{stem}.self_attn.o_proj.weight", (shape.hidden, queries)
        yield f"{stem}.post_attention_layernorm.weight", (shape.hidden,)
        yield f"{stem}.mlp.gate_proj.weight", (shape.inner, shape.hidden)
        yield f"{stem}.mlp.up_proj.weight", (shape.inner, shape.hidden)
        yield f"{stem}.mlp.down_proj.weight", (shape.hidden, shape.inner)
    yield "model.norm.weight", (shape.hidden,)
    yield "lm_head.weight", (VOCABULARY, shape.hidden)


_DRAWN = 2**17  # what is larger repeats itself, so that a large model is made in a second


def _noise(count: int, seed: str, spread: float) -> bytes:
    dice = random.Random(seed)
    drawn = array("f", (dice.uniform(-spread, spread) for _ in range(min(count, _DRAWN))))
    return (_bfloat16(drawn) * -(-count // _DRAWN))[: 2 * count]


def _ones(count: int) -> bytes:
    return _bfloat16(array("f", [1.0]) * count)


def _bfloat16(numbers: array[float]) -> bytes:
    """The upper half of each float32, which this machine has in little-endian order."""
    raw = numbers.tobytes()
    halves = bytearray(len(raw) // 2)
    halves[0::2], halves[1::2] = raw[2::4], raw[3::4]
    return bytes(halves)


def _bytes_as_letters() -> dict[int, str]:
    """Every byte as a visible letter, as GPT-2's tokenizer writes them."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in visible]
    letters = {byte: chr(byte) for byte in visible}
    letters |= {byte: chr(256 + number) for number, byte in enumerate(hidden)}
    return dict(sorted(letters.items()))


def _write(folder: Path, name: str, content: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(content, indent=1), encoding="utf-8")
