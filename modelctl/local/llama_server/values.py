"""What may stand after a llama-server flag, and what is read out of it?"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

INT_MAX = 2**31 - 1


class RefusedError(Exception):
    """The command cannot run; the text is the whole sentence a person needs."""


@dataclass(frozen=True)
class Member:
    """One member of an enum of xllamacpp, named so that parsing works without xllamacpp."""

    enum: str
    name: str


@dataclass(frozen=True)
class Kind:
    """What a flag takes: how --help shows it, what it must be, and how its text is read."""

    shown: str
    wanted: str
    read: Callable[[str], Any]  # raises ValueError when the text is not what is wanted


def integer(low: int = -INT_MAX, high: int = INT_MAX) -> Kind:
    def read(text: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9]+", text) or not low <= int(text) <= high:
            raise ValueError
        return int(text)

    wanted = "a whole number"
    if low > -INT_MAX:
        wanted += f" of at least {low}" if high == INT_MAX else f" from {low} to {high}"
    return Kind("N", wanted, read)


def number(low: float) -> Kind:
    """A finite number above `low`."""

    def read(text: str) -> float:
        value = float(text)
        if not math.isfinite(value) or value <= low:
            raise ValueError
        return value

    return Kind("N", f"a number above {low:g}", read)


def one_of(choices: Mapping[str, Any], synonyms: Mapping[str, str] | None = None) -> Kind:
    spelled = {name: choices[meant] for name, meant in (synonyms or {}).items()} | dict(choices)

    def read(text: str) -> Any:
        if text not in spelled:
            raise ValueError
        return spelled[text]

    return Kind("|".join(choices), "one of " + ", ".join(choices), read)


def several_of(choices: Mapping[str, Any]) -> Kind:
    def read(text: str) -> list[Any]:
        names = text.split(",")
        if not set(names) <= set(choices):
            raise ValueError
        return [choices[name] for name in names]

    return Kind("NAME,...", "some of " + ", ".join(choices) + ", separated by commas", read)


def members(enum: str, names: Sequence[str], **renamed: str) -> dict[str, Any]:
    """An enum's members by llama-server's names: `q8_0` of ggml_type is GGML_TYPE_Q8_0."""
    suffixes = {name: name.upper().replace("-", "_").replace("+", "_") for name in names} | renamed
    return {name: Member(enum, f"{enum.upper()}_{suffix}") for name, suffix in suffixes.items()}


def read_slots(text: str) -> int:
    slots: int = integer(-1).read(text)
    if slots == 0:
        raise ValueError
    return slots


def read_layers(text: str) -> int:
    # -1 and -2 are what llama.cpp itself turns the two words into.
    return {"auto": -1, "all": -2}[text] if text in ("auto", "all") else integer().read(text)


def read_split(text: str) -> list[float]:
    shares = [float(share) for share in re.split(r"[,/]+", text)]
    if not all(math.isfinite(share) and share >= 0 for share in shares):
        raise ValueError
    return shares


def read_rows(text: str) -> list[str]:
    """Comma-separated values; a value in double quotes may hold a comma."""
    try:
        return [value for value in next(csv.reader([text])) if value]
    except csv.Error as error:
        # Without the text, which may be a key.
        raise RefusedError("a comma-separated value holds a line break.") from error


def read_names(text: str) -> list[str]:
    names = [name.strip() for name in read_rows(text) if name.strip()]
    if not names:
        raise ValueError
    return names


def read_keys(text: str) -> list[str]:
    keys = read_rows(text)
    if not keys:
        raise ValueError
    return keys


def read_template(text: str) -> str:
    try:
        return Path(text).read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError from error


def read_kwargs(text: str) -> dict[str, str]:
    given = json.loads(text)
    if not isinstance(given, dict):
        raise ValueError
    # llama.cpp keeps each value as JSON text.
    return {key: json.dumps(value, separators=(",", ":")) for key, value in given.items()}


def read_gguf(text: str) -> str:
    """llama.cpp would say the same in five lines of log, after its port was opened."""
    try:
        with Path(text).open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise RefusedError(f"cannot open the model file {text}: {error.strerror}.") from error
    if magic != b"GGUF":
        raise RefusedError(f"{text} is not a GGUF model file.")
    return text


def read_loras(text: str) -> list[tuple[str, float]]:
    return [(read_gguf(path), 1.0) for path in read_names(text)]


def read_scaled_loras(text: str) -> list[tuple[str, float]]:
    pairs = [item.split(":") for item in read_names(text)]
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError
    return [(read_gguf(path), float(scale)) for path, scale in pairs]


TEXT = Kind("TEXT", "a text", str)
KEYS = Kind("KEY,...", "at least one key", read_keys)
NAMES = Kind("NAME,...", "at least one name", read_names)
GGUF = Kind("FILE", "a GGUF file", read_gguf)
SLOTS = Kind("N", "a whole number of at least 1, or -1", read_slots)
LAYERS = Kind("N|auto|all", "a whole number, auto or all", read_layers)
SPLIT = Kind("N0,N1,...", "shares of at least 0, separated by commas", read_split)
FILE = Kind("FILE", "the path of a readable text file", read_template)
KWARGS = Kind("JSON", "a JSON object", read_kwargs)
LORA = Kind("FILE,...", "GGUF files separated by commas", read_loras)
SCALED_LORA = Kind("FILE:SCALE,...", "FILE:SCALE pairs separated by commas", read_scaled_loras)
SYNONYMS = {
    **{"enabled": "on", "true": "on", "1": "on"},
    **{"disabled": "off", "false": "off", "0": "off"},
}
ON_OFF = one_of({"on": True, "off": False}, SYNONYMS)
FLASH = one_of(
    members("llama_flash_attn_type", ["auto"], on="ENABLED", off="DISABLED"),
    SYNONYMS | {"-1": "auto"},
)
CACHE_TYPE = one_of(
    members(
        "ggml_type",
        ["f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1"],
    )
)
SPLIT_MODE = one_of(members("llama_split_mode", ["none", "layer", "row", "tensor"]))
LOAD_MODE = one_of(
    members("llama_load_mode", ["auto", "none", "mmap", "mlock", "mmap+mlock"], dio="DIRECT_IO")
)
POOLING = one_of(members("llama_pooling_type", ["none", "mean", "cls", "last", "rank"]))
REASONING_FORMAT = one_of(
    members("common_reasoning_format", ["none", "auto", "deepseek", "deepseek-legacy"])
)
ROPE_SCALING = one_of(members("llama_rope_scaling_type", ["none", "linear", "yarn"]))
SPECULATION = several_of(
    members(
        "common_speculative_type",
        [
            *("none", "draft-simple", "draft-eagle3", "draft-mtp", "draft-dflash", "draft-dspark"),
            *("ngram-simple", "ngram-map-k", "ngram-map-k4v", "ngram-mod", "ngram-cache"),
        ],
    )
)
