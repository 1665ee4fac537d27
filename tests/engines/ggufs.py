"""How are GGUF files for llama.cpp made that nobody publishes: parts of a model, an adapter?"""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

_OWN = ("GGUF.", "general.architecture")


def split(model: Path, into: Path, *, parts: int) -> list[Path]:
    """The same model in parts, `name-00001-of-0000N.gguf`, as llama-gguf-split writes them."""
    reader = gguf.GGUFReader(model)
    most = -(-len(reader.tensors) // parts)
    writer = gguf.GGUFWriter(into, "llama", split_max_tensors=most)
    for field in reader.fields.values():
        if not field.name.startswith(_OWN):
            kind, *inner = field.types
            writer.add_key_value(field.name, field.contents(), kind, inner[0] if inner else None)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return sorted(into.parent.glob(f"{into.stem}-*-of-*.gguf"))


def adapter(model: Path, into: Path, *, rank: int = 4, seed: int = 7) -> Path:
    """A LoRA of noise on every attention output: what it touches talks nonsense."""
    random = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(into, "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(rank))
    for tensor in gguf.GGUFReader(model).tensors:
        if tensor.name.endswith("attn_output.weight"):
            inputs, outputs = (int(size) for size in tensor.shape)
            for part, shape in (("a", (rank, inputs)), ("b", (outputs, rank))):
                noise = random.normal(0, 1, shape).astype(np.float32)
                writer.add_tensor(f"{tensor.name}.lora_{part}", noise)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return into
