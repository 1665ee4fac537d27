"""What stands in this file? Bytes into a tree of placed nodes, or a sentence why not."""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from modelctl.diagnostics import Diagnostic, Place, error
from modelctl.inside import LED_OUT, leads_out
from modelctl.masked import mask
from modelctl.spec.compose import compose
from modelctl.spec.quoting import quote
from modelctl.spec.tree import Mapping, Scalar, Sequence

LARGEST = 1_000_000
_CONTROL = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff\u202a-\u202e\u2066-\u2069]"
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_TAB_INDENT = re.compile(r"^ *\t[ \t]*(?=[^\s#])", re.MULTILINE)

SPEC = "a spec"
_BEGINS = {
    SPEC: "a spec begins with name: and model:",
    "a policy": "a policy has gpus, regions, images, auth or budget",
}
"""What a file should be → how one begins."""


class Source(Struct, frozen=True):
    """What was read. `tree` is None where the text could not be read as one mapping."""

    file: str
    tree: Mapping | None
    diagnostics: tuple[Diagnostic, ...]


def read(path: Path, shown: str, root: Path | None = None, *, kind: str = SPEC) -> Source:
    """The tree of the file at `path`, called `shown`. Never raises for bad input.

    A link that leads out of the project at `root` is not read. `kind` is what the file should be,
    as sentences name it.
    """

    def refused(code: str, message: str, hint: str = "") -> Source:
        return Source(shown, None, (error(code, message, hint=hint, place=Place(shown)),))

    try:
        if root is not None and leads_out(path, root):
            hint = "put the file itself there"
            return refused("yaml/unreadable", f"{quote(shown, 200)} {LED_OUT}", hint)
        state = path.stat()
        if stat.S_ISDIR(state.st_mode):
            return refused("yaml/unreadable", "this is a folder, not a file")
        if not stat.S_ISREG(state.st_mode):
            return refused("yaml/unreadable", "this is a device or a pipe, not a file")
        if state.st_size > LARGEST:
            return refused(
                "yaml/too-large",
                f"this file has {state.st_size / 1e6:,.1f} MB; {kind} has at most 1 MB",
                f"is it {kind} at all?",
            )
        with path.open("rb") as stream:
            content = stream.read(LARGEST + 1)
    except (OSError, ValueError) as problem:
        return refused("yaml/unreadable", _why(problem))
    if len(content) > LARGEST:
        return refused(
            "yaml/too-large",
            f"this file grows past 1 MB; {kind} has at most 1 MB",
            f"is it {kind} at all?",
        )
    return read_bytes(content, shown, kind)


def _why(problem: OSError | ValueError) -> str:
    number = problem.errno if isinstance(problem, OSError) else None
    return {
        errno.ENOENT: "there is no such file",
        errno.ENOTDIR: "there is no such file: a part of its path is a file, not a folder",
        errno.EACCES: "this file may not be read: permission denied",
        errno.EPERM: "this file may not be read: permission denied",
        errno.ELOOP: "this link leads to itself",
        errno.ENAMETOOLONG: "this file name is too long",
    }.get(number or 0, "this file cannot be read" + (f": {os.strerror(number)}" if number else ""))


def read_bytes(content: bytes, shown: str, kind: str = SPEC) -> Source:
    """The tree of a file's bytes."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff") or content[:4] == b"\x00\x00\xfe\xff":
        return _refused(shown, "yaml/encoding", "this file is UTF-16 or UTF-32", "save it as UTF-8")
    if (
        len(content) > 3
        and 0 in content[:4]
        and len(content.replace(b"\0", b"")) * 2 >= len(content) - 1
    ):
        return _refused(shown, "yaml/encoding", "this file is UTF-16 or UTF-32", "save it as UTF-8")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        if b"\0" in content[:8192]:
            return _refused(
                shown, "yaml/encoding", "this file is binary, not text", f"is it {kind} at all?"
            )
        before = content[: problem.start].decode("utf-8", "replace")
        start = before.rfind("\n") + 1
        rest = content[problem.start :].split(b"\n", 1)[0].decode("utf-8", "replace")
        place = Place(
            shown,
            before.count("\n") + 1,
            len(before) - start + 1,
            1,
            mask(before[start:] + rest).rstrip("\r"),
        )
        byte = content[problem.start]
        message = f"byte 0x{byte:02x} is not UTF-8"
        wrong = error("yaml/encoding", message, hint="save the file as UTF-8", place=place)
        return Source(shown, None, (wrong,))
    return read_text(text, shown, kind)


def read_text(text: str, shown: str, kind: str = SPEC) -> Source:
    """The tree of a text."""
    if len(text) > LARGEST:
        return _refused(
            shown, "yaml/too-large", "this text is longer than 1 MB", f"is it {kind} at all?"
        )
    bad = _CONTROL.search(text)
    if bad:
        if "\0" in text[:8192]:
            return _refused(
                shown, "yaml/encoding", "this file is binary, not text", f"is it {kind} at all?"
            )
        wrong = error(
            "yaml/control-character",
            f"an invisible control character (U+{ord(bad[0]):04X}) stands here",
            hint="take it away; in double quotes it can be written as an escape",
            place=_place(text, bad.start(), shown),
        )
        return Source(shown, None, (wrong,))
    if _SURROGATE.search(text):
        return _refused(shown, "yaml/encoding", "this text is not Unicode", "save it as UTF-8")
    tree, found = compose(text, shown)
    if kind != SPEC:  # a second spec can have a file of its own; nothing else can
        one = f"{kind} is one document: take away the line --- and what is not meant"
        found = [replace(d, hint=one) if d.code == "yaml/several-documents" else d for d in found]
    if tree is None:
        if not found:
            return _refused(shown, "yaml/empty", "this file is empty", _BEGINS.get(kind, ""))
        tabbed = _TAB_INDENT.search(text) if found[0].code == "yaml/syntax" else None
        if tabbed:
            start = text.index("\t", tabbed.start())
            place = _place(text, start, shown)
            found = [
                error(
                    "yaml/tab", "a tab cannot indent YAML", hint="indent with spaces", place=place
                )
            ]
        return Source(shown, None, tuple(found))
    if isinstance(tree, Mapping):
        return Source(shown, tree, tuple(found))
    if isinstance(tree, Scalar) and tree.value in (None, ""):
        return _refused(shown, "yaml/empty", "this file is empty", _BEGINS.get(kind, ""))
    if isinstance(tree, Sequence):
        message = f"this file is a list; {kind} is a mapping of fields"
    else:
        message = f"this file is only a text; {kind} is a mapping of fields"
    wrong = error(
        "yaml/not-a-mapping", message, hint="write key: value on each line", place=tree.place
    )
    return Source(shown, None, (*found, wrong))


def _refused(shown: str, code: str, message: str, hint: str) -> Source:
    return Source(shown, None, (error(code, message, hint=hint, place=Place(shown)),))


def _place(text: str, index: int, shown: str) -> Place:
    start = text.rfind("\n", 0, index) + 1
    end = text.find("\n", index)
    line = text[start : end if end >= 0 else len(text)].rstrip("\r")
    return Place(shown, text.count("\n", 0, index) + 1, index - start + 1, 1, mask(line))
