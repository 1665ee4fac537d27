"""How are named objects found, made, listed and ended? Volumes, Secrets, Dicts and Queues alike."""

from collections.abc import Callable
from typing import Any, Generic, Protocol

from modal_proto import api_pb2

from modelctl.local.clock import Clock
from modelctl.local.keeping.records import Environment
from modelctl.local.keeping.state import Named, State, find_named
from modelctl.local.rpc import Refused, Status

FAIL_IF_EXISTS = api_pb2.OBJECT_CREATION_TYPE_CREATE_FAIL_IF_EXISTS
OVERWRITE = api_pb2.OBJECT_CREATION_TYPE_CREATE_OVERWRITE_IF_EXISTS
IF_MISSING = api_pb2.OBJECT_CREATION_TYPE_CREATE_IF_MISSING
EPHEMERAL = api_pb2.OBJECT_CREATION_TYPE_EPHEMERAL
ONLY_EXISTING = api_pb2.OBJECT_CREATION_TYPE_UNSPECIFIED

HELD = 900.0  # seconds that an ephemeral object stays after its last heartbeat. See assumptions.


class Request(Protocol):
    """What all get-or-create requests have."""

    deployment_name: str
    environment_name: str
    object_creation_type: api_pb2.ObjectCreationType.ValueType


class Shelf(Generic[Named]):
    """All objects of one kind. `end` is what removing one takes beside its record."""

    def __init__(
        self,
        kind: str,
        state: State,
        objects: dict[str, Named],
        clock: Clock,
        end: Callable[[Named], Any] = lambda _: None,
    ) -> None:
        self._kind = kind
        self._state = state
        self._objects = objects
        self._clock = clock
        self._end = end

    def get(self, object_id: str) -> Named:
        found = self._objects.get(object_id)
        if found is None or self._overdue(found):
            raise Refused(Status.NOT_FOUND, f"{self._kind} with id '{object_id}' not found.")
        return found

    def get_or_create(
        self, request: Request, make: Callable[[str, str], Named]
    ) -> tuple[Named, bool]:
        """The object that the request names, and whether it is a new one.

        `make` is given the environment's id and the name, which is empty for an ephemeral object.
        """
        environment = self._state.environment(request.environment_name)
        name, how = request.deployment_name, request.object_creation_type
        if how == EPHEMERAL:
            return self._ephemeral(environment, make), True
        found = find_named(self._objects, environment.id, name) if name else None
        if found is not None:
            if how == FAIL_IF_EXISTS:
                raise Refused(Status.ALREADY_EXISTS, f"{self._kind} '{name}' already exists.")
            return found, False
        if how == ONLY_EXISTING:
            raise Refused(
                Status.NOT_FOUND,
                f"{self._kind} '{name}' not found in environment '{environment.name}'.",
            )
        made = make(environment.id, name)
        self._state.save(made)
        return made, True

    def _ephemeral(self, environment: Environment, make: Callable[[str, str], Named]) -> Named:
        for found in [found for found in self._objects.values() if self._overdue(found)]:
            self.remove(found)
        made = make(environment.id, "")
        self._hold(made)
        return made

    def hold(self, object_id: str) -> None:
        """A heartbeat: somebody still uses this ephemeral object."""
        self._hold(self.get(object_id))

    def _hold(self, held: Named) -> None:
        held.held_until = self._clock.time() + HELD
        self._state.save(held)

    def _overdue(self, found: Named) -> bool:
        return bool(found.held_until) and found.held_until < self._clock.time()

    def newest(self, environment: Environment, pagination: api_pb2.ListPagination) -> list[Named]:
        """The named ones in an environment, newest first, at most as many as asked for."""
        before = pagination.created_before
        named = [
            found
            for found in self._objects.values()
            if found.name
            and found.environment == environment.id
            and (not before or found.created_at < before)
        ]
        named.sort(key=lambda found: -found.created_at)
        return named[: pagination.max_objects or len(named)]

    def remove(self, found: Named) -> Any:
        del self._objects[found.id]
        self._state.store.delete(found)
        return self._end(found)

    def leave(self, environment: Environment) -> list[Any]:
        """Removes all that live in an environment."""
        there = [f for f in self._objects.values() if f.environment == environment.id]
        return [self.remove(found) for found in there]
