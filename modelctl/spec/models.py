"""Which fields may a spec have, and of which kind? One class a mapping, in its long form.

Every field may be left out (None: nothing was said): defaults are decided once, in `resolve`.
Short forms (`backend: vllm`) are turned into these long forms before anything is merged; which
field has which short form is said here too, by `__short__`, so that the JSON schema and the parser
read the same table.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from modelctl.spec.values import Duration, Size

SCALAR = bool | int | float | str


class Shape(BaseModel):
    """A mapping of the spec. Unknown keys and wrong types are errors; nothing is converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, protected_namespaces=())

    __short__: ClassVar[str | None] = None
    """The field that a bare value stands for: `backend: vllm` means `backend: {name: vllm}`."""


class Adapter(Shape):
    """A LoRA adapter that is loaded beside the model and called by its name."""

    __short__: ClassVar[str | None] = "source"

    source: str | None = Field(None, description="Where it is: hf://org/repo, volume://name/path, ./path")
    rank: int | None = Field(None, ge=1, description="Its rank; read from the adapter where left out")


class Model(Shape):
    """What is served, and where its weights are."""

    __short__: ClassVar[str | None] = "source"

    source: str | None = Field(
        None,
        description="hf://org/repo, volume://name/path, s3://, gs:// or r2://bucket/prefix, or ./path",
        examples=["hf://Qwen/Qwen3-8B", "./models/model.gguf"],
    )
    revision: str | None = Field(None, description="Branch, tag or commit; the lock pins the commit")
    file: str | None = Field(None, description="Which file of the repository: a glob (GGUF)")
    tokenizer: str | None = Field(None, description="Where the tokenizer is, if not with the model")
    served_as: str | None = Field(None, description="The model name that clients send; the spec's name if left out")
    task: Literal["generate", "embed", "rerank"] | None = Field(None, description="What it does")
    trust_remote_code: bool | None = Field(None, description="Run Python code that the repository brings")
    secret: str | None = Field(None, description="The Modal Secret that opens a bucket or a private repository")
    adapters: dict[str, Adapter] | None = Field(None, description="LoRA adapters by the name that clients send")


class Backend(Shape):
    """The engine that serves the model."""

    __short__: ClassVar[str | None] = "name"

    name: Literal["vllm", "llama.cpp"] | None = Field(None, description="The engine")
    version: str | None = Field(None, description="Its version; the tested one if left out", examples=["0.32.0"])
    server: Literal["llama-server", "llama-cpp-python"] | None = Field(
        None, description="Which server of llama.cpp"
    )
    args: dict[str, SCALAR | list[SCALAR] | None] | None = Field(
        None, description="Any other flag of that version, without its dashes", examples=[{"seed": 7}]
    )


class Parallel(Shape):
    """How the model is spread over GPUs."""

    tensor: int | None = Field(None, ge=1, description="The GPU count if left out")
    pipeline: int | None = Field(None, ge=1)
    data: int | None = Field(None, ge=1)
    expert: bool | None = Field(None, description="Spread a mixture's experts instead of slicing them")


class Concurrency(Shape):
    """How many requests one container takes at once."""

    __short__: ClassVar[str | None] = "target"

    target: int | None = Field(None, ge=1, description="The autoscaler adds containers above this")
    max: int | None = Field(None, ge=1, description="Above this a request is answered 429")


class Gpu(Shape):
    """One entry of the fallback list. What is said here holds on this GPU alone."""

    __short__: ClassVar[str | None] = "type"

    type: str | None = Field(None, description="TYPE or TYPE:COUNT; none for a CPU", examples=["H100", "L40S:2"])
    count: int | None = Field(None, ge=1)
    context: int | None = Field(None, ge=1)
    kv_cache: str | None = None
    memory_utilization: float | None = Field(None, gt=0, le=1)
    max_sequences: int | None = Field(None, ge=1)
    parallel: Parallel | None = None
    concurrency: Concurrency | None = None
    args: dict[str, SCALAR | list[SCALAR] | None] | None = None


