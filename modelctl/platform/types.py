"""What can Modal be asked, and what does it answer, in this project's words?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from typing import Literal, Protocol

from msgspec import Struct

from modelctl.rendered import Rendered
from modelctl.resolved import Fetch, Scaling, Upload


class PlatformError(Exception):
    """Modal said no, or nothing. The message is a sentence for a person; `hint` is the way out."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Unreachable(PlatformError):
    """No answer: trying again may help. What was to be changed may have been, or not."""


class CredentialsRefused(PlatformError):
    """There are no credentials, or Modal does not take them."""


class NotThere(PlatformError, LookupError):
    """The thing that was asked for does not exist."""


class BuildFailed(PlatformError):
    """An image could not be built. `lines` are the last that its build printed."""

    def __init__(self, message: str, hint: str = "", lines: tuple[str, ...] = ()) -> None:
        super().__init__(message, hint)
        self.lines = lines


class CouldNotFetch(PlatformError):
    """A model's files could not be had: nothing was deployed, and trying again may help."""


class Refused(PlatformError):
    """Modal understood and said no."""


class Stale(PlatformError):
    """What lives is not what a plan was made for: nothing was changed."""


class LiveApp(Struct, frozen=True):
    """A deployed app as the list of an environment shows it, with one call for all of them.

    `version` counts deployments and starts again after a stop. `servers` maps class to object id.
    """

    name: str
    app_id: str
    version: int
    state: str
    deployed_at: datetime | None
    deployed_by: str
    servers: Mapping[str, str]


class Live(Struct, frozen=True):
    """Everything that lives in one environment, by the app's name."""

    environment: str
    apps: Mapping[str, LiveApp]


class Details(Struct, frozen=True):
    """What only asking each app by itself can tell; None where the app has no server of ours."""

    tags: Mapping[str, str]
    url: str | None
    scaling: Scaling | None
    gpus: tuple[str, ...] = ()
    region: str | None = None
    containers: tuple[str, ...] = ()


class Deployed(Struct, frozen=True):
    """`at` is when, by the platform's clock, which is that of its logs too."""

    app_id: str
    version: int
    url: str | None
    at: datetime | None = None


class Deployment(Struct, frozen=True):
    """One version of an app, as Modal's own history has it.

    `tag` is what the deployment was given: the digest, of those by modelctl. `rollback_of` is the
    version that came back with it. `commit` is of the folder that it was deployed from, "" where
    that was no checkout; `dirty`: with changes that were not committed.
    """

    version: int
    at: datetime | None
    by: str
    tag: str
    rollback_of: int | None
    commit: str = ""
    dirty: bool = False


class StoredWeights(Struct, frozen=True):
    """One folder of the weights' Volume: a commit of a source, or a local model by its content.

    `source` is `local` for the latter. `complete` is false where a fetch did not come to its end.
    `newest` is when something last changed in it.
    """

    prefix: str
    source: str
    commit: str
    files: int
    size: int
    complete: bool
    newest: datetime


class Billed(Struct, frozen=True):
    """What one app cost in one interval, by Modal's own bill; `tags` are those it had then."""

    app: str
    at: datetime
    usd: float
    tags: Mapping[str, str]


class LogLine(Struct, frozen=True):
    at: datetime
    source: Literal["stdout", "stderr", "system"]
    text: str
    container: str = ""
    """The id of the container that wrote it, where it is known."""


class Capabilities(Struct, frozen=True):
    """Which engines can run there. None: all of them (Modal builds the image)."""

    engines: Mapping[str, str | None] | None

    def lacks(self, command: str) -> bool:
        return self.engines is not None and not self.engines.get(command)


Progress = Callable[[str], None]
"""Takes one short phrase about a long step: `uploading model.gguf, 40 of 98 MB`."""


def silent(phrase: str) -> None:
    """The Progress of who does not ask."""


class Permission(Protocol):
    """What a change needs at the moment when it is sent."""

    async def check(self) -> None:
        """Return once there is one; raise where there is none any more."""
        ...

    def holds(self) -> bool:
        """Whether there is one at this very moment; asks nobody, from any thread."""
        ...


