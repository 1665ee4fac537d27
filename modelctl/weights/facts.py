"""What is known about a model before anything runs?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct, field

from modelctl.resolved import LocalFile, RemoteFile, Unknown
from modelctl.weights.lock import LockedEngine
from modelctl.weights.measured import Measured, digest
from modelctl.weights.shape import Header, TensorRow

NOT_LOCKED = Unknown("not in modelctl.lock")
NOT_HASHED = Unknown("not hashed")
NOT_READ = Unknown("not read")

Problem = Literal["", "missing", "outside", "empty", "unreadable", "not-gguf", "broken"]


class ModelFacts(Struct, frozen=True, eq=False):
    """What a reader found. Whatever could not be had is `Unknown(reason)`, never left out.

    `digest` is the content's sha256 and `files` what it was made of; `root` is the real path of a
    local file or folder. `problem` says why a local model cannot be used, with `detail` in words.
    `context_length` is the model's own, in tokens;
    `cache_per_token` is what its KV cache takes at 16 bit, in bytes; `adapter_rank` is a LoRA
    adapter's. `chat_template` is the text of the file that the
    spec names, None where it names none; `dockerfile` is that of its Dockerfile.
    `commit` and `remote`, the files that any engine could need of a Hub repository or a bucket,
    come from the lock, and so does `access`: "gated" or "private" where not everybody may read it.
    `config` has the plain values of config.json, `tensors` what is in the safetensors or the GGUF
    model that is served, `header` what memory follows from in that model's keys.
    `engines` are those whose default version the lock holds, by name.
    `beside` has the facts of the other sources that the spec names, by their text. `measured` is
    what boots of this source reported, at its commit where it is locked.
    """

    kind: Literal["hub", "volume", "bucket", "local", "none"]
    format: Literal["gguf", "safetensors"] | Unknown = NOT_READ
    root: Path | None = None
    files: tuple[LocalFile, ...] = ()
    size: int | Unknown = NOT_READ
    digest: str | Unknown = NOT_READ
    architecture: str | Unknown = NOT_READ
    name: str | Unknown = NOT_READ
    context_length: int | Unknown = NOT_READ
    layers: int | Unknown = NOT_READ
    vocabulary: int | Unknown = NOT_READ
    quantization: str | Unknown = NOT_READ
    cache_per_token: int | Unknown = NOT_READ
    adapter_rank: int | Unknown = NOT_READ
    problem: Problem = ""
    detail: str = ""
    chat_template: str | Unknown | None = None
    dockerfile: str | Unknown | None = None
    commit: str | Unknown = NOT_LOCKED
    remote: tuple[RemoteFile, ...] = ()
    access: str = ""
    config: Mapping[str, Any] | Unknown = NOT_READ
    tensors: tuple[TensorRow, ...] | Unknown = NOT_READ
    header: Header | Unknown = NOT_READ
    engines: Mapping[str, LockedEngine] = field(default_factory=dict)
    beside: Mapping[str, ModelFacts] = field(default_factory=dict)
    measured: tuple[Measured, ...] = ()

    @property
    def shape_digest(self) -> str:
        """Of what memory follows from: the same file under another name has the same."""
        config = None if isinstance(self.config, Unknown) else self.config
        header = None if isinstance(self.header, Unknown) else self.header
        rows = () if isinstance(self.tensors, Unknown) else self.tensors
        tensors = [[row.name, row.dtype, row.shape, row.count] for row in rows]
        return digest([config, tensors, header])
