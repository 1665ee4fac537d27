"""Which engine does a process run, and with which words?"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath

from msgspec import Struct, field

from modelctl.importing.values import Called, Holes, Ref, Unread, Value

Word = str | Unread

_MODULES = {
    "vllm.entrypoints.openai.api_server": "vllm",
    "vllm.entrypoints.api_server": "vllm",
    "llama_cpp.server": "llama-cpp-python",
}
_OTHERS = {
    "sglang": "SGLang",
    "sglang.launch_server": "SGLang",
    "text-generation-launcher": "Text Generation Inference",
    "text-embeddings-router": "Text Embeddings Inference",
    "ollama": "Ollama",
    "trtllm-serve": "TensorRT-LLM",
    "lmdeploy": "LMDeploy",
    "tabbyapi": "TabbyAPI",
    "tritonserver": "Triton",
}
"""Engines that modelctl does not run, by the command or module that starts them."""
_ENDS = frozenset({"&&", "||", ";", "|", "&", ">", ">>", "<", "2>&1"})
_ASSIGNED = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)


class Command(Struct, frozen=True):
    """`server` is the engine's, "" for an engine that is none of ours, whose name is `other`.

    `words` follow the command; `variables` are set before it, as a shell does.
    """

    server: str
    words: tuple[Word, ...]
    line: int
    other: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)


def command_of(value: Value, line: int, holes: Holes) -> Command | None:
    """None for a process that is no engine."""
    for words in _commands(value, line, holes):
        found = _engine(words, line)
        if found is not None:
            return found
    return None


def _commands(value: Value, line: int, holes: Holes) -> Iterator[list[Word]]:
    if isinstance(value, str):
        yield from _shell(value, line, holes)
    elif isinstance(value, list):
        words = [_word(word, line, holes) for word in value]
        for index, word in enumerate(words[1:], 1):
            shell = isinstance(words[0], str) and PurePosixPath(words[0]).name in ("sh", "bash")
            if shell and word in ("-c", "-lc", "-ec") and len(words) > index + 1:
                text = value[index + 1]
                yield from _shell(text, line, holes) if isinstance(text, str) else ()
                return
        yield words


def _word(value: Value, line: int, holes: Holes) -> Word:
    match value:
        case str():
            return holes.read(value) or value
        case Ref(name="sys.executable"):
            return "python"
        case bool() | None:
            return Unread("a word of the command is no text", line)
        case int() | float():
            return str(value)
        case Unread():
            return value
        case Called(name=name, line=where):
            return Unread(f"{name}() is not read", where)
        case _:
            return Unread("a word of the command is no text", line)


def _shell(text: str, line: int, holes: Holes) -> Iterator[list[Word]]:
    lexer = shlex.shlex(text.replace("\\\n", " "), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        tokens = list(lexer)
    except ValueError:
        return
    words: list[Word] = []
    for token in [*tokens, ";"]:
        if token in _ENDS:
            if words:
                yield words
            words = []
        elif re.search(r"\$[A-Za-z_{(]", token):
            words.append(Unread(f"the shell puts {token} in", line))
        else:
            words.append(_word(token, line, holes))


def _engine(words: Sequence[Word], line: int) -> Command | None:
    variables: dict[str, str] = {}
    for index, word in enumerate(words):
        if not isinstance(word, str):
            continue
        name, after = PurePosixPath(word).name, list(words[index + 1 :])
        following = after[0] if after else ""
        if match := _ASSIGNED.fullmatch(word):
            variables[match[1]] = match[2]
        elif name == "vllm" and following == "serve":
            return Command("vllm", tuple(after[1:]), line, variables=variables)
        elif name in ("llama-server", "llama-cpp-python"):
            return Command(name, tuple(after), line, variables=variables)
        elif word == "-m" and isinstance(following, str) and following in _MODULES:
            return Command(_MODULES[following], tuple(after[1:]), line, variables=variables)
        elif word == "-m" and isinstance(following, str) and following in _OTHERS:
            return Command("", tuple(after[1:]), line, _OTHERS[following], variables)
        elif name in _OTHERS:
            return Command("", tuple(after), line, _OTHERS[name], variables)
    return None
