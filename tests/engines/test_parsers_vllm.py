"""Does the real vLLM take every command line that a right spec becomes?"""

from __future__ import annotations

import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from modelctl.checks.arguments import value_problem
from modelctl.engines.args import joined, with_args
from modelctl.facts import vllm
from modelctl.facts.flags import FlagFact, FlagTable, flag_table
from tests.engines.command_lines import command_lines, place, right
from tests.engines.conftest import VllmParser
from tests.engines.spec_strategies import (
    COMMITS,
    FLOATS,
    INTEGERS,
    NAMES,
    Specs,
    arguments,
    gpus,
    is_free,
    some,
)
from tests.examples import examples
from tests.hub.models import CONTEXT, make_llama

pytestmark = pytest.mark.full

VERSION = "0.32.0"
"""The one that has a build for a CPU."""


def _table() -> FlagTable:
    found = flag_table("vllm", VERSION)
    assert found is not None
    return found


TABLE = _table()
FREE = [fact for fact in TABLE.flags if is_free(TABLE, fact)]

# Right by themselves, and refused beside what they contradict, or without what they need: another
# flag, a file, a repository, a variable, a device.
NEEDS_MORE = frozenset(
    {
        "chat-template",
        "data-parallel-multi-port-external-lb",
        "enable-auto-tool-choice",
        "enable-log-outputs",
        "grpc-port",
        "lora-modules",
        "mm-processor-device",
        "tokenizer",
    }
)
SAMPLES: dict[str | None, list[Any]] = {
    "str": ["x", "-x", "", "a b", '{"a": 1}'],
    "int": [1, 4096, "7"],
    "size": [1, "8K", "1.5g"],
    "float": [0.5, 1, "0.25"],
    None: [],
}
WRONG = [True, 1, 1.5, "x", "1 x", "{", [1, "x"], [], {"a": 1}, ["--x"], "no-such-choice"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_llama(tmp_path_factory.mktemp("tiny"))


def words(fact: FlagFact, value: object) -> list[str]:
    """`--flag value …` as an app has it."""
    ask: Any = SimpleNamespace(
        args={fact.name: value}, setting=SimpleNamespace(server="vllm", version=VERSION)
    )
    return [str(word) for flag in map(joined, with_args((), ask)) for word in flag]


def right_values(fact: FlagFact) -> list[Any]:
    if fact.kind in ("switch", "boolean"):
        return [True, False]
    if fact.kind == "json":
        return [{}, "{}", *(["x"] if fact.type == "str" else [])]
    one = list(fact.choices) or SAMPLES[fact.type]
    several = [[item for item in one if not str(item).startswith("-")][:2]]
    return [
        *one,
        *([True] if fact.bare else []),
        *(several if fact.kind in ("values", "repeated") else []),
    ]


def test_each_flag_takes_what_the_table_says_that_it_takes(
    vllm_parser: VllmParser, tiny: Path
) -> None:
    refused = []
    for fact in FREE:
        for value in right_values(fact) if fact.name not in NEEDS_MORE else ():
            assert value_problem(fact, value, TABLE.separator) is None, (fact.name, value)
            argv = ["vllm", "serve", str(tiny), *words(fact, value)]
            refused += [(argv[3:], said)] if (said := vllm_parser.answer(argv, "engine")) else []
    assert refused == []


def test_each_flag_refuses_what_the_table_says_is_wrong(
    vllm_parser: VllmParser, tiny: Path
) -> None:
    taken = []
    for fact, value in itertools.product(FREE, WRONG):
        if value_problem(fact, value, TABLE.separator) and not _is_only_useless(fact, value):
            flag = [f"--{fact.name}={value}"] if _stands_alone(fact) else words(fact, value)
            said = vllm_parser.answer(["vllm", "serve", str(tiny), *flag], "parsed")
            taken += [] if said else [flag]
    assert taken == []


def _stands_alone(fact: FlagFact) -> bool:
    return fact.kind in ("switch", "boolean")


def _is_only_useless(fact: FlagFact, value: object) -> bool:
    """The parser takes it and it does no good: nothing at all, `true` as a text, a number as a
    document, one flag several times, of which the last is kept."""
    return (
        value == []
        or (value is True and fact.kind != "json")
        or (fact.kind == "json" and isinstance(value, int | float))
        or (fact.kind == "value" and isinstance(value, list))
    )


NAMED = vllm.nearest(VERSION, VERSION)
SOURCES = st.sampled_from(["hf://org/model", "volume://shelf/model", "volume://shelf", "s3://b/m"])
ADAPTERS = st.dictionaries(
    NAMES,
    st.fixed_dictionaries(
        {"source": st.sampled_from(["hf://org/a", "volume://shelf/a", "hf://org/b"])},
        optional={"rank": st.integers(1, 512)},
    ),
    min_size=1,
    max_size=3,
)


def _model(source: str) -> Specs:
    return st.fixed_dictionaries(
        {"source": st.just(source)},
        optional={
            **({"revision": COMMITS} if source.startswith("hf:") else {}),
            "tokenizer": st.sampled_from(["hf://org/tokenizer", "volume://shelf/tokenizer"]),
            "served_as": st.lists(NAMES, min_size=1, max_size=3, unique=True),
            "task": st.sampled_from(["generate", "embed", "rerank"]),
            "trust_remote_code": st.booleans(),
            "adapters": ADAPTERS,
        },
    )


ARGS: Specs = arguments(TABLE, NEEDS_MORE)
KV_CACHES = st.sampled_from(NAMED.kv_cache)
SPECULATIVE: Specs = st.fixed_dictionaries(
    {"method": st.sampled_from(NAMED.speculative)},
    optional={
        "model": st.sampled_from(["hf://org/draft", "volume://shelf/draft"]),
        "tokens": st.integers(1, 16),
    },
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "backend": st.fixed_dictionaries({"name": st.just("vllm")}, optional={"args": ARGS}),
    "quantization": st.sampled_from(["auto", *NAMED.quantization, *NAMED.online]),
    "context": st.integers(1, 262144),
    "dtype": st.sampled_from(["auto", "bfloat16", "float16", "float32"]),
    "kv_cache": KV_CACHES,
    "max_sequences": st.integers(1, 1024),
    "max_batched_tokens": st.integers(1, 65536),
    "memory_utilization": FLOATS,
    "prefix_caching": st.booleans(),
    "speculative": SPECULATIVE,
    "tools": st.sampled_from(NAMED.tools),
    "reasoning": st.sampled_from(NAMED.reasoning),
    "compile": st.sampled_from(["full", "fast-boot"]),
    "multimodal": some(image=INTEGERS, video=INTEGERS, audio=st.just(0)),
    "concurrency": some(target=st.integers(1, 32), max=st.integers(32, 256)),
    "endpoint": some(drain=st.sampled_from(["0s", "10m"])),
}
ENTRY: dict[str, st.SearchStrategy[Any]] = {
    "kv_cache": KV_CACHES,
    "memory_utilization": FLOATS,
    "max_batched_tokens": st.integers(1, 65536),
}
MODELS = SOURCES.flatmap(_model)
NAME = st.just("chat")
ONE_HOST: Specs = st.fixed_dictionaries(
    {"name": NAME, "model": MODELS, "gpu": gpus(ARGS, **ENTRY, parallel=st.none())},
    optional=FIELDS,
)
A_SNAPSHOT: Specs = st.fixed_dictionaries(
    {
        "name": NAME,
        "model": MODELS,
        "gpu": st.just([{"type": "H100!"}]),
        "snapshot": st.just("gpu"),
    },
    optional=FIELDS,
)
MORE_HOSTS: Specs = st.fixed_dictionaries(
    {
        "name": NAME,
        "model": MODELS,
        "nodes": st.sampled_from([2, 4]),
        "gpu": gpus(ARGS, whole=True, **ENTRY),
    },
    optional={**FIELDS, "parallel": some(expert=st.booleans(), tensor=st.just(8))},
)
A_HOST: Specs = ONE_HOST | ONE_HOST | A_SNAPSHOT
SPECS: Specs = A_HOST | MORE_HOSTS
ROOTS = itertools.count()
SETTINGS = settings(deadline=None, suppress_health_check=list(HealthCheck))


@given(SPECS)
@settings(SETTINGS, max_examples=examples(400))
def test_every_right_spec_becomes_command_lines_that_vllm_takes(
    vllm_parser: VllmParser, tiny: Path, tmp_path_factory: pytest.TempPathFactory, spec: Any
) -> None:
    """The parser, its validation, and the engine's arguments; each GPU's and the CPU's."""
    found = right(spec)
    assume(found is not None)
    assert found is not None
    root = tmp_path_factory.getbasetemp() / f"root-{next(ROOTS)}"
    for key, argv in command_lines(found, root):
        place(argv, root, tiny)
        said = vllm_parser.answer(argv, "engine", dict(found.env))
        assert said is None, f"{key}: {argv}"


@given(A_HOST)
@settings(SETTINGS, max_examples=examples(60))
def test_on_a_cpu_they_become_a_configuration(
    vllm_configuration: VllmParser, tiny: Path, tmp_path_factory: pytest.TempPathFactory, spec: Any
) -> None:
    """As far as a start goes before weights are read, for a Llama as small as one can be."""
    spec = for_the_tiny_one(spec)
    found = right(spec)
    assume(found is not None)
    assert found is not None
    root = tmp_path_factory.getbasetemp() / f"root-{next(ROOTS)}"
    argv = dict(command_lines(found, root))["cpu"]
    place(argv, root, tiny)
    said = vllm_configuration.answer(argv, "config", dict(found.env))
    assert said is None, f"{argv}"


def for_the_tiny_one(spec: dict[str, Any]) -> dict[str, Any]:
    """Without what depends on the model: its length, a parser's words in its tokenizer, and flags
    of a person's own."""
    said = {key: value for key, value in spec.items() if key != "reasoning"}
    return {
        **said,
        "context": min(spec.get("context", CONTEXT), CONTEXT),
        "gpu": [{key: value for key, value in e.items() if key != "args"} for e in spec["gpu"]],
        "backend": {"name": "vllm"},
    }
