"""Do the real servers of llama.cpp take every command line that a right spec becomes?"""

from __future__ import annotations

import itertools
import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from modelctl.checks.arguments import value_problem
from modelctl.engines.args import joined, with_args
from modelctl.engines.llama_cpp_python import GGML_TYPES
from modelctl.engines.llama_server_rules import REASONING, SPECULATIVE
from modelctl.facts.engines import engine_facts
from modelctl.facts.flags import FlagFact, FlagTable, flag_table
from tests.engines.command_lines import command_lines, right
from tests.engines.conftest import made
from tests.engines.spec_strategies import NAMES, Specs, arguments, gpus, is_free, some
from tests.examples import examples
from tests.render.apps import GGUF, local_gguf

pytestmark = pytest.mark.full


def _table(server: str, product: str) -> FlagTable:
    found = flag_table(server, engine_facts(product).default)
    assert found is not None
    return found


SERVER = _table("llama-server", "llama.cpp")
PYTHON = _table("llama-cpp-python", "llama-cpp-python")

# A text of a form of its own, a file, a device or a server that has to be there, or no log to read.
NEEDS_MORE = frozenset(
    {
        "control-vector-layer-range",
        "control-vector-scaled",
        "cpu-mask",
        "cpu-mask-batch",
        "cpu-range",
        "cpu-range-batch",
        "device",
        "grammar-file",
        "json-schema-file",
        "log-disable",
        "log-file",
        "log-jsonl",
        "log-prompts-dir",
        "logit-bias",
        "lora-scaled",
        "mcp-servers-config",
        "mcp-servers-json",
        "media-path",
        "mmproj-device",
        "models-max",
        "override-kv",
        "override-tensor",
        "path",
        "rpc",
        "slot-save-path",
        "spec-draft-cpu-mask",
        "spec-draft-cpu-mask-batch",
        "spec-draft-cpu-range",
        "spec-draft-device",
        "spec-draft-override-tensor",
        "tools",
        "tools-runtime",
        "ui-config-file",
        "verbose",
        "verbosity",
        "video-ffmpeg-dir",
    }
)
SAMPLES: dict[str | None, list[Any]] = {
    "str": ["x", "a b"],
    "int": [1, "1"],
    "number": [1, "1"],
    "float": [0.5, 1],
    "bool": [True, False, "on"],
    None: [],
}
WRONG = [1, 1.5, "x", "{", [1, "x"], "no-such-choice"]
SETTINGS = settings(deadline=None, suppress_health_check=list(HealthCheck))


def words(table: FlagTable, fact: FlagFact, value: object) -> list[str]:
    """`--flag value …` as an app has it."""
    setting = SimpleNamespace(server=table.server, version=table.version)
    ask: Any = SimpleNamespace(args={fact.name: value}, setting=setting)
    said = with_args((), ask)
    flags = map(joined, said) if table is PYTHON else said
    return [str(word) for flag in flags for word in flag]


def right_values(fact: FlagFact) -> list[Any]:
    if fact.kind in ("switch", "boolean"):
        return [True, False]
    if fact.kind == "json":
        return [{}, '{"a": 1}']
    choices = [*fact.choices, *([True, False] if fact.turns else [])]
    one = choices or [*SAMPLES[fact.type], *fact.words]
    return [*one, *([one[:2]] if fact.kind == "values" else [])]