class Platform(Protocol):
    """One environment of one workspace, on Modal or on the local control plane.

    Every method raises a PlatformError and nothing else. A method that reads may be repeated; of
    those that write, each says what a repetition does.
    """

    @property
    def environment(self) -> str: ...

    @property
    def where(self) -> str:
        """For people: `Modal environment prod` or `local control plane`."""
        ...

    @property
    def paid(self) -> bool:
        """Whether what runs there is on Modal's bill."""
        ...

    async def open(self) -> None:
        """Connect; raises Unreachable or CredentialsRefused within seconds, not minutes."""
        ...

    def capabilities(self) -> Capabilities: ...

    def guard(self, permission: Permission | None) -> bool:
        """Ask for `permission` in the running event loop right before each call that changes
        something is sent, also between the calls of one deployment; what it raises ends the
        operation. None: no longer. False where this SDK does not allow that: then only who changes
        something asks.
        """
        ...

    async def observe(self) -> Live: ...

    async def details(self, app: LiveApp) -> Details: ...

    async def containers(self, app: LiveApp) -> frozenset[str]:
        """The ids of the containers that take requests now."""
        ...

    async def deploy(
        self, rendered: Rendered, *, tag: str, strategy: str, progress: Progress = silent
    ) -> Deployed:
        """Deploy a rendered app. Repeating it makes another version of the same app. `progress`
        takes what its images print while they are built."""
        ...

    async def stop(self, app: LiveApp) -> None:
        """Stop an app and all its containers. Stopping a stopped one does nothing."""
        ...

    async def scale(self, app: LiveApp, scaling: Scaling) -> None:
        """Set the autoscaler, in place. Repeating it does nothing."""
        ...

    async def history(self, app: LiveApp) -> Sequence[Deployment]:
        """The app's versions, the newest first."""
        ...

    async def roll_back(self, app: LiveApp, version: int, tags: Mapping[str, str]) -> LiveApp:
        """Make an earlier version the next one, with these tags; it has the scaling of its spec
        then. Repeating it makes another version."""
        ...

    async def roll_over(self, app: LiveApp) -> LiveApp:
        """Replace the containers by fresh ones of the same. Repeating it does it again."""
        ...

    async def look(self, app: LiveApp) -> LiveApp:
        """The same app as it is now: at another version, say, or stopped."""
        ...

    async def set_tags(self, app: LiveApp, tags: Mapping[str, str]) -> None:
        """Replace all tags of the app. Repeating it does nothing."""
        ...

    async def workspace(self) -> str:
        """The name of the workspace that the credentials are of."""
        ...

    async def upload(self, upload: Upload, progress: Progress) -> int:
        """Put a local model into its Volume; returns the bytes that were not there yet."""
        ...

    async def fetched(self, fetch: Fetch) -> bool:
        """Whether all of a fetch is in its Volume. Asks nobody but Modal."""
        ...

    async def fetch(self, fetches: Sequence[Fetch], progress: Progress) -> int:
        """Run the app that puts files of one commit into one folder of a Volume; their files are
        known. Returns the bytes. Repeating it asks for what is not whole yet."""
        ...

    async def read(self, volume: str, path: str) -> bytes | None:
        """A small file of a Volume, None where either is missing."""
        ...

    async def listed(self, volume: str, folder: str) -> Mapping[str, int]:
        """The sizes of the files below a folder of a Volume, by their paths in it; NotThere where
        there is no such Volume."""
        ...

    async def beginning(self, volume: str, path: str, count: int) -> bytes:
        """At least so many bytes of a file of a Volume, or all that it has."""
        ...

    async def write(self, volume: str, files: Mapping[str, bytes]) -> None:
        """Write small files, all in one commit. Repeating it does nothing."""
        ...

    async def volumes(self, beginning: str) -> tuple[str, ...]:
        """The names of the Volumes that begin with this."""
        ...

    async def secrets(self) -> frozenset[str]:
        """The names of the Secrets."""
        ...

    async def rates(self) -> Mapping[str, float]:
        """The workspace's own prices by Modal's names, USD a second."""
        ...

    async def billed(self, since: datetime, until: datetime, *, hourly: bool) -> tuple[Billed, ...]:
        """What the apps of the environment cost, a row for each app and hour, or day. The interval
        that has begun counts as far as it is billed."""
        ...

    async def stored(self, volume: str) -> tuple[StoredWeights, ...]:
        """What lies in the weights' Volume; nothing where it is missing."""
        ...

    async def remove(self, volume: str, prefix: str) -> None:
        """Remove a folder of a Volume. Removing what is not there does nothing."""
        ...

    async def dict_items(self, name: str) -> Mapping[str, str]:
        """The short texts of a Dict by their keys; nothing where there is no such Dict."""
        ...

    async def dict_put(self, name: str, key: str, value: str, *, if_absent: bool = False) -> bool:
        """Put a text into a Dict, made if it is missing. With `if_absent` the first one wins: False
        where the key was taken, or where the answer to our own put was lost and asked for again."""
        ...

    async def dict_pop(self, name: str, key: str) -> None:
        """Remove a key from a Dict. Removing what is not there does nothing."""
        ...

    def logs(self, app: LiveApp, *, tail: int, follow: bool) -> AsyncIterator[LogLine]: ...