class Speculative(Shape):
    """Guess several tokens ahead with something cheaper, and keep those that are right."""

    __short__: ClassVar[str | None] = "method"

    method: str | None = Field(None, examples=["ngram", "eagle3", "draft_model"])
    model: str | None = None
    tokens: int | None = Field(None, ge=1)


class Scaling(Shape):
    """When containers come and go. Changes in place, without a new version."""

    max: int | None = Field(None, ge=1, description="Containers at most")
    buffer: int | None = Field(None, ge=0, description="Idle containers kept ready while there is load")
    idle_timeout: Duration | None = Field(None, description="How long a container may be idle")
    scaleup_window: Duration | None = Field(None, description="How long load must last before one is added")


class SecretKey(Shape):
    """One key of a Modal Secret."""

    secret: str | None = None
    key: str | None = None


class Endpoint(Shape):
    """Where the URL is, who may call it, and how a container starts and ends."""

    auth: Literal["proxy", "api-key", "none"] | None = None
    api_key: SecretKey | None = None
    region: str | None = Field(None, description="Where requests are routed from", examples=["us-east"])
    compute_regions: list[str] | None = Field(None, description="Where containers may run")
    cloud: str | None = None
    nonpreemptible: bool | None = None
    startup_timeout: Duration | None = None
    drain: Duration | None = Field(None, description="How long running requests may take to finish")


class Image(Shape):
    """The container image, where the engine's own is not enough."""

    __short__: ClassVar[str | None] = "base"

    base: str | None = None
    secret: str | None = Field(None, description="The Modal Secret that opens a private registry")
    python: str | None = None
    packages: list[str] | None = Field(None, description="pip requirements")
    apt: list[str] | None = Field(None, description="Debian packages")
    run: list[str] | None = Field(None, description="Shell commands")
    dockerfile: str | None = None


class VolumeMount(Shape):
    __short__: ClassVar[str | None] = "name"

    name: str | None = None
    read_only: bool | None = None


class BucketMount(Shape):
    __short__: ClassVar[str | None] = "bucket"

    bucket: str | None = None
    read_only: bool | None = None
    prefix: str | None = None
    secret: str | None = None


class Message(Shape):
    role: Literal["system", "user", "assistant"] | None = None
    content: str | None = None


class Expect(Shape):
    """What the answer of a check must be like."""

    __short__: ClassVar[str | None] = "contains"

    contains: str | None = None
    matches: str | None = Field(None, description="A regular expression")
    json_keys: list[str] | None = Field(None, alias="json", description="Keys of a JSON answer")


class Check(Shape):
    """A question that a new version must answer right before anybody sees it."""

    prompt: str | None = None
    messages: list[Message] | None = None
    expect: Expect | None = None
    within: Duration | None = None
    max_tokens: int | None = Field(None, ge=1)


class Timeouts(Shape):
    place: Duration | None = None
    boot: Duration | None = None
    checks: Duration | None = None


class Rollout(Shape):
    __short__: ClassVar[str | None] = "strategy"

    strategy: Literal["rolling", "recreate"] | None = None
    gate: Literal["none", "health", "checks"] | None = None
    timeouts: Timeouts | None = None
    on_failure: Literal["rollback", "keep"] | None = None
    wave: str | None = None


class Budget(Shape):
    usd_per_hour: float | None = Field(None, gt=0)
    usd_per_month: float | None = Field(None, gt=0)
    usd_per_hour_at_max: float | None = Field(None, gt=0)


class Allow(Shape):
    """A diagnostic that is known and accepted."""

    __short__: ClassVar[str | None] = "reason"

    reason: str | None = None
    until: str | None = Field(None, description="The last day, as 2027-01-31")


