"""What does the plane remember?

One dataclass per kind of object. A record is changed in place and handed to ``Store.save``; protos
that we only pass on are kept as their serialized bytes.
"""

from dataclasses import dataclass, field
from typing import ClassVar


@dataclass
class Workspace:
    """Everything of one customer: its token opens what lies in its environments, nothing else."""

    KIND: ClassVar[str] = "workspace"
    id: str
    name: str
    created_at: float
    token_id: str
    token_secret: str
    default_environment: str = ""  # an environment's id
    image_builder_version: str = ""  # empty: the newest


@dataclass
class ProxyToken:
    """What opens the protected servers of a workspace; the id is the key that requests show."""

    KIND: ClassVar[str] = "proxy_token"
    id: str
    workspace: str
    secret: str
    created_at: float
    name: str = ""


@dataclass
class Environment:
    """A deleted one is kept: what lived in it still belongs to its workspace."""

    KIND: ClassVar[str] = "environment"
    id: str
    name: str
    created_at: float
    workspace: str = ""
    web_suffix: str = ""
    image_builder_version: str = ""  # empty: the workspace's
    restricted: bool = False
    deleted_at: float = 0.0


@dataclass
class App:
    """An app; `function_ids`, `class_ids` and `definition_ids` are its published layout."""

    KIND: ClassVar[str] = "app"
    id: str
    environment: str  # an environment's id, as in all records
    description: str
    state: int
    created_at: float
    name: str = ""  # the deployment name; empty until it is first published
    deployed_at: float = 0.0
    stopped_at: float = 0.0
    stopped_by: str = ""
    version: int = 0
    tags: dict[str, str] = field(default_factory=dict)
    function_ids: dict[str, str] = field(default_factory=dict)
    class_ids: dict[str, str] = field(default_factory=dict)
    definition_ids: dict[str, str] = field(default_factory=dict)


@dataclass
class Version:
    """What one publish put live; the id is ``<app id>/<number>``."""

    KIND: ClassVar[str] = "version"
    id: str
    app_id: str
    number: int
    deployed_at: float
    client_version: str
    function_ids: dict[str, str]
    class_ids: dict[str, str]
    definition_ids: dict[str, str]
    tag: str = ""
    rollback_of: int = 0
    commit: bytes = b""  # api_pb2.CommitInfo


@dataclass
class Function:
    """A function or server; `definition_id` is what is live, empty before the first publish."""

    KIND: ClassVar[str] = "function"
    id: str
    app_id: str
    name: str
    definition_id: str = ""
    overrides: bytes = b""  # api_pb2.AutoscalerSettings changed live, until the next publish
    epoch: int = 0  # raised by a rollover: containers of an older epoch are replaced
    base_id: str = ""  # for a variant: the function that it varies, by parameters and options
    params: bytes = b""  # the parameters, as the SDK serialized them
    options: bytes = b""  # api_pb2.FunctionOptions


@dataclass
class Definition:
    """One FunctionCreate: immutable, shared by every version that did not change it."""

    KIND: ClassVar[str] = "definition"
    id: str
    function_id: str
    digest: str
    data: bytes  # api_pb2.FunctionData


@dataclass
class Endpoint:
    """The port of a server's URL; the id is ``<environment id>/<app>/<server>``."""

    KIND: ClassVar[str] = "endpoint"
    id: str
    port: int


@dataclass
class Mount:
    """Files by content; `files` holds [path, sha256, mode] sorted by path."""

    KIND: ClassVar[str] = "mount"
    id: str
    digest: str
    name: str = ""
    files: list[list[str | int]] = field(default_factory=list)


@dataclass
class Image:
    KIND: ClassVar[str] = "image"
    id: str
    digest: str  # of its recipe; empty once the recipe stands for another image
    builder_version: str
    image: bytes  # api_pb2.Image
    created_at: float = 0.0
    finished_at: float = 0.0
    state: str = "built"  # or building, failed, terminated
    failure: str = ""


@dataclass
class ImageName:
    """``name:tag`` in an environment; `revisions` holds [image id, when], oldest first."""

    KIND: ClassVar[str] = "image_name"
    id: str  # "<environment id>/<name>:<tag>"
    environment: str
    tag: str
    revisions: list[list[str | float]] = field(default_factory=list)


@dataclass
class Secret:
    """Values lie in the clear in a state directory that only its owner can read."""

    KIND: ClassVar[str] = "secret"
    id: str
    environment: str
    name: str
    app_id: str
    created_at: float
    env: dict[str, str] = field(default_factory=dict)
    held_until: float = 0.0  # an ephemeral object goes unless a heartbeat puts it off; 0: it stays


@dataclass
class Volume:
    KIND: ClassVar[str] = "volume"
    id: str
    environment: str
    name: str
    version: int
    created_at: float
    held_until: float = 0.0


@dataclass
class Dict:
    KIND: ClassVar[str] = "dict"
    id: str
    environment: str
    name: str
    created_at: float
    held_until: float = 0.0


@dataclass
class Queue:
    KIND: ClassVar[str] = "queue"
    id: str
    environment: str
    name: str
    created_at: float
    held_until: float = 0.0


Record = (
    Workspace
    | ProxyToken
    | Environment
    | App
    | Version
    | Function
    | Definition
    | Endpoint
    | Mount
    | Image
    | ImageName
    | Secret
    | Volume
    | Dict
    | Queue
)