class LlamaServer:
    """The real llama-server, up to the point where it would load a model."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.binary = str(made("llama.cpp/llama-server"))

    def run(self, *words: str) -> tuple[int, str]:
        done = subprocess.run(
            [self.binary, *words], cwd=self.folder, capture_output=True, timeout=60, check=False
        )
        return done.returncode, (done.stdout + done.stderr).decode(errors="replace")

    def parses(self, words: list[str]) -> str | None:
        """None where every word was taken; --version ends it when its turn comes, which is last."""
        code, said = self.run(*words, "--version")
        return None if code == 0 else said

    def starts(self, words: list[str]) -> str | None:
        """None where it went on to a model that is not there, which is after all its checks."""
        _, said = self.run(*words)
        return None if "load_model: loading model" in said else said


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> LlamaServer:
    return LlamaServer(tmp_path_factory.mktemp("llama-server"))


FREE = [fact for fact in SERVER.flags if is_free(SERVER, fact) and fact.name not in NEEDS_MORE]


def test_it_is_the_build_of_the_table(server: LlamaServer) -> None:
    assert f"build {SERVER.version.removeprefix('b')}," in server.run("--version")[1]


def test_each_flag_takes_what_the_table_says_that_it_takes(server: LlamaServer) -> None:
    refused = []
    for fact in FREE:
        for value in right_values(fact):
            assert value_problem(fact, value, SERVER.separator) is None, (fact.name, value)
            flag = words(SERVER, fact, value)
            refused += [(flag, said)] if (said := server.parses(flag)) else []
    assert refused == []


def test_each_flag_refuses_what_the_table_says_is_wrong(server: LlamaServer) -> None:
    taken = []
    for fact, value in itertools.product(FREE, WRONG):
        if value_problem(fact, value, SERVER.separator) and not _is_only_useless(fact, value):
            alone = fact.kind in ("switch", "boolean")
            flag = [f"--{fact.name}", str(value)] if alone else words(SERVER, fact, value)
            taken += [] if server.parses(flag) else [flag]
    assert taken == []


def _is_only_useless(fact: FlagFact, value: object) -> bool:
    """The parser takes it and it does no good: the last of several, a number as a document, half
    of one for a whole."""
    return (
        isinstance(value, list)
        or (fact.kind == "json" and isinstance(value, int | float))
        or value == 1.5
    )


COMMON: dict[str, st.SearchStrategy[Any]] = {
    "context": st.integers(1, 8192),
    "kv_cache": st.sampled_from(["auto", *GGML_TYPES]),
    "concurrency": some(max=st.integers(1, 64)),
    "cpu": st.floats(0.5, 16),
    "endpoint": some(drain=st.sampled_from(["0s", "10m"])),
}
MODEL: Specs = st.fixed_dictionaries(
    {"source": st.just(f"../models/{GGUF}")},
    optional={
        "served_as": st.lists(NAMES, min_size=1, max_size=2, unique=True),
        "task": st.sampled_from(["generate", "embed", "rerank"]),
        "adapters": st.dictionaries(
            st.sampled_from(["one", "two"]),
            st.fixed_dictionaries({"source": st.sampled_from(["volume://shelf/a.gguf"])}),
            min_size=1,
            max_size=2,
        ),
    },
)
SERVER_ARGS: Specs = arguments(SERVER, NEEDS_MORE)
ENTRY = {
    "kv_cache": COMMON["kv_cache"],
    "max_sequences": st.integers(1, 64),
    "max_batched_tokens": st.integers(1, 4096),
}
ON_SERVER: Specs = st.fixed_dictionaries(
    {"name": st.just("chat"), "model": MODEL},
    optional={
        **COMMON,
        **ENTRY,
        "gpu": gpus(SERVER_ARGS, **ENTRY) | st.just([{"type": "none"}]),
        "backend": st.fixed_dictionaries(
            {"name": st.just("llama.cpp")}, optional={"args": SERVER_ARGS}
        ),
        "reasoning": st.sampled_from(REASONING),
        "prefix_caching": st.booleans(),
        "speculative": st.fixed_dictionaries(
            {"method": st.sampled_from([*SPECULATIVE])},
            optional={
                "model": st.just("volume://shelf/draft.gguf"),
                "tokens": st.integers(1, 16),
            },
        ),
    },
)


@given(ON_SERVER)
@settings(SETTINGS, max_examples=examples(300))
def test_every_right_spec_becomes_command_lines_that_llama_server_takes(
    server: LlamaServer, spec: Any
) -> None:
    found = right(spec, local_gguf())
    assume(found is not None)
    assert found is not None
    for key, argv in command_lines(found, server.folder):
        assert server.starts(argv[1:]) is None, f"{key}: {argv}"


PYTHON_ARGS: Specs = arguments(PYTHON)
ON_PYTHON: Specs = st.fixed_dictionaries(
    {
        "name": st.just("chat"),
        "model": MODEL,
        "backend": st.fixed_dictionaries(
            {"name": st.just("llama.cpp"), "server": st.just("llama-cpp-python")},
            optional={"args": PYTHON_ARGS},
        ),
    },
    optional={
        **COMMON,
        "gpu": gpus(PYTHON_ARGS, kv_cache=COMMON["kv_cache"]),
        "max_batched_tokens": st.integers(1, 4096),
        "prefix_caching": st.just(True),
        "speculative": st.fixed_dictionaries(
            {"method": st.just("ngram")}, optional={"tokens": st.integers(1, 16)}
        ),
    },
)
# The server's own parser and settings, asked one command line after another.
ASK = """
import argparse, contextlib, io, json, sys
from llama_cpp.server.cli import add_args_from_model, parse_model_from_args
from llama_cpp.server.settings import ModelSettings, ServerSettings, Settings
parser = argparse.ArgumentParser()
add_args_from_model(parser, Settings)
parser.add_argument("--config_file", type=str)
for line in sys.stdin:
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            args = parser.parse_args(json.loads(line))
            parse_model_from_args(ServerSettings, args)
            parse_model_from_args(ModelSettings, args)
        answer = None
    except SystemExit:
        answer = said.getvalue()
    except Exception as refused:
        answer = str(refused)
    print(json.dumps(answer), flush=True)
"""


class SettingsParser:
    """The real parser of llama-cpp-python's server."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def answer(self, words: list[str]) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


@pytest.fixture(scope="module")
def python_server() -> Any:
    process = subprocess.Popen(
        [str(made("llama-cpp-python/bin/python")), "-c", ASK],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield SettingsParser(process)
    process.kill()
    process.communicate()


def test_each_setting_takes_what_the_table_says_that_it_takes(
    python_server: SettingsParser,
) -> None:
    refused = []
    for fact in PYTHON.flags:
        for value in right_values(fact) if is_free(PYTHON, fact) else ():
            assert value_problem(fact, value, None) is None, (fact.name, value)
            flag = words(PYTHON, fact, value)
            said = python_server.answer(["--model", "x", *flag])
            refused += [(flag, said)] if said else []
    assert refused == []


@given(ON_PYTHON)
@settings(SETTINGS, max_examples=examples(300))
def test_every_right_spec_becomes_settings_of_llama_cpp_python(
    python_server: SettingsParser, spec: Any
) -> None:
    found = right(spec, local_gguf())
    assume(found is not None)
    assert found is not None
    for key, argv in command_lines(found, Path("/nowhere")):
        start = argv.index("--model")
        assert python_server.answer(argv[start:]) is None, f"{key}: {argv}"
