"""What does modelctl ask of an engine? Flags for a variant, an image, what is around it, rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, Protocol

from msgspec import Struct, field

from modelctl.diagnostics import Severity
from modelctl.facts.gpus import Gpu as Card
from modelctl.fit.types import MemoryInputs
from modelctl.resolved import Bucket, Flag, ImageStep, Mount, Rooted, Unknown, Weights, Word
from modelctl.spec.models import ARGUMENT, Gpu, Image, Parallel, Spec
from modelctl.spec.wanted import Path_
from modelctl.weights.facts import ModelFacts

Task = Literal["generate", "embed", "rerank"]
Args = Mapping[str, ARGUMENT | None]

WEIGHTS_PATH = "/models"
CACHE_PATH = "/cache"

NO_IMAGE = Image.model_construct()
NO_ENTRY = Gpu.model_construct()


class Finding(Struct, frozen=True):
    """What a rule has found: a field and a sentence. Places and policy are added later."""

    path: Path_
    severity: Severity
    code: str
    message: str
    hint: str = ""
    detail: str = ""
    key: bool = False


class Sources(Protocol):
    """Where the model and what stands beside it are, inside the container."""

    @property
    def weights(self) -> Weights: ...

    @property
    def beside(self) -> tuple[Weights, ...]: ...

    @property
    def mounts(self) -> tuple[Mount, ...]: ...

    @property
    def buckets(self) -> tuple[Bucket, ...]: ...

    def path_of(self, source: str | None) -> str | Unknown: ...


class Setting(Struct, frozen=True):
    """What holds for every variant of a spec. `spec` is as merged, gaps and all."""

    spec: Spec
    version: str
    server: str
    task: Task
    served_as: tuple[str, ...]
    model: ModelFacts
    sources: Sources
    nodes: int
    startup_timeout: int
    drain: int
    cores: float | None

    @property
    def weights(self) -> Weights:
        return self.sources.weights

    def rooted(self, source: str | None, before: str = "", after: str = "") -> Word:
        """The path of a source that stands beside the model, as a word of the command line."""
        path = self.sources.path_of(source)
        if isinstance(path, Unknown):
            return f"{before}{source}{after}"  # such an app is checked, never rendered
        return Rooted(path, before, after)


class Ask(Struct, frozen=True):
    """One variant: the setting, a card or the CPU, and the knobs with that entry's words over them.

    `said` are the entry's own words, for what means something else when nobody said it. `kv_cache`
    is None for the engine's own choice. `sequences` is how many requests run at once, `at_most`
    above how many the endpoint answers 429.
    """

    setting: Setting
    card: Card | None
    count: int
    context: int | Unknown
    kv_cache: str | None
    memory_utilization: float | None
    sequences: int | None
    at_most: int | None
    max_batched_tokens: int | None
    parallel: Parallel
    args: Args
    said: Gpu = NO_ENTRY

    @property
    def spec(self) -> Spec:
        return self.setting.spec

    @property
    def tensor(self) -> bool:
        """Whether somebody asked for slices: `parallel` has them wherever there are two GPUs."""
        theirs, ours = self.said.parallel, self.spec.parallel
        if theirs is not None and (theirs.tensor or theirs.pipeline):
            return (theirs.tensor or 1) > 1
        return ours is not None and (ours.tensor or 1) > 1


class Surroundings(Struct, frozen=True):
    """What the engine needs around it. `path_env` are variables that hold paths below a mount."""

    env: Mapping[str, str] = field(default_factory=dict)
    path_env: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()


class Counters(Struct, frozen=True):
    """What a server calls its own figures at /metrics: requests now, tokens since its start."""

    running: str
    waiting: str
    generated: str
    prompt: str


class Engine(Protocol):
    """One engine. `template` names its folder; `startup_timeout` is its default, in seconds.

    `unknown_context` is the context where neither the spec nor the model says one; None for an
    engine that finds out by itself."""

    name: str
    title: str
    template: str
    startup_timeout: int
    unknown_context: int | None
    asks_key_everywhere: bool
    """With an api key nothing but /health answers without it."""
    takes_gguf: bool
    """One GGUF file, where others take a folder."""

    def server(self, spec: Spec) -> str:
        """Which of its servers runs."""
        ...

    def product(self, server: str) -> str:
        """What the facts call it: the name that versions, images and flags are listed under."""
        ...

    def api_key_variable(self, server: str) -> str:
        """The variable that the server reads its key from."""
        ...

    def health_path(self, server: str) -> str:
        """What answers 200 once the model is loaded."""
        ...

    def command(self, server: str) -> tuple[str, ...]:
        """The words that start it, before any flag."""
        ...

    def sequences(self, server: str, said: int | None, at_most: int | None) -> int | None:
        """How many requests run at once, from max_sequences and concurrency.max.

        Not from concurrency.target: that one changes in place, and flags do not.
        """
        ...

    def counters(self, server: str) -> Counters | None:
        """None for a server that counts nothing."""
        ...

    def flags(self, ask: Ask) -> tuple[Flag, ...]:
        """All flags but the model's and the address's."""
        ...

    def memory(self, ask: Ask, flags: Sequence[Flag]) -> MemoryInputs | Unknown:
        """What its memory follows from, with the values that `flags`, its own, have.

        It may depend on the count of cards and not on which card it is.
        """
        ...

    def image(self, setting: Setting) -> tuple[ImageStep, ...]: ...

    def surroundings(self, setting: Setting) -> Surroundings: ...

    def rules(self, setting: Setting) -> Iterator[Finding]:
        """What is wrong with this spec for this engine, and only for it."""
        ...
