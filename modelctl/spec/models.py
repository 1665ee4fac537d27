"""Which fields may a spec have, and of which kind? One class a mapping, in its long form.

Every field may be left out (None: nothing was said): defaults are decided once, in `resolve`.
Short forms (`backend: vllm`) are turned into these long forms before anything is merged; which
field has which short form is said here too, by `__short__`, so that the JSON schema and the parser
read the same table.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from modelctl.spec.container_models import (
    MOST_CONTAINERS,
    BucketMount,
    Endpoint,
    Image,
    Metrics,
    Scaling,
    SecretKey,
    VolumeMount,
)
from modelctl.spec.shape import ARGUMENT, NAME, SCALAR, Shape, plain
from modelctl.spec.values import ADDRESS, DAY, Duration, Size

__all__ = [
    "ARGUMENT",
    "NAME",
    "SCALAR",
    "Adapter",
    "Allow",
    "Backend",
    "BucketMount",
    "Budget",
    "Check",
    "Concurrency",
    "Endpoint",
    "Expect",
    "Fields",
    "Gpu",
    "Image",
    "Message",
    "Metrics",
    "Model",
    "Multimodal",
    "Parallel",
    "Rollout",
    "Scaling",
    "SecretKey",
    "Shape",
    "Spec",
    "Speculative",
    "Timeouts",
    "VolumeMount",
    "plain",
]


class Adapter(Shape):
    """A LoRA adapter that is loaded beside the model and called by its name."""

    __short__: ClassVar[str | None] = "source"

    source: str | None = Field(
        default=None, description="Where it is: hf://org/repo, volume://name/path, ./path"
    )
    rank: int | None = Field(
        default=None, ge=1, description="Its rank; the adapter's own if left out"
    )


class Model(Shape):
    """What is served, and where its weights are."""

    __short__: ClassVar[str | None] = "source"

    source: str | None = Field(
        default=None,
        description="hf://org/repo, volume://name/path, s3://, gs://, r2://bucket/prefix, ./path",
        examples=["hf://Qwen/Qwen3-8B", "./models/model.gguf"],
    )
    revision: str | None = Field(
        default=None, description="Branch, tag or commit; the lock pins it"
    )
    file: str | None = Field(
        default=None, description="Which file of the repository: a glob (GGUF)"
    )
    tokenizer: str | None = Field(
        default=None, description="Where the tokenizer is, if not with the model"
    )
    served_as: list[str] | None = Field(
        default=None,
        description="The model names that clients send, the first in answers; the spec's name if "
        "left out",
    )
    task: Literal["generate", "embed", "rerank"] | None = Field(
        default=None, description="What it does"
    )
    trust_remote_code: bool | None = Field(
        default=None, description="Run the repository's own code"
    )
    secret: str | None = Field(default=None, description="The Modal Secret that opens it")
    mmproj: str | None = Field(
        default=None, description="Which file is the multimodal projector: a glob (GGUF)"
    )
    endpoint: str | None = Field(
        default=None,
        description="The address of an S3-compatible bucket that is not Amazon's",
        pattern=ADDRESS,
        examples=["https://ACCOUNT.r2.cloudflarestorage.com"],
    )
    copy_: bool | None = Field(
        default=None,
        alias="copy",
        description="Copy a bucket's files into a Volume instead of reading them in place",
    )
    adapters: dict[str, Adapter] | None = Field(
        default=None, description="LoRA adapters by the name that clients send"
    )


class Backend(Shape):
    """The engine that serves the model."""

    __short__: ClassVar[str | None] = "name"

    name: Literal["vllm", "llama.cpp"] | None = Field(default=None, description="The engine")
    version: str | None = Field(
        default=None, description="Its version; the tested one if left out", examples=["0.32.0"]
    )
    server: Literal["llama-server", "llama-cpp-python"] | None = Field(
        default=None, description="Which server of llama.cpp"
    )
    args: dict[str, ARGUMENT | None] | None = Field(
        default=None,
        description="Any other flag of that version, without its dashes",
        examples=[{"seed": 7}],
    )


class Parallel(Shape):
    """How the model is spread over GPUs."""

    tensor: int | None = Field(default=None, ge=1, description="The GPU count if left out")
    pipeline: int | None = Field(
        default=None, ge=1, description="Groups of layers, one after another"
    )
    data: int | None = Field(default=None, ge=1, description="Copies that share the requests")
    expert: bool | None = Field(default=None, description="Spread experts instead of slicing them")


_MOST_AT_ONCE = 1_000_000
"""Requests: what Modal counts them in has 32 bits."""


class Concurrency(Shape):
    """How many requests one container takes at once."""

    __short__: ClassVar[str | None] = "target"

    target: int | None = Field(
        default=None,
        ge=1,
        le=_MOST_AT_ONCE,
        description="The autoscaler adds containers above this",
    )
    max: int | None = Field(
        default=None, ge=1, le=_MOST_AT_ONCE, description="Above this a request is answered 429"
    )


class Gpu(Shape):
    """One entry of the fallback list. What is said here holds on this GPU alone."""

    __short__: ClassVar[str | None] = "type"

    type: str | None = Field(
        default=None, description="TYPE or TYPE:COUNT; none for a CPU", examples=["H100", "L40S:2"]
    )
    count: int | None = Field(default=None, ge=1, description="GPUs of one container")
    context: int | None = Field(
        default=None, ge=1, description="Tokens of one request, if fewer here"
    )
    kv_cache: str | None = Field(default=None, description="Type of the KV cache")
    memory_utilization: float | None = Field(
        default=None, gt=0, le=1, description="The engine's part of the memory"
    )
    max_sequences: int | None = Field(default=None, ge=1, description="Requests at once")
    max_batched_tokens: int | None = Field(
        default=None, ge=1, description="Tokens of one step of the engine"
    )
    parallel: Parallel | None = Field(default=None, description="How the model is spread over GPUs")
    concurrency: Concurrency | None = Field(
        default=None, description="How many requests one container takes"
    )
    args: dict[str, ARGUMENT | None] | None = Field(
        default=None, description="Flags on this GPU alone"
    )


class Speculative(Shape):
    """Guess several tokens ahead with something cheaper, and keep those that are right."""

    __short__: ClassVar[str | None] = "method"

    method: str | None = Field(
        default=None,
        description="How tokens are guessed",
        examples=["ngram", "eagle3", "draft_model"],
    )
    model: str | None = Field(default=None, description="The draft model, where the method has one")
    tokens: int | None = Field(default=None, ge=1, description="How many are guessed at a time")


class Multimodal(Shape):
    """How many items of a kind one request may hold."""

    image: int | None = Field(default=None, ge=0, description="Pictures")
    video: int | None = Field(default=None, ge=0, description="Videos")
    audio: int | None = Field(default=None, ge=0, description="Sounds")


class Message(Shape):
    """One message of a conversation."""

    role: Literal["system", "user", "assistant"] | None = Field(
        default=None, description="Who says it"
    )
    content: str | None = Field(default=None, description="What is said")


class Expect(Shape):
    """What the answer of a check must be like."""

    __short__: ClassVar[str | None] = "contains"

    contains: str | None = Field(default=None, description="A text that must be in it")
    matches: str | None = Field(default=None, description="A regular expression")
    json_keys: list[str] | None = Field(
        default=None, alias="json", description="Keys of a JSON answer"
    )


class Check(Shape):
    """A question that a new version must answer right before anybody sees it."""

    prompt: str | None = Field(default=None, description="The question")
    messages: list[Message] | None = Field(
        default=None, description="The question as a conversation"
    )
    expect: Expect | None = Field(default=None, description="What the answer must be like")
    within: Duration | None = Field(default=None, description="How long the answer may take")
    max_tokens: int | None = Field(default=None, ge=1, description="How long the answer may be")


class Timeouts(Shape):
    """How long the steps of a deploy may take."""

    place: Duration | None = Field(default=None, description="Until a GPU is found")
    boot: Duration | None = Field(default=None, description="Until the engine is up")
    checks: Duration | None = Field(default=None, description="Until the checks have passed")


class Rollout(Shape):
    """How a new version takes the place of the one before."""

    __short__: ClassVar[str | None] = "strategy"

    strategy: Literal["rolling", "recreate"] | None = Field(
        default=None, description="Beside the version before, or after it is gone"
    )
    gate: Literal["none", "health", "checks"] | None = Field(
        default=None, description="What a new version must pass"
    )
    timeouts: Timeouts | None = Field(default=None, description="How long each step may take")
    on_failure: Literal["rollback", "keep"] | None = Field(
        default=None, description="What happens to a version that fails"
    )
    wave: str | None = Field(default=None, description="The wave it belongs to")


class Budget(Shape):
    """What may be spent."""

    usd_per_hour: float | None = Field(default=None, gt=0, description="What keep_warm may cost")
    usd_per_month: float | None = Field(default=None, gt=0, description="What keep_warm may cost")
    usd_per_hour_at_max: float | None = Field(
        default=None, gt=0, description="The cost of all containers"
    )


class Allow(Shape):
    """A diagnostic that is known and accepted."""

    __short__: ClassVar[str | None] = "reason"

    reason: str | None = Field(default=None, description="Why it is accepted")
    until: str | None = Field(default=None, description="The last day, as 2027-01-31", pattern=DAY)


class Fields(Shape):
    """What defaults, an environment and a spec may all say."""

    labels: dict[str, str] | None = Field(
        default=None, description="App tags; selected with -l key=value"
    )
    model: Model | None = Field(
        default=None, description="What is served: hf://org/repo, ./path, …"
    )
    backend: Backend | None = Field(default=None, description="The engine: vllm or llama.cpp")
    quantization: str | None = Field(default=None, description="auto, or a method of the engine")
    context: int | None = Field(
        default=None, ge=1, description="Tokens of a request and its answer"
    )
    dtype: Literal["auto", "bfloat16", "float16", "float32"] | None = Field(
        default=None, description="What the engine computes in"
    )
    kv_cache: str | None = Field(
        default=None, description="Type of the KV cache", examples=["auto", "fp8", "q8_0"]
    )
    max_sequences: int | None = Field(default=None, ge=1, description="Requests at once")
    max_batched_tokens: int | None = Field(
        default=None, ge=1, description="Tokens of one step of the engine"
    )
    memory_utilization: float | None = Field(
        default=None, gt=0, le=1, description="The engine's part of the memory"
    )
    prefix_caching: bool | None = Field(
        default=None, description="Keep the cache of prompts that begin alike"
    )
    speculative: Speculative | None = Field(default=None, description="Guess several tokens ahead")
    tools: str | None = Field(default=None, description="The tool-call parser")
    reasoning: str | None = Field(default=None, description="The reasoning parser")
    chat_template: str | None = Field(default=None, description="A file")
    multimodal: Multimodal | None = Field(
        default=None, description="Pictures, videos and sounds of one request at most"
    )
    compile: Literal["full", "fast-boot"] | None = Field(
        default=None, description="Compile for speed, or boot fast"
    )
    gpu: list[Gpu] | None = Field(default=None, description="Ordered fallbacks; none for a CPU")
    cpu: float | None = Field(default=None, gt=0, description="Cores")
    memory: Size | None = Field(default=None, description="Main memory of a container")
    disk: Size | None = Field(default=None, description="Disk of a container")
    parallel: Parallel | None = Field(default=None, description="How the model is spread over GPUs")
    nodes: int | None = Field(default=None, ge=1, description="Hosts that serve one copy together")
    keep_warm: int | None = Field(
        default=None, ge=0, le=MOST_CONTAINERS, description="Containers kept running"
    )
    scaling: Scaling | None = Field(default=None, description="When containers come and go")
    concurrency: Concurrency | None = Field(
        default=None, description="How many requests one container takes"
    )
    endpoint: Endpoint | None = Field(
        default=None, description="Where the URL is and who may call it"
    )
    snapshot: Literal["none", "cpu", "gpu"] | None = Field(
        default=None, description="Start containers from a memory snapshot"
    )
    image: Image | None = Field(
        default=None, description="The container image, where the engine's own is not enough"
    )
    secrets: dict[str, list[str]] | None = Field(
        default=None, description="Modal Secrets by name, with their keys"
    )
    env: dict[str, str] | None = Field(default=None, description="What is no secret")
    volumes: dict[str, VolumeMount] | None = Field(default=None, description="By mount path")
    buckets: dict[str, BucketMount] | None = Field(default=None, description="By mount path")
    checks: dict[str, Check] | None = Field(
        default=None, description="Questions that a new version must answer right"
    )
    metrics: Metrics | None = Field(
        default=None, description="Lines of the log on GPUs and requests"
    )
    rollout: Rollout | None = Field(default=None, description="How a new version takes over")
    protect: bool | None = Field(default=None, description="Refuse to delete")
    budget: Budget | None = Field(default=None, description="What may be spent")
    allow: dict[str, Allow] | None = Field(
        default=None, description="Diagnostics that are known and accepted, by code"
    )


class Spec(Fields):
    """One model behind one URL."""

    apiVersion: Literal["modelctl/v1"] | None = Field(  # noqa: N815 - the contract's spelling
        default=None, description="The format of this file"
    )
    name: str | None = Field(
        default=None, description="The Modal app's name", pattern=NAME, max_length=63
    )
    renamed_from: str | None = Field(
        default=None, description="The name it had", pattern=NAME, max_length=63
    )
    only: list[str] | None = Field(default=None, description="The environments that have it")
    environments: dict[str, Fields] | None = Field(
        default=None, description="Any of the above, merged over it"
    )
