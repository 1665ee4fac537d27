"""Is this the text of a Python program? Size, encoding and syntax."""

from __future__ import annotations

import ast
import io
import tokenize
import warnings

from modelctl.diagnostics import Place, Rejected, error

LARGEST = 1_000_000
"""Bytes; no app of a model server has a tenth of it."""


def parsed(content: bytes, shown: str) -> ast.Module:
    """The program's tree. Raises Rejected with one sentence, at its line where it has one."""
    if len(content) > LARGEST:
        sentence = f"{shown} has {len(content):,} bytes; at most {LARGEST:,} are read"
        raise _wrong("import/too-large", sentence, "name the file that has the app in it", shown)
    text = _text(content, shown)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of their escape sequences, say
            return ast.parse(text)
    except SyntaxError as problem:
        line = problem.lineno or 1
        lines = text.splitlines()
        here = lines[line - 1] if line <= len(lines) else ""
        column = min(max(1, problem.offset or 1), len(here) + 1)
        raise Rejected(
            [
                error(
                    "import/syntax",
                    f"this is no Python: {problem.msg}",
                    hint="python -m py_compile FILE says the same",
                    place=Place(shown, line, column, 1, here if here.isprintable() else ""),
                )
            ]
        ) from problem
    except (ValueError, RecursionError, MemoryError) as problem:
        why = "it has a null byte in it" if isinstance(problem, ValueError) else "it nests too deep"
        raise _wrong(
            "import/syntax", f"this is no Python that can be read: {why}", "", shown
        ) from (problem)


def _text(content: bytes, shown: str) -> str:
    """As Python itself reads it: UTF-8, or what the first lines say."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
        return content.decode(encoding)
    except SyntaxError as problem:
        raise _wrong("import/encoding", f"Python cannot read this: {problem.msg}",
                     "save it as UTF-8", shown) from problem  # fmt: skip
    except UnicodeDecodeError as problem:
        line = content[: problem.start].count(b"\n") + 1
        raise _wrong("import/encoding", f"this is not {problem.encoding.upper()}",
                     "save it as UTF-8", shown, line) from problem  # fmt: skip


def _wrong(code: str, message: str, hint: str, shown: str, line: int = 1) -> Rejected:
    return Rejected([error(code, message, hint=hint, place=Place(shown, line))])
