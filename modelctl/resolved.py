"""What does a spec mean once every question is answered? Frozen, complete, free of places."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Literal

from msgspec import Struct, field
from msgspec.structs import asdict

from modelctl.fit.types import MemoryInputs


class Rooted(Struct, frozen=True):
    """A word of a command line with a path of the container in it.

    The app writes `before`, then the mount root and `path`, then `after`.
    """

    path: str
    before: str = ""
    after: str = ""


FETCH_APP = "modelctl-fetch"
"""The name of the app that fetches models into Volumes; no spec may have it."""

Word = str | Rooted

Flag = tuple[Word, ...]
"""One flag of an engine with its values: `("--ctx-size", "8192")`, `("--metrics",)`."""


class Unknown(Struct, frozen=True):
    """An answer that cannot be had offline, and why. Never an error by itself."""

    reason: str


class Limits(Struct, frozen=True):
    """What may be spent in USD: on keep_warm, and on every container at once; None: no limit."""

    usd_per_hour: float | None = None
    usd_per_month: float | None = None
    usd_per_hour_at_max: float | None = None


NO_LIMITS = Limits()


class Scaling(Struct, frozen=True):
    """What the autoscaler may change in place: no new version, no new container.

    Windows are seconds. `max_containers`, `scaleup_window` and `target_concurrency` are None where
    Modal's own default holds.
    """

    min_containers: int
    max_containers: int | None
    buffer_containers: int
    scaledown_window: int
    scaleup_window: int | None
    target_concurrency: float | None


class Variant(Struct, frozen=True):
    """How the engine runs on one kind of GPU.

    `key` is what the app looks up when it starts: `H100`, `L40S:2`, `cpu`. `entry` is the index in
    the spec's list, None for the CPU; an upgrade (H100 → H200) carries the entry that it upgrades.
    `flags` are all flags after the command but the model's and the address's; `memory` is what
    the engine's memory follows from, with the same values.
    """

    key: str
    origin: Literal["entry", "upgrade", "cpu"]
    entry: int | None
    gpu: str | None
    count: int
    context: int | Unknown
    max_sequences: int | None
    flags: tuple[Flag, ...]
    memory: MemoryInputs | Unknown = field(default_factory=lambda: Unknown("not worked out"))


class ImageStep(Struct, frozen=True):
    """One call of the chain that makes the image: `.uv_pip_install("vllm==0.32.0")`.

    `secret` is the Modal Secret that the call gets as `secret=`.
    """

    method: str
    args: tuple[str, ...] = ()
    options: Mapping[str, object] = field(default_factory=dict)
    secret: str | None = None


class LocalFile(Struct, frozen=True):
    """One file that a local model consists of. `path` is relative, with forward slashes."""

    path: str
    size: int
    sha256: str


class Upload(Struct, frozen=True):
    """A local model that apply puts into a Volume, by content: `files` land under `prefix`."""

    root: str
    files: tuple[LocalFile, ...]
    volume: str
    prefix: str

    @property
    def size(self) -> int:
        return sum(f.size for f in self.files)


class RemoteFile(Struct, frozen=True):
    """One file of a Hub repository or a bucket; `size` in bytes.

    Large files of the Hub have a sha256, small ones only git's blob id, those of a bucket neither.
    """

    path: str
    size: int
    sha256: str | None = None
    git_sha1: str | None = None


class Selection(Struct, frozen=True):
    """Which part of a source is wanted: what it is for, and the globs of its GGUF files.

    `layout` says which weights are taken of a repository that has them twice, "" as vLLM chooses.
    """

    purpose: Literal["model", "gguf", "adapter", "tokenizer", "draft"] = "model"
    file: str | None = None
    mmproj: str | None = None
    remote_code: bool = False
    layout: Literal["", "hf", "mistral", "both"] = ""

    @property
    def key(self) -> str:
        """What the manifest beside fetched files calls it."""
        said = {name: value for name, value in asdict(self).items() if value}
        return json.dumps(said, sort_keys=True)


class Fetch(Struct, frozen=True):
    """A remote model that an app of its own puts into a Volume before any GPU starts.

    `files` are those that the engine needs and land under `prefix`. `commit` is the Hub's, or the
    digest of a bucket's listing; both are Unknown where nothing locked them. `selection` says what
    `files` are chosen by. `secret` is the Modal Secret that opens the source. `bucket` is how it is
    mounted while it is copied.
    """

    source: str
    commit: str | Unknown
    volume: str
    prefix: str
    files: tuple[RemoteFile, ...] | Unknown
    secret: str | None = None
    selection: Selection = Selection()
    bucket: Bucket | None = None

    @property
    def size(self) -> int | Unknown:
        return self.files if isinstance(self.files, Unknown) else sum(f.size for f in self.files)


class Weights(Struct, frozen=True):
    """One source that the engine reads: the model, or what stands beside it.

    `argument` is the path inside the container, below the mount root. It is Unknown where it
    depends on what was not read: such an app can be checked but not rendered. `revision` is the
    commit or, where none is known, the name that stands in its place.
    """

    kind: Literal["hub", "volume", "bucket", "local", "none"]
    source: str
    argument: str | Unknown
    revision: str | None = None
    upload: Upload | None = None
    fetch: Fetch | None = None


class Mount(Struct, frozen=True):
    """A Volume in the container. Paths are absolute; the app puts the mount root before them."""

    path: str
    volume: str
    read_only: bool = False
    create: bool = False


class Bucket(Struct, frozen=True):
    path: str
    bucket: str
    read_only: bool = False
    prefix: str | None = None
    secret: str | None = None
    endpoint: str | None = None


class Placement(Struct, frozen=True):
    """What a container asks for. `gpus` are Modal's own strings in order; empty for a CPU.

    `cpu` in cores, `memory` and `disk` in MiB, None for Modal's default.
    """

    gpus: tuple[str, ...]
    cpu: float | None
    memory: int | None
    disk: int | None
    compute_regions: tuple[str, ...]
    cloud: str | None
    nonpreemptible: bool


class Endpoint(Struct, frozen=True):
    """`startup_timeout` and `drain` are seconds. `api_key` is (secret, key) with auth api-key."""

    auth: Literal["proxy", "api-key", "none"]
    api_key: tuple[str, str] | None
    region: str
    startup_timeout: int
    drain: int


class Check(Struct, frozen=True):
    name: str
    messages: tuple[tuple[str, str], ...]
    contains: str | None
    matches: str | None
    json_keys: tuple[str, ...]
    within: float
    max_tokens: int


class Rollout(Struct, frozen=True):
    strategy: Literal["rolling", "recreate"]
    gate: Literal["none", "health", "checks"]
    place_timeout: float
    boot_timeout: float
    checks_timeout: float
    on_failure: Literal["rollback", "keep"]
    wave: str | None


class Resolved(Struct, frozen=True):
    """A spec with every question answered: what `render` writes and `plan` compares.

    `command` starts the engine (`("vllm", "serve")`); the flags of a variant follow. `variants`
    has one entry a GPU of the list, its upgrades, and always the CPU. `secrets` maps the Modal
    Secrets to the keys that must be there. `served_as` are the names that clients send, the first
    in answers; `beside` is what the engine reads beside the model: adapters, a tokenizer, a draft
    model. `nodes` hosts serve one copy together, over RDMA where `rdma`. `metrics_interval` is in
    seconds, None for no such lines. `path_env` are variables whose values are paths below the mount
    root. `chat_template` is a template's text, which the app writes to a file of its own.
    """

    name: str
    project: str | None
    environment: str
    file: str
    engine: str
    engine_version: str
    server: str
    task: Literal["generate", "embed", "rerank"]
    served_as: tuple[str, ...]
    weights: Weights
    beside: tuple[Weights, ...]
    command: tuple[str, ...]
    variants: tuple[Variant, ...]
    image: tuple[ImageStep, ...]
    placement: Placement
    scaling: Scaling
    max_concurrency: int | None
    endpoint: Endpoint
    snapshot: Literal["none", "cpu", "gpu"]
    mounts: tuple[Mount, ...]
    buckets: tuple[Bucket, ...]
    checks: tuple[Check, ...]
    rollout: Rollout
    nodes: int
    metrics_interval: int | None
    protect: bool
    labels: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    path_env: Mapping[str, str] = field(default_factory=dict)
    chat_template: str | None = None
    rdma: bool = False

    @property
    def sources(self) -> tuple[Weights, ...]:
        """Everything that has to be there before the engine starts."""
        return (self.weights, *self.beside)

    @property
    def stored(self) -> tuple[str, ...]:
        """The folders of the weights' Volume that this version reads."""
        parts = [weights.upload or weights.fetch for weights in self.sources]
        return tuple(sorted({part.prefix for part in parts if part is not None}))
