"""What does a person read about a text that is not the YAML of a spec? The catalogue."""

# ruff: noqa: E501 - a sentence stands on one line, as its reader sees it
from __future__ import annotations

import pytest

from tests.spec.conftest import Says

CATALOGUE: dict[str, tuple[str | bytes, list[str]]] = {
    "an empty file": (
        "",
        [
            "1:1 error yaml/empty: this file is empty | a spec begins with name: and model:",
        ],
    ),
    "a file of comments": (
        "# hi\n",
        [
            "1:1 error yaml/empty: this file is empty | a spec begins with name: and model:",
        ],
    ),
    "a list": (
        "- a\n- b\n",
        [
            "1:1 error yaml/not-a-mapping: this file is a list; a spec is a mapping of fields | write key: value on each line",
        ],
    ),
    "a text": (
        "hello\n",
        [
            "1:1 error yaml/not-a-mapping: this file is only a text; a spec is a mapping of fields | write key: value on each line",
        ],
    ),
    "a number": (
        "42\n",
        [
            "1:1 error yaml/not-a-mapping: this file is only a text; a spec is a mapping of fields | write key: value on each line",
        ],
    ),
    "two documents": (
        "name: a\n---\nname: b\n",
        [
            "2:1 error yaml/several-documents: a second document begins here | one file holds one spec: split it at ---",
        ],
    ),
    "UTF-16": (
        "name: a\n".encode("utf-16"),
        [
            "1:1 error yaml/encoding: this file is UTF-16 or UTF-32 | save it as UTF-8",
        ],
    ),
    "UTF-16 without a mark": (
        b"n\x00a\x00m\x00e\x00:\x00 \x00a\x00b\x00c\x00\n\x00",
        [
            "1:1 error yaml/encoding: this file is UTF-16 or UTF-32 | save it as UTF-8",
        ],
    ),
    "a binary": (
        b"\x7fELF\x00\x01\xff\xfe" + b"\0" * 40,
        [
            "1:1 error yaml/encoding: this file is binary, not text | is it a spec at all?",
        ],
    ),
    "Latin-1": (
        b"name: caf\xe9\n",
        [
            "1:10 error yaml/encoding: byte 0xe9 is not UTF-8 | save the file as UTF-8",
        ],
    ),
    "a stray byte on line 2": (
        b"name: a\nmodel: \xff\n",
        [
            "2:8 error yaml/encoding: byte 0xff is not UTF-8 | save the file as UTF-8",
        ],
    ),
    "a bell": (
        "name: a\x07b\n",
        [
            "1:8 error yaml/control-character: an invisible control character (U+0007) stands here | take it away; in double quotes it can be written as an escape",
        ],
    ),
    "a terminal escape": (
        'name: "a\x1b[31m"\n',
        [
            "1:9 error yaml/control-character: an invisible control character (U+001B) stands here | take it away; in double quotes it can be written as an escape",
        ],
    ),
    "a direction override": (
        "name: a\u202eb\n",
        [
            "1:8 error yaml/control-character: an invisible control character (U+202E) stands here | take it away; in double quotes it can be written as an escape",
        ],
    ),
    "a tab as indentation": (
        "name: a\nscaling:\n\tmax: 3\n",
        [
            "3:1 error yaml/tab: a tab cannot indent YAML | indent with spaces",
        ],
    ),
    "a tab at the start": (
        "\tname: a\n",
        [
            "1:1 error yaml/tab: a tab cannot indent YAML | indent with spaces",
        ],
    ),
    "a key twice": (
        "name: a\nmodel: hf://o/r\nname: b\n",
        [
            "3:1 error yaml/duplicate-key: name is here twice; the first is on line 1 | keep one of them",
        ],
    ),
    "a key twice in braces": (
        "name: a\nmodel: hf://o/r\nscaling: {max: 1, max: 2}\n",
        [
            "3:19 error yaml/duplicate-key: max is here twice; the first is on line 3 | keep one of them",
        ],
    ),
    "an alias of itself": (
        "name: a\nlabels: &l {a: *l}\n",
        [
            "2:9 error yaml/recursive-alias: this alias contains itself | write out what is meant",
        ],
    ),
    "a tag that would run code": (
        "name: !!python/object/apply:os.system [id]\n",
        [
            "1:1 error spec/missing: model is missing | write model: hf://org/repo, or ./path",
            "1:7 error yaml/tag: the tag !!python/object/apply:os.system is not allowed; nothing in a spec is run | take the tag away; quotes make a value text",
        ],
    ),
    "a tag of one's own": (
        "name: !secret a\n",
        [
            "1:1 error spec/missing: model is missing | write model: hf://org/repo, or ./path",
            "1:7 error yaml/tag: the tag !secret is not allowed; nothing in a spec is run | take the tag away; quotes make a value text",
        ],
    ),
    "a merge key": (
        "name: a\nmodel: hf://o/r\n<<: {context: 5}\n",
        [
            "3:1 error yaml/merge-key: merge keys (<<) are not supported | write the fields out, or put them under defaults in modelctl.yaml",
        ],
    ),
    "deep brackets": (
        "name: " + "[" * 100 + "]" * 100 + "\n",
        [
            "1:66 error yaml/too-deep: this is nested deeper than 60 levels | no field of a spec is",
        ],
    ),
    "a colon in a value": (
        "name: a: b\n",
        [
            "1:8 error yaml/syntax: a colon cannot stand here | a value that holds a colon is written in quotes; or the indentation is wrong",
        ],
    ),
    "an open quote": (
        "name: 'a\n",
        [
            "1:8 error yaml/syntax: the file ends inside quotes | close the quotes",
        ],
    ),
    "an open bracket": (
        "gpu: [H100\nname: a\n",
        [
            "2:5 error yaml/syntax: this list is not closed: a comma or ] is missing | a value that holds , [ ] { or } is written in quotes",
        ],
    ),
    "an open brace": (
        "scaling: {max: 3\nname: a\n",
        [
            "2:5 error yaml/syntax: this mapping is not closed: a comma or } is missing | a value that holds , [ ] { or } is written in quotes",
        ],
    ),
    "a star": (
        "model: *.gguf\n",
        [
            "1:9 error yaml/syntax: a name is missing after & or * | a value that begins with & or * is written in quotes",
        ],
    ),
    "an at sign": (
        "name: @a\n",
        [
            "1:7 error yaml/syntax: this character cannot begin a value | put the value in quotes",
        ],
    ),
    "a child of a text": (
        "name: a\n  model: b\n",
        [
            "2:8 error yaml/syntax: a colon cannot stand here | a value that holds a colon is written in quotes; or the indentation is wrong",
        ],
    ),
    "odd indentation": (
        "scaling:\n  max: 3\n buffer: 1\n",
        [
            "3:2 error yaml/syntax: this does not belong to the mapping above | indent it as its neighbours are, and close quotes and brackets",
        ],
    ),
    "a bad escape": (
        'name: "\\q"\n',
        [
            "1:8 error yaml/syntax: no such escape in double quotes | write two backslashes for one, or use single quotes",
        ],
    ),
    "a percent sign": (
        "env: {A: %x}\n",
        [
            "1:10 error yaml/syntax: this character cannot begin a value | put the value in quotes",
        ],
    ),
    "no colon": (
        "name: a\nmodel\n",
        [
            "2:5 error yaml/syntax: a key without a colon, or a value that goes on unexpectedly | write key: value",
        ],
    ),
    "a list as a key": (
        "? [a, b]\n: c\n",
        [
            "1:1 error spec/missing: model is missing | write model: hf://org/repo, or ./path",
            "1:1 error spec/missing: name is missing | write name: x",
            "1:3 error yaml/key: a key is a text, not a list or a mapping",
        ],
    ),
    "an empty key": (
        ": a\n",
        [
            "1:1 error yaml/syntax: this does not belong to the mapping above | indent it as its neighbours are, and close quotes and brackets",
        ],
    ),
    "infinity": (
        "name: a\nmodel: hf://o/r\ncpu: .inf\n",
        [
            "3:6 error yaml/number: .inf is not a number that can be worked with | another number, or quotes where it is meant as text",
        ],
    ),
    "a huge number": (
        "name: a\nmodel: hf://o/r\ncontext: " + "9" * 5000 + "\n",
        [
            "3:10 error yaml/number: this number does not fit 64 bits | another number, or quotes where it is meant as text",
        ],
    ),
    "a number past floats": (
        "name: a\nmodel: hf://o/r\ncpu: 1e999\n",
        [
            "3:6 error yaml/number: this number is too large | another number, or quotes where it is meant as text",
        ],
    ),
    "a template as name": (
        'name: "{{ 7*7 }}"\nmodel: hf://o/r\n',
        [
            "1:7 error spec/template-syntax: modelctl does not expand templates | write the value itself; what differs by environment goes under environments",
        ],
    ),
    "a template without quotes": (
        "name: {{ 7*7 }}\nmodel: hf://o/r\n",
        [
            "1:7 error spec/template-syntax: modelctl does not expand templates | write the value itself; what differs by environment goes under environments",
        ],
    ),
    "a template in a value": (
        "name: a\nmodel: 'hf://o/{% if x %}r{% endif %}'\n",
        [
            "2:8 error spec/template-syntax: modelctl does not expand templates | write the value itself; what differs by environment goes under environments",
        ],
    ),
    "Python in a name": (
        "name: \"x'); import os; os.system('id')#\"\nmodel: hf://o/r\n",
        [
            "1:7 error spec/name: a name has lower-case letters, digits and dashes; a quote is none of these | write x-import-os-os-system-id",
        ],
    ),
    "a leading zero": (
        "name: a\nmodel: hf://o/r\ncontext: 017\n",
        [
            '3:10 error yaml/ambiguous: 017 is 17 to some readers of YAML and 15 to others | write 15 or 17, or "017" for the text',
        ],
    ),
    "an octal": (
        "name: a\nmodel: hf://o/r\ncontext: 0o17\n",
        [
            '3:10 error yaml/ambiguous: 0o17 is 15 to some readers of YAML and text to others | write 15, or "0o17" for the text',
        ],
    ),
    "a leading zero, no octal": (
        "name: a\nmodel: hf://o/r\nenv: {PIN: 0999}\n",
        [
            '3:12 error yaml/ambiguous: 0999 is 999 to some readers of YAML and text to others | write 999, or "0999" for the text',
        ],
    ),
    "no and on": (
        "name: a\nmodel: hf://o/r\nenv: {A: no, B: On, C: y}\n",
        [
            '3:10 warning yaml/ambiguous: no is text here, and false to readers of YAML 1.1 | write "no" for the text, or false',
            '3:17 warning yaml/ambiguous: On is text here, and true to readers of YAML 1.1 | write "On" for the text, or true',
            '3:24 warning yaml/ambiguous: y is text here, and true to readers of YAML 1.1 | write "y" for the text, or true',
        ],
    ),
    "a time of day": (
        "name: a\nmodel: hf://o/r\nenv: {T: 12:30}\n",
        [
            '3:10 warning yaml/ambiguous: 12:30 is text here, and the number 750 to readers of YAML 1.1 | write "12:30" for the text',
        ],
    ),
    "underscores in a number": (
        "name: a\nmodel: hf://o/r\ncontext: 32_768\n",
        [
            "3:10 error spec/type: context wants a whole number of tokens; 32_768 is text | write 32768",
        ],
    ),
    "a tag that is none": (
        "name: !<> x\n",
        [
            "1:9 error yaml/syntax: this tag cannot be read | a value that begins with ! is written in quotes",
        ],
    ),
    "a byte order mark is fine": (
        b"\xef\xbb\xbfname: a\nmodel: hf://o/r\n",
        [],
    ),
    "Windows line ends": (
        "name: a\r\nmodel: hf://o/r\r\ncontxt: 4\r\n",
        [
            "3:1 error spec/unknown-field: no such field; did you mean context?",
        ],
    ),
    "below a block text": (
        "name: a\nmodel: hf://o/r\nchecks:\n  x:\n    prompt: |\n      a {{ b }}\n    wthin: 5s\n",
        [
            "7:5 error spec/unknown-field: no such field; did you mean within?",
        ],
    ),
    "an anchor twice": (
        "name: &a a\nmodel: &a hf://o/r\ncontxt: *a\n",
        [
            "2:8 error yaml/syntax: this anchor is there already | give it another name",
        ],
    ),
    "a document without content": (
        "--- >\n",
        [
            "1:1 error yaml/empty: this file is empty | a spec begins with name: and model:",
        ],
    ),
    "text after the end": (
        "name: a\n...\nfoo: b\n",
        [
            "3:1 error yaml/syntax: this does not belong to what stands above | a file is one mapping of key: value",
        ],
    ),
    "a tab after a colon is fine": (
        "name:\ta\nmodel: hf://o/r\n",
        [],
    ),
    "a tab after a dash": (
        "gpu:\n-\tH100\n",
        [
            "2:2 error yaml/tab: a tab cannot stand here | use spaces",
        ],
    ),
    "a tab under spaces": (
        "scaling:\n  max: 1\n\tbuffer: 2\n",
        [
            "3:1 error yaml/tab: a tab cannot indent YAML | indent with spaces",
        ],
    ),
}
"""A file's text, and what is said about it, at line and column."""


@pytest.mark.parametrize("case", CATALOGUE)
def test_text(says: Says, case: str) -> None:
    text, said = CATALOGUE[case]
    assert [one.removeprefix("x.yaml:") for one in says(text)] == said
