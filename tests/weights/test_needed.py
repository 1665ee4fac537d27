"""Which files of a repository are fetched, for which purpose?"""

from __future__ import annotations

from typing import Any

import pytest

from modelctl.resolved import RemoteFile, Selection, Unknown
from modelctl.weights.needed import Needed, lacks, needed
from modelctl.weights.sources import is_plain

MISTRAL = """config.json generation_config.json model-00001-of-00002.safetensors
    model-00002-of-00002.safetensors model.safetensors.index.json consolidated.safetensors
    params.json tokenizer.json tokenizer.model tokenizer.model.v3 tokenizer_config.json
    chat_template.jinja special_tokens_map.json original/consolidated.00.pth onnx/model.onnx
    pytorch_model.bin pytorch_model.bin.index.json modeling.py m.gguf training_args.bin"""
GGUF = """README.json Q4/m-Q4-00001-of-00002.gguf Q4/m-Q4-00002-of-00002.gguf m-Q8.gguf
    m-F16.gguf mmproj-m-F16.gguf"""


def chosen(listing: str, wanted: Selection) -> list[str]:
    return [file.path for file in found(listing, wanted).files]


def found(listing: str, wanted: Selection) -> Needed:
    return needed([RemoteFile(path, 1) for path in listing.split()], wanted)


def test_a_model_is_its_safetensors_with_all_that_stands_beside_them() -> None:
    assert chosen(MISTRAL, Selection("model", layout="hf")) == [
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer.model",
        "tokenizer.model.v3",
        "tokenizer_config.json",
    ]


THEIRS = ["consolidated.safetensors", "params.json"]
SMALL = ["config.json", "generation_config.json", "tekken.json"]
TEKKEN = """config.json generation_config.json tekken.json params.json consolidated.safetensors
    model-1.safetensors model.safetensors.index.json"""
HF = ["model-1.safetensors", "model.safetensors.index.json"]


@pytest.mark.parametrize(
    ("layout", "weights"),
    [("", THEIRS), ("mistral", THEIRS), ("hf", HF), ("both", [*THEIRS, *HF])],
)
def test_of_weights_that_are_there_twice_those_come_that_vllm_chooses(
    layout: Any, weights: list[str]
) -> None:
    assert chosen(TEKKEN, Selection("model", layout=layout)) == sorted(SMALL + weights)
    assert chosen(TEKKEN, Selection("draft", layout=layout)) == sorted(SMALL + weights)


def test_without_the_configuration_of_mistral_the_other_weights_come() -> None:
    both = "config.json consolidated.safetensors model.safetensors"
    assert chosen(both, Selection("model")) == ["config.json", "model.safetensors"]
    alone = "config.json consolidated.safetensors pytorch_model.bin"
    assert chosen(alone, Selection("model")) == ["config.json", "consolidated.safetensors"]
    other = "params.json model.safetensors"
    assert chosen(other, Selection("model")) == ["model.safetensors"]
    assert chosen(other, Selection("model", layout="mistral")) == other.split()[::-1]


@pytest.mark.parametrize(
    "path",
    [
        "",
        "../x.json",
        "a/../b.json",
        "/etc/x.json",
        "a//b.json",
        "./x.json",
        "a\\b.json",
        "a\x1fb.json",
        ".modelctl.json",
        ".modelctl.json.part",
        "sub/x.gguf.part",
    ],
)
def test_no_path_leaves_the_folder_or_is_one_of_ours(path: str) -> None:
    assert not is_plain(path)
    assert not needed([RemoteFile(path, 1)], Selection("model", remote_code=True)).files


def test_other_paths_are_taken_as_they_are() -> None:
    for path in (
        "a..b.json",
        "..a/b.json",
        "a b/ü.json",
        "x.part1of2.gguf",
        "1_Pooling/config.json",
    ):
        assert is_plain(path)