class Fields(Shape):
    """What defaults, an environment and a spec may all say."""

    labels: dict[str, str] | None = Field(None, description="Become App tags; selected with -l key=value")
    model: Model | None = None
    backend: Backend | None = None
    quantization: str | None = Field(None, description="auto, or a method that the engine can apply")
    context: int | None = Field(None, ge=1, description="Tokens of one request: prompt and answer")
    dtype: Literal["auto", "bfloat16", "float16", "float32"] | None = None
    kv_cache: str | None = Field(None, description="The type of the KV cache", examples=["auto", "fp8", "q8_0"])
    max_sequences: int | None = Field(None, ge=1)
    memory_utilization: float | None = Field(None, gt=0, le=1)
    prefix_caching: bool | None = None
    speculative: Speculative | None = None
    tools: str | None = Field(None, description="The tool-call parser")
    reasoning: str | None = Field(None, description="The reasoning parser")
    chat_template: str | None = Field(None, description="A file")
    compile: Literal["full", "fast-boot"] | None = None
    gpu: list[Gpu] | None = Field(None, description="Ordered fallbacks; none for a CPU")
    cpu: float | None = Field(None, gt=0, description="Cores")
    memory: Size | None = None
    disk: Size | None = None
    parallel: Parallel | None = None
    nodes: int | None = Field(None, ge=1)
    keep_warm: int | None = Field(None, ge=0, description="Containers kept running")
    scaling: Scaling | None = None
    concurrency: Concurrency | None = None
    endpoint: Endpoint | None = None
    snapshot: Literal["none", "cpu", "gpu"] | None = None
    image: Image | None = None
    secrets: dict[str, list[str]] | None = Field(
        None, description="Modal Secrets by name, with the keys that must be there"
    )
    env: dict[str, str] | None = Field(None, description="What is no secret")
    volumes: dict[str, VolumeMount] | None = Field(None, description="By mount path")
    buckets: dict[str, BucketMount] | None = Field(None, description="By mount path")
    checks: dict[str, Check] | None = None
    rollout: Rollout | None = None
    protect: bool | None = Field(None, description="Refuse to delete")
    budget: Budget | None = None
    allow: dict[str, Allow] | None = None


class Spec(Fields):
    """One model behind one URL."""

    apiVersion: Literal["modelctl/v1"] | None = None  # noqa: N815 - the contract's spelling
    name: str | None = Field(
        None, description="The Modal app's name", pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", max_length=63
    )
    renamed_from: str | None = None
    only: list[str] | None = Field(None, description="The environments that have it")
    environments: dict[str, Fields] | None = Field(None, description="Any of the above, merged over it")


class Environment(Shape):
    """Where specs go: a Modal environment of a workspace."""

    modal_environment: str | None = None
    workspace: str | None = None
    defaults: Fields | None = None
    waves: list[str] | None = Field(None, description="Label selectors, in order", examples=[["tier=canary"]])
    confirm: bool | None = None


class BackendDefaults(Fields):
    """Defaults for one engine alone: its version, and any field of a spec."""

    version: str | None = None


class Policy(Shape):
    """What nobody's spec may go past."""

    gpus: list[str] | None = None
    regions: list[str] | None = None
    images: list[str] | None = None
    auth: list[str] | None = None
    budget: Budget | None = None


class Project(Shape):
    """modelctl.yaml, at the project's root."""

    apiVersion: Literal["modelctl/v1"] | None = None  # noqa: N815 - the contract's spelling
    project: str | None = Field(
        None, description="The owner's mark", pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", max_length=40
    )
    defaults: Fields | None = None
    backends: dict[Literal["vllm", "llama.cpp"], BackendDefaults] | None = None
    environments: dict[str, Environment] | None = None
    rules: dict[str, Literal["error", "warning", "off"]] | None = None
    policy: Policy | None = None


def plain(shape: Shape) -> dict[str, Any]:
    """What was said, as plain data; what was not said is left out."""
    return shape.model_dump(by_alias=True, exclude_none=True)
