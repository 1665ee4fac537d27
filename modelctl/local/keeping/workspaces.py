"""Who may come in, and to what? The workspaces, their tokens, and whose each object is."""

import hashlib
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from modelctl.local.keeping.ids import new_id
from modelctl.local.keeping.records import Environment, ProxyToken, Workspace
from modelctl.local.keeping.state import CALLER, DEFAULT_ENVIRONMENT, DEFAULT_WORKSPACE, State
from modelctl.local.protobuf import Message
from modelctl.local.rpc import Caller, Refused, Status

DEFAULT_NAME = "local"
_ID = re.compile(r"[a-z]{2}-[A-Za-z0-9]{22}")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_KINDS = {
    "ap": "App",
    "en": "Environment",
    "fu": "Function",
    "st": "Secret",
    "vo": "Volume",
    "di": "Dict",
    "qu": "Queue",
    "ta": "Container",
    "fc": "Function call",
    "de": "Definition",
}


class Workspaces:
    """All workspaces of this plane. `local` is there from the start, others are made by name."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._owners: dict[str, Callable[[str], str | None]] = {}
        self._by_token: dict[bytes, str] = {}
        if DEFAULT_WORKSPACE not in state.workspaces:
            self._make(DEFAULT_WORKSPACE, DEFAULT_NAME)
        for workspace in state.workspaces.values():
            self._admit(workspace)

    @property
    def default(self) -> Workspace:
        return self._state.workspaces[DEFAULT_WORKSPACE]

    def named(self, name: str) -> Workspace:
        """The workspace of that name, made on first use. ValueError for what is no name."""
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"{name!r} cannot name a workspace: use lower-case letters, digits and dashes."
            )
        for known in self._state.workspaces.values():
            if known.name == name:
                return known
        workspace = self._make(new_id("ac"), name)
        self._admit(workspace)
        return workspace

    def _make(self, workspace_id: str, name: str) -> Workspace:
        now = time.time()
        store = self._state.store
        token = _kept(store.get_meta("token")) if workspace_id == DEFAULT_WORKSPACE else None
        token_id, secret = token or new_token("a")
        main = next(
            (e for e in self._state.environments.values() if _is_main(e, workspace_id)), None
        )
        if main is None:
            main = Environment(new_id("en"), DEFAULT_ENVIRONMENT, now, workspace_id)
            self._state.save(main)
        workspace = Workspace(workspace_id, name, now, token_id, secret, main.id)
        self._state.save(workspace)
        proxy = _kept(store.get_meta("proxy_token")) if token else None
        self._make_proxy_token(workspace_id, proxy or new_token("w"))
        return workspace

    def proxy_token(self, workspace_id: str) -> ProxyToken:
        """The workspace's oldest; a new one where all were deleted."""
        for token in self._state.proxy_tokens.values():
            if token.workspace == workspace_id:
                return token
        return self._make_proxy_token(workspace_id, new_token("w"))

    def _make_proxy_token(self, workspace_id: str, token: tuple[str, str]) -> ProxyToken:
        made = ProxyToken(token[0], workspace_id, token[1], time.time())
        self._state.save(made)
        return made

    # -- who asks

    def _admit(self, workspace: Workspace) -> None:
        self._by_token[_digest(workspace.token_id, workspace.token_secret)] = workspace.id

    def with_token(self, token_id: str, secret: str) -> str | None:
        """The id of the workspace that this token opens.

        Looked up by a digest: how long it takes tells nothing about any secret.
        """
        return self._by_token.get(_digest(token_id, secret))

    def proxy_opens(self, app_id: str, token_id: str, secret: str) -> bool:
        """Whether this proxy token opens the protected servers of that app."""
        token = self._state.proxy_tokens.get(token_id)
        return (
            token is not None
            and secrets.compare_digest(token.secret.encode(), secret.encode(errors="replace"))
            and token.workspace == self._state.workspace_of(app_id)
        )

    # -- whose is it

    def know(self, prefix: str, app_of: Callable[[str], str | None]) -> None:
        """Tells to which app the objects with this id prefix belong, where no record says it."""
        self._owners[prefix] = app_of

    def of_object(self, object_id: str) -> str | None:
        """The id of the workspace that an object belongs to; None for what belongs to none."""
        if (app_of := self._owners.get(object_id[:2])) is not None:
            app_id = app_of(object_id)
            return self._state.workspace_of(app_id) if app_id else None
        return self._state.workspace_of(object_id)

    def enter(self, request: Any, caller: Caller) -> None:
        """Before each call: what it names is looked up in the caller's workspace.

        Another workspace's objects are not there for it, whatever the request is.
        """
        if len(self._state.workspaces) == 1:
            return
        own = caller.workspace or (self.of_object(caller.task_id) if caller.task_id else None)
        CALLER.set(own or DEFAULT_WORKSPACE)
        for object_id in _ids(request):
            if self.of_object(object_id) not in (None, CALLER.get()):
                kind = _KINDS.get(object_id[:2], "Object")
                raise Refused(Status.NOT_FOUND, f"{kind} with id '{object_id}' not found.")


def new_token(kind: str) -> tuple[str, str]:
    """A token's id and secret: kind `a` opens the API, `w` the servers."""
    return f"{kind}k-{secrets.token_hex(11)}", f"{kind}s-{secrets.token_hex(16)}"


def _kept(token: str | None) -> tuple[str, str] | None:
    """The token of a plane from before there were workspaces."""
    token_id, _, secret = (token or "").partition(" ")
    return (token_id, secret) if secret else None


def _is_main(environment: Environment, workspace_id: str) -> bool:
    return (environment.name, environment.workspace) == (DEFAULT_ENVIRONMENT, workspace_id)


def _digest(token_id: str, secret: str) -> bytes:
    return hashlib.sha256(f"{token_id}\n{secret}".encode()).digest()


def _ids(value: Any) -> Iterator[str]:
    """Every string in a message that is written like an object's id."""
    if isinstance(value, str):
        if _ID.fullmatch(value):
            yield value
    elif isinstance(value, Message):
        for _, inner in value.ListFields():
            yield from _ids(inner)
    elif isinstance(value, Mapping):
        for key in value:
            yield from _ids(key)
            yield from _ids(value[key])
    elif isinstance(value, Sequence) and not isinstance(value, bytes):
        for inner in value:
            yield from _ids(inner)