@pytest.mark.parametrize(
    ("listing", "purpose", "sentence"),
    [
        ("config.json model.safetensors", "model", ""),
        ("config.json pytorch_model.bin", "draft", ""),
        ("params.json consolidated.safetensors", "model", ""),
        ("tokenizer.json", "tokenizer", ""),
        ("adapter_config.json adapter_model.bin", "adapter", ""),
        (
            "config.json unet/model.safetensors x.pt",
            "model",
            "has no weights at its top (*.safetensors or *.bin): it has unet/model.safetensors, "
            "x.pt, config.json",
        ),
        (
            "sub/adapter_config.json adapter_model.safetensors",
            "adapter",
            "has no adapter_config.json at its top: it has adapter_model.safetensors, "
            "sub/adapter_config.json",
        ),
    ],
)
def test_what_a_repository_lacks_is_said_with_what_it_has(
    listing: str, purpose: Any, sentence: str
) -> None:
    assert lacks(listing.split(), Selection(purpose)) == sentence


def test_code_comes_only_where_it_may_run() -> None:
    assert "modeling.py" in chosen(MISTRAL, Selection("model", remote_code=True))


@pytest.mark.parametrize(
    ("listing", "weights"),
    [
        (
            "config.json pytorch_model-1.bin pytorch_model.bin.index.json training_args.bin",
            ["config.json", "pytorch_model-1.bin", "pytorch_model.bin.index.json"],
        ),
        (
            "params.json consolidated.safetensors tekken.json",
            ["consolidated.safetensors", "params.json", "tekken.json"],
        ),
        (
            "config.json modules.json 1_Pooling/config.json 2_Dense/model.safetensors "
            "model.safetensors onnx/model.onnx",
            [
                "1_Pooling/config.json",
                "2_Dense/model.safetensors",
                "config.json",
                "model.safetensors",
                "modules.json",
            ],
        ),
        (
            "0_Transformer/vocab.txt 0_Transformer/vocab.bpe 0_Transformer/spiece.model "
            "0_Transformer/pytorch_model.bin 0_Transformer/training_args.bin "
            "2_Dense/model.safetensors 2_Dense/pytorch_model.bin",
            [
                "0_Transformer/pytorch_model.bin",
                "0_Transformer/spiece.model",
                "0_Transformer/vocab.bpe",
                "0_Transformer/vocab.txt",
                "2_Dense/model.safetensors",
            ],
        ),
    ],
)
def test_other_layouts(listing: str, weights: list[str]) -> None:
    assert chosen(listing, Selection("model")) == weights


def test_a_tokenizer_comes_without_weights_and_an_adapter_without_a_tokenizer() -> None:
    assert not [p for p in chosen(MISTRAL, Selection("tokenizer")) if "safetensors" in p]
    adapter = "adapter_config.json adapter_model.safetensors tokenizer.json optimizer.bin"
    assert chosen(adapter, Selection("adapter")) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    older = "adapter_config.json adapter_model.bin README.json"
    assert chosen(older, Selection("adapter")) == ["adapter_config.json", "adapter_model.bin"]


def test_a_gguf_comes_with_all_its_parts_and_its_projector() -> None:
    split = found(GGUF, Selection("gguf", "*Q4*"))
    assert split.first == "Q4/m-Q4-00001-of-00002.gguf"
    assert [file.path for file in split.files] == [
        "Q4/m-Q4-00001-of-00002.gguf",
        "Q4/m-Q4-00002-of-00002.gguf",
    ]
    assert chosen(GGUF, Selection("gguf", "*F16*", "mmproj*")) == [
        "m-F16.gguf",
        "mmproj-m-F16.gguf",
    ]


def test_a_glob_that_means_several_or_none_names_them() -> None:
    assert found(GGUF, Selection("gguf")).first == Unknown(
        "3 GGUF files match *.gguf: Q4/m-Q4-00001-of-00002.gguf, m-F16.gguf, m-Q8.gguf"
    )
    assert found(GGUF, Selection("gguf", "*Q5*")).first == Unknown(
        "no GGUF files match *Q5*: Q4/m-Q4-00001-of-00002.gguf, m-F16.gguf, m-Q8.gguf"
    )
    assert found("config.json", Selection("gguf")).first == Unknown("no GGUF files match *.gguf")
