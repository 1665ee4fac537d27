"""What may a spec say of its containers: when they come, where they are, what is in them?"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from modelctl.spec.shape import Shape
from modelctl.spec.values import ADDRESS, Duration

MOST_CONTAINERS = 10_000
"""Of one app: far more than anybody runs, and few enough that no sum of them overflows."""


class Metrics(Shape):
    """Use of the GPUs and requests of the engine, as lines of the log."""

    __short__: ClassVar[str | None] = "interval"

    interval: Duration | None = Field(default=None, description="How often a line is written")
    enabled: bool | None = Field(default=None, description="Whether any line is written")


class Scaling(Shape):
    """When containers come and go. Changes in place, without a new version."""

    max: int | None = Field(
        default=None, ge=1, le=MOST_CONTAINERS, description="Containers at most"
    )
    buffer: int | None = Field(
        default=None, ge=0, le=MOST_CONTAINERS, description="Idle containers under load"
    )
    idle_timeout: Duration | None = Field(
        default=None, description="How long a container may be idle"
    )
    scaleup_window: Duration | None = Field(
        default=None, description="How long load lasts before that"
    )


class SecretKey(Shape):
    """One key of a Modal Secret."""

    secret: str | None = Field(default=None, description="The Modal Secret's name")
    key: str | None = Field(default=None, description="The key in it")


class Endpoint(Shape):
    """Where the URL is, who may call it, and how a container starts and ends."""

    auth: Literal["proxy", "api-key", "none"] | None = Field(
        default=None, description="Modal proxy tokens, the engine's key, or open"
    )
    api_key: SecretKey | None = Field(default=None, description="Where the API key is")
    region: str | None = Field(
        default=None, description="Where requests enter", examples=["us-east"]
    )
    compute_regions: list[str] | None = Field(default=None, description="Where containers may run")
    cloud: str | None = Field(default=None, description="The cloud that containers run in")
    nonpreemptible: bool | None = Field(default=None, description="Containers that are not moved")
    startup_timeout: Duration | None = Field(default=None, description="How long a start may take")
    drain: Duration | None = Field(default=None, description="How long running requests may take")


class Image(Shape):
    """The container image, where the engine's own is not enough."""

    __short__: ClassVar[str | None] = "base"

    base: str | None = Field(default=None, description="The image to begin with")
    install: Literal["official", "pip"] | None = Field(
        default=None, description="The engine's own image, or pip on a CUDA image"
    )
    secret: str | None = Field(default=None, description="The Modal Secret of a private registry")
    python: str | None = Field(default=None, description="Python's version", examples=["3.12"])
    packages: list[str] | None = Field(default=None, description="pip requirements")
    apt: list[str] | None = Field(default=None, description="Debian packages")
    run: list[str] | None = Field(default=None, description="Shell commands")
    dockerfile: str | None = Field(default=None, description="A file to build instead")


class VolumeMount(Shape):
    """A Modal Volume at a path."""

    __short__: ClassVar[str | None] = "name"

    name: str | None = Field(default=None, description="The Volume's name")
    read_only: bool | None = Field(default=None, description="Nothing may be written")


class BucketMount(Shape):
    """A bucket at a path."""

    __short__: ClassVar[str | None] = "bucket"

    bucket: str | None = Field(default=None, description="The bucket: s3://, gs:// or r2://name")
    endpoint: str | None = Field(
        default=None,
        description="Where it is, if not at Amazon or Google: of R2 the account's address",
        pattern=ADDRESS,
        examples=["https://ACCOUNT.r2.cloudflarestorage.com"],
    )
    read_only: bool | None = Field(default=None, description="Nothing may be written")
    prefix: str | None = Field(default=None, description="The part of the bucket that is seen")
    secret: str | None = Field(default=None, description="The Modal Secret that opens it")
