"""Which fields may modelctl.yaml have, and of which kind? One class a mapping, in its long form."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from modelctl.spec.models import NAME, Budget, Fields, Shape


class Environment(Shape):
    """Where specs go: a Modal environment of a workspace."""

    modal_environment: str | None = Field(
        default=None, description="Its name at Modal; the environment's own if left out"
    )
    workspace: str | None = Field(default=None, description="The Modal workspace")
    defaults: Fields | None = Field(default=None, description="Merged under every spec")
    waves: list[str] | None = Field(
        default=None, description="Label selectors, in order", examples=[["tier=canary"]]
    )
    confirm: bool | None = Field(default=None, description="Ask before anything is changed")


class BackendDefaults(Fields):
    """Defaults for one engine alone: its version, and any field of a spec."""

    version: str | None = Field(default=None, description="The engine's version")


class Policy(Shape):
    """What nobody's spec may go past."""

    gpus: list[str] | None = Field(default=None, description="GPU types that may be used")
    regions: list[str] | None = Field(default=None, description="Regions that may be used")
    images: list[str] | None = Field(default=None, description="Images that may be used, as globs")
    auth: list[str] | None = Field(default=None, description="Kinds of auth that may be used")
    budget: Budget | None = Field(default=None, description="What may be spent")


class Project(Shape):
    """modelctl.yaml, at the project's root."""

    apiVersion: Literal["modelctl/v1"] | None = Field(  # noqa: N815 - the contract's spelling
        default=None, description="The format of this file"
    )
    project: str | None = Field(
        default=None, description="The owner's mark", pattern=NAME, max_length=40
    )
    defaults: Fields | None = Field(default=None, description="Merged under every spec")
    backends: dict[Literal["vllm", "llama.cpp"], BackendDefaults] | None = Field(
        default=None, description="Defaults for one engine alone"
    )
    environments: dict[str, Environment] | None = Field(default=None, description="Where specs go")
    rules: dict[str, Literal["error", "warning", "off"]] | None = Field(
        default=None, description="Severities by diagnostic code"
    )
    policy: Policy | None = Field(default=None, description="What nobody's spec may go past")
