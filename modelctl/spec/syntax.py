"""What is wrong with this YAML? The parser's complaint, in words that name the way out."""

from __future__ import annotations

import yaml

from modelctl.diagnostics import Diagnostic, Place, error

_QUOTE_IT = "a value that begins with {} is written in quotes"
_CLOSE_IT = "a value that holds , [ ] { or } is written in quotes"

_SENTENCES: tuple[tuple[str, str, str], ...] = (
    (
        "expected a single document",
        "a second document begins here",
        "one file holds one spec: split it at ---",
    ),
    (
        "mapping values are not allowed",
        "a colon cannot stand here",
        "a value that holds a colon is written in quotes; or the indentation is wrong",
    ),
    (
        "could not find expected ':'",
        "a key without a colon, or a value that goes on unexpectedly",
        "write key: value",
    ),
    (
        "unexpected ':'",
        "a colon cannot stand here",
        "a value that holds a colon is written in quotes",
    ),
    ("cannot start any token", "this character cannot begin a value", "put the value in quotes"),
    ("unexpected end of stream", "the file ends inside quotes", "close the quotes"),
    ("unexpected document indicator", "--- stands inside quotes", "close the quotes"),
    ("undefined alias", "this alias names no anchor before it", _QUOTE_IT.format("*")),
    ("expected alphabetic", "a name is missing after & or *", _QUOTE_IT.format("& or *")),
    ("duplicate anchor", "this anchor is there already", "give it another name"),
    ("expected ',' or ']'", "this list is not closed: a comma or ] is missing", _CLOSE_IT),
    ("expected ',' or '}'", "this mapping is not closed: a comma or } is missing", _CLOSE_IT),
    (
        "did not find expected '-' indicator",
        "this line does not belong to the list above",
        "indent it as the other entries are",
    ),
    (
        "did not find expected key",
        "this does not belong to the mapping above",
        "indent it as its neighbours are, and close quotes and brackets",
    ),
    (
        "block sequence entries are not allowed",
        "a list entry (- ) cannot begin here",
        "put it on a line of its own",
    ),
    (
        "escape",
        "no such escape in double quotes",
        "write two backslashes for one, or use single quotes",
    ),
    (
        "did not find expected node content",
        "a value is missing here",
        _QUOTE_IT.format(", ] } or %"),
    ),
    ("directive", "a line that begins with % is a directive", "put the value in quotes"),
    ("tag", "this tag cannot be read", _QUOTE_IT.format("!")),
    (
        "<document start>",
        "this does not belong to what stands above",
        "a file is one mapping of key: value",
    ),
)
"""A part of what libyaml says, our sentence, our hint; the first row that fits is used."""


def syntax_problem(problem: yaml.MarkedYAMLError, file: str, lines: list[str]) -> Diagnostic:
    mark = problem.problem_mark or problem.context_mark
    line, column = (mark.line, mark.column) if mark else (0, 0)
    if line >= len(lines) or (line == len(lines) - 1 and not lines[line] and line > 0):
        line = len(lines) - 1
        while line > 0 and not lines[line].strip():
            line -= 1
        column = max(0, len(lines[line].rstrip()) - 1)
    text = lines[line]
    said = f"{problem.problem} {problem.context or ''}".lower()
    context = (problem.context or "").lower()
    place = Place(file, line + 1, column + 1, 1, text)
    if "flow" in context and "{{" in text:
        column = text.index("{{")
        return error(
            "spec/template-syntax", "modelctl does not expand templates",
            hint="write the value itself; what differs by environment goes under environments",
            place=Place(file, line + 1, column + 1, 2, text),
        )  # fmt: skip
    if "\t" in text[: column + 1] and not text[: column + 1].strip():
        tab = text.index("\t")
        return error(
            "yaml/tab", "a tab cannot indent YAML", hint="indent with spaces",
            place=Place(file, line + 1, tab + 1, 1, text),
        )  # fmt: skip
    if text[column : column + 1] == "\t":
        return error("yaml/tab", "a tab cannot stand here", hint="use spaces", place=place)
    for fragment, message, hint in _SENTENCES:
        if fragment in said:
            code = "yaml/several-documents" if "single document" in fragment else "yaml/syntax"
            return error(code, message, hint=hint, place=place)
    return error(
        "yaml/syntax",
        "this is not YAML",
        hint="check quotes, brackets and indentation",
        place=place,
    )
