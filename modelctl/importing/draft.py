"""What was read so far: fields of a spec, and what has to be said about them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct, field

from modelctl.checks.secrets import looks_secret
from modelctl.importing.mounts import Mount, source_of
from modelctl.importing.values import Unread
from modelctl.spec.quoting import quote

Kind = Literal["not read", "guessed", "not taken"]


class Note(Struct, frozen=True):
    """A sentence about a field, "" for the whole spec. `line` is the app's."""

    kind: Kind
    field: str
    text: str
    line: int | None = None

    @property
    def sentence(self) -> str:
        where = f" (line {self.line})" if self.line else ""
        about = f"{self.field}: " if self.field else ""
        return f"{self.kind}: {about}{' '.join(self.text.split())}{where}"


class Draft(Struct):
    """`fields` are nested, in a spec's long or short forms."""

    fields: dict[str, Any] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)

    def put(self, *path: str, value: Any) -> None:
        """What is not known becomes a sentence, and so does what looks like a secret."""
        name = ".".join(path)
        if isinstance(value, Unread):
            self.note("not read", name, value.why, value.line)
            return
        value = self.open_part(name, value)
        if value is None:
            return
        here = self.fields
        for part in path[:-1]:
            here = here.setdefault(part, {})
        here[path[-1]] = value

    def note(self, kind: Kind, where: str, text: str, line: int | None = None) -> None:
        note = Note(kind, where, text, line)
        if note not in self.notes:
            self.notes.append(note)

    def open_part(self, name: str, value: Any) -> Any:
        """The value without what looks like a secret; None where nothing is left."""
        if isinstance(value, Unread):
            self.note("not read", name, value.why, value.line)
            return None
        # The name of a Secret is none; a flag or a variable may be called like one.
        called = name.rpartition(".")[2] if re.match(r"env\.|backend\.args|gpu", name) else ""
        if isinstance(value, str) and looks_secret(called, value):
            self.note("not taken", name, "it looks like a secret, and a spec is for everybody")
            return None
        if isinstance(value, Mapping):
            kept = {k: self.open_part(f"{name}.{k}", v) for k, v in value.items()}
            return {k: v for k, v in kept.items() if v is not None}
        if isinstance(value, list | tuple):
            items = [self.open_part(name, item) for item in value]
            return [item for item in items if item is not None]
        # Half of a pair of surrogates is in no file.
        return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def source_text(word: Any, mounts: list[Mount], draft: Draft, where: str) -> str | None:
    """A model beside the model, as a spec names it; None, and a sentence, where it is none."""
    if isinstance(word, Unread):
        draft.note("not read", where, word.why, word.line)
        return None
    found = source_of(str(word), mounts)
    if found is None:
        draft.note("not read", where, f"{quote(str(word))} is in no Volume that the app mounts")
        return None
    whole = found.text
    if found.file and found.text.startswith("hf://"):
        draft.note("not read", where, f"which file of {quote(found.text)}: {quote(found.file)}")
    return whole
