"""What exists right now? The records in memory, the ways to find them, and their saving."""

from contextvars import ContextVar
from typing import TypeVar

from modelctl.local.keeping.records import (
    App,
    Definition,
    Dict,
    Endpoint,
    Environment,
    Function,
    Image,
    ImageName,
    Mount,
    ProxyToken,
    Queue,
    Record,
    Secret,
    Version,
    Volume,
    Workspace,
)
from modelctl.local.keeping.store import Store
from modelctl.local.rpc import Refused, Status

R = TypeVar("R", bound=Record)
Named = TypeVar("Named", bound=Secret | Volume | Dict | Queue)

DEFAULT_WORKSPACE = "ac-local"
DEFAULT_ENVIRONMENT = "main"
IMAGE_BUILDER_VERSION = "2026.10"
CALLER: ContextVar[str] = ContextVar("caller", default=DEFAULT_WORKSPACE)
"""The id of the workspace on whose behalf the running call is made: names are looked up in it."""


class State:
    """All records, by id. Whoever changes one calls `save`, which writes through to the store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.workspaces = store.load(Workspace)
        self.proxy_tokens = store.load(ProxyToken)
        self.environments = store.load(Environment)
        self.apps = store.load(App)
        self.versions = store.load(Version)
        self.functions = store.load(Function)
        self.definitions = store.load(Definition)
        self.endpoints = store.load(Endpoint)
        self.mounts = store.load(Mount)
        self.images = store.load(Image)
        self.image_names = store.load(ImageName)
        self.secrets = store.load(Secret)
        self.volumes = store.load(Volume)
        self.dicts = store.load(Dict)
        self.queues = store.load(Queue)
        self._adopt()
        self._mount_by_digest = {mount.digest: mount for mount in self.mounts.values()}
        self._image_by_digest = {image.digest: image for image in self.images.values()}
        self._definition_by_digest = {
            (definition.function_id, definition.digest): definition
            for definition in self.definitions.values()
        }
        self._function_by_name = {(f.app_id, f.name): f for f in self.functions.values()}
        self._live_app: dict[tuple[str, str], App] = {}
        self._stopped_app: dict[tuple[str, str], App] = {}
        for app in self.apps.values():
            self._index_app(app)
        self._versions_of: dict[str, dict[int, Version]] = {}
        for version in self.versions.values():
            self._versions_of.setdefault(version.app_id, {})[version.number] = version
        self._unnamed_secrets: dict[str, dict[str, Secret]] = {}
        for secret in self.secrets.values():
            self._index_secret(secret)

    def _adopt(self) -> None:
        """What an earlier version left: no workspaces, and environments known by their names."""
        by_name = {e.name: e for e in self.environments.values() if not e.workspace}
        for environment in by_name.values():
            environment.workspace = DEFAULT_WORKSPACE
            self.store.save(environment)
        groups = (self.apps, self.secrets, self.volumes, self.dicts) if by_name else ()
        for records in groups:
            for record in records.values():
                if record.environment in by_name:
                    record.environment = by_name[record.environment].id
                    self.store.save(record)

    def save(self, *records: Record) -> None:
        for record in records:
            match record:
                case Workspace():
                    self.workspaces[record.id] = record
                case ProxyToken():
                    self.proxy_tokens[record.id] = record
                case Environment():
                    self.environments[record.id] = record
                case App():
                    self.apps[record.id] = record
                    self._index_app(record)
                case Version():
                    self.versions[record.id] = record
                    self._versions_of.setdefault(record.app_id, {})[record.number] = record
                case Function():
                    self.functions[record.id] = record
                    self._function_by_name[record.app_id, record.name] = record
                case Definition():
                    self.definitions[record.id] = record
                    self._definition_by_digest[record.function_id, record.digest] = record
                case Endpoint():
                    self.endpoints[record.id] = record
                case Mount():
                    self.mounts[record.id] = record
                    self._mount_by_digest[record.digest] = record
                case Image():
                    self.images[record.id] = record
                    self._image_by_digest[record.digest] = record
                case ImageName():
                    self.image_names[record.id] = record
                case Secret():
                    self.secrets[record.id] = record
                    self._index_secret(record)
                case Volume():
                    self.volumes[record.id] = record
                case Dict():
                    self.dicts[record.id] = record
                case Queue():
                    self.queues[record.id] = record
        self.store.save(*records)

    def _index_app(self, app: App) -> None:
        key = (app.environment, app.name)
        if app.name and not app.stopped_at:
            self._live_app[key] = app
        elif self._live_app.get(key) is app:
            del self._live_app[key]
        last = self._stopped_app.get(key)
        if app.stopped_at and (last is None or last.stopped_at <= app.stopped_at):
            self._stopped_app[key] = app

    def _index_secret(self, secret: Secret) -> None:
        if not secret.name:
            self._unnamed_secrets.setdefault(secret.app_id, {})[secret.id] = secret

    @property
    def workspace(self) -> Workspace:
        """The caller's."""
        return self.workspaces[CALLER.get()]

    def environment(self, name: str) -> Environment:
        """The caller's environment of that name; the empty name is its workspace's default one."""
        if not name:
            return self.environments[self.workspace.default_environment]
        if found := self.find_environment(name):
            return found
        raise Refused(
            Status.NOT_FOUND,
            f"Environment '{name}' not found. Create it with `modal environment create {name}`.",
        )

    def find_environment(self, name: str) -> Environment | None:
        return next((found for found in self.own_environments() if found.name == name), None)

    def own_environments(self) -> list[Environment]:
        """Those of the caller's workspace, the oldest first."""
        workspace = CALLER.get()
        return [
            environment
            for environment in self.environments.values()
            if environment.workspace == workspace and not environment.deleted_at
        ]

    def environment_name(self, environment_id: str) -> str:
        """What users call it."""
        known = self.environments.get(environment_id)
        return known.name if known else environment_id

    def workspace_of(self, object_id: str) -> str | None:
        """The id of the workspace that an object belongs to; None for what belongs to none."""
        environment = object_id
        match object_id.partition("-")[0]:
            case "ap":
                found: App | Secret | Volume | Dict | Queue | None = self.apps.get(object_id)
            case "fu":
                function = self.functions.get(object_id)
                found = self.apps.get(function.app_id) if function else None
            case "de":
                definition = self.definitions.get(object_id)
                return self.workspace_of(definition.function_id) if definition else None
            case "st":
                found = self.secrets.get(object_id)
            case "vo":
                found = self.volumes.get(object_id)
            case "di":
                found = self.dicts.get(object_id)
            case "qu":
                found = self.queues.get(object_id)
            case _:
                found = None
        if found is not None:
            environment = found.environment
        known = self.environments.get(environment)
        return known.workspace if known else None

    def app(self, app_id: str) -> App:
        if app := self.apps.get(app_id):
            return app
        raise Refused(Status.NOT_FOUND, f"App with id '{app_id}' not found.")

    def deployed_app(self, environment: str, name: str) -> App | None:
        """By the environment's id."""
        return self._live_app.get((environment, name))

    def deployed_apps(self) -> list[App]:
        return list(self._live_app.values())

    def stopped_app(self, environment: str, name: str) -> App | None:
        """The one of that name that was stopped last."""
        return self._stopped_app.get((environment, name))

    def function(self, function_id: str) -> Function:
        if function := self.functions.get(function_id):
            return function
        raise Refused(Status.NOT_FOUND, f"Function with id '{function_id}' not found.")

    def function_named(self, app_id: str, name: str) -> Function | None:
        return self._function_by_name.get((app_id, name))

    def app_versions(self, app_id: str) -> list[Version]:
        mine = self._versions_of.get(app_id, {})
        return [mine[number] for number in sorted(mine)]

    def unnamed_secrets(self, app_id: str) -> list[Secret]:
        """Those that an app made of its own values."""
        mine = self._unnamed_secrets.get(app_id, {})
        return [secret for secret in mine.values() if secret.id in self.secrets]

    def mount_with(self, digest: str) -> Mount | None:
        return self._mount_by_digest.get(digest)

    def image_with(self, digest: str) -> Image | None:
        return self._image_by_digest.get(digest)

    def definition_with(self, function_id: str, digest: str) -> Definition | None:
        return self._definition_by_digest.get((function_id, digest))

    def volume(self, volume_id: str) -> Volume:
        if volume := self.volumes.get(volume_id):
            return volume
        raise Refused(Status.NOT_FOUND, f"Volume with id '{volume_id}' not found.")


def find_named(objects: dict[str, Named], environment: str, name: str) -> Named | None:
    """The object that bears this name in the environment with this id."""
    for found in objects.values():
        if found.name == name and found.environment == environment:
            return found
    return None
