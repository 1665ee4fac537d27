"""How does a method of ours become an RPC of Modal's?

A service is any object with methods named after RPCs in snake case (`app_create` serves AppCreate).
A method takes the request, and the caller if it cares, and returns the response, a coroutine of it,
or an async generator of responses for the streaming ones. It refuses by raising :class:`Refused`.
"""

import asyncio
import inspect
import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from grpclib.const import Handler, Status
from grpclib.exceptions import GRPCError, StreamTerminatedError
from grpclib.server import Stream
from modal_proto.api_grpc import ModalClientBase

from modelctl.local.faults import NO_TROUBLE, Cut, Faults, Refuse, Revoke, Trouble
from modelctl.local.once import Once, keep

__all__ = ["Caller", "Method", "Refused", "Router", "Status", "methods_of"]

log = logging.getLogger(__name__)

Method = Callable[[Any, "Caller"], Any]
Record = Callable[[str, Any, float, str, "Caller"], None]
Opens = Callable[[str, str], str | None]


class Refused(Exception):
    """A request that is answered with a gRPC status and a sentence."""

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True)
class Caller:
    """Who asks: a client that showed a workspace's token, or one of our containers."""

    client_version: str = ""
    task_id: str = ""
    workspace: str = ""  # its id; empty: the one that was there first
    connection: str = ""  # a process has one: the port at its end


@cache
def _signatures() -> Mapping[str, Handler]:
    """Every RPC of the installed SDK, by name: its cardinality and message types."""

    async def unserved(self: object, stream: object) -> None:
        raise NotImplementedError

    names = ModalClientBase.__abstractmethods__
    concrete: Any = type("Signatures", (ModalClientBase,), dict.fromkeys(names, unserved))
    table: Mapping[str, Handler] = concrete().__mapping__()
    return {path.rpartition("/")[2]: handler for path, handler in table.items()}


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def methods_of(*services: object) -> dict[str, Method]:
    """The RPCs that these services serve, by Modal's name for them."""
    by_snake = {_snake(name): name for name in _signatures()}
    served: dict[str, Method] = {}
    for service in services:
        for attribute in dir(service):
            if (name := by_snake.get(attribute)) is not None:
                if name in served:
                    raise ValueError(f"two services serve {name}")
                method = getattr(service, attribute)
                knows_caller = len(inspect.signature(method).parameters) > 1
                served[name] = method if knows_caller else _ignoring_caller(method)
    return served


def _ignoring_caller(method: Callable[[Any], Any]) -> Method:
    return lambda request, _: method(request)


class Router:
    """The RPCs as grpclib wants them, for one kind of caller.

    With `opens` every call must carry a token, and it says which workspace that opens; without, all
    calls come from the container `task_id`, which owns the socket that they arrive on. `enter` is
    told of every call before it is answered, and may refuse it. `faults` meet the calls, and `once`
    knows those that were made before.
    """

    def __init__(
        self,
        methods: Mapping[str, Method],
        *,
        settle: Callable[[], None],
        record: Record | None = None,
        opens: Opens | None = None,
        enter: Callable[[Any, Caller], None] | None = None,
        task_id: str = "",
        faults: Faults | None = None,
        once: Once | None = None,
    ) -> None:
        self._methods = methods
        self._settle = settle
        self._record = record
        self._opens = opens
        self._enter = enter
        self._task_id = task_id
        self._faults = faults
        self._once = once or Once()

    def __mapping__(self) -> dict[str, Handler]:
        mapping: dict[str, Handler] = {}
        for name, (_, cardinality, request_type, response_type) in _signatures().items():
            handler = self._handler(name, self._methods.get(name), cardinality.server_streaming)
            path = f"/modal.client.ModalClient/{name}"
            mapping[path] = Handler(handler, cardinality, request_type, response_type)
        return mapping

    def _caller(self, stream: "Stream[Any, Any]") -> Caller:
        metadata: Mapping[str, Any] = stream.metadata or {}
        workspace = ""
        if self._opens is not None:
            opened = self._opens(
                str(metadata.get("x-modal-token-id", "")),
                str(metadata.get("x-modal-token-secret", "")),
            )
            if opened is None:
                raise Refused(
                    Status.UNAUTHENTICATED,
                    "The token is not the local control plane's. "
                    'Run `eval "$(modelctl local env)"` to use it.',
                )
            workspace = opened
        version = str(metadata.get("x-modal-client-version", ""))
        return Caller(version, self._task_id, workspace, _connection(stream))

    def _handler(
        self, name: str, method: Method | None, streaming: bool
    ) -> Callable[["Stream[Any, Any]"], Awaitable[None]]:
        async def handle(stream: "Stream[Any, Any]") -> None:
            began = time.perf_counter()
            request = await stream.recv_message()
            caller = Caller(task_id=self._task_id)
            status = Status.OK
            try:
                caller = self._caller(stream)
                trouble = NO_TROUBLE
                if self._faults is not None:
                    trouble = self._faults.of_call(name, streaming=streaming)
                    await self._faults.wait(trouble.late, "before")
                    _refuse(trouble)
                if method is None:
                    raise Refused(
                        Status.UNIMPLEMENTED, f"The local control plane does not serve {name}."
                    )
                if self._enter is not None:
                    self._enter(request, caller)
                try:
                    if streaming:
                        answers = method(request, caller)
                        self._settle()
                        if not await _send_all(stream, answers, trouble.cut):
                            status = Status.CANCELLED
                            return
                    else:
                        answer = await self._answer(name, method, stream, request, caller)
                except Refused:
                    await self._late(trouble)
                    raise
                await self._late(trouble)
                if streaming:
                    return
                if trouble.lost is not None:
                    raise Refused(
                        Status.UNAVAILABLE,
                        f"The call took effect and its answer was lost (fault {trouble.lost.id}).",
                    )
                await stream.send_message(answer)
            except Refused as refused:
                status = refused.status
                self._settle()
                raise GRPCError(status, refused.message) from None
            except StreamTerminatedError:
                status = Status.CANCELLED
            except asyncio.CancelledError:
                status = Status.CANCELLED  # the caller went away
                raise
            except Exception as error:
                status = Status.INTERNAL
                log.exception("%s failed", name)
                raise GRPCError(
                    status,
                    f"The local control plane failed in {name}: {type(error).__name__}: {error}. "
                    "Its log has the details.",
                ) from None
            finally:
                if self._record is not None:
                    elapsed = (time.perf_counter() - began) * 1000
                    self._record(name, request, elapsed, status.name, caller)

        return handle

    async def _late(self, trouble: Trouble) -> None:
        if self._faults is not None:
            await self._faults.wait(trouble.late, "after")

    async def _answer(
        self, name: str, method: Method, stream: "Stream[Any, Any]", request: Any, caller: Caller
    ) -> Any:
        metadata: Mapping[str, Any] = stream.metadata or {}
        if key := str(metadata.get("x-idempotency-key", "")):
            key = f"{caller.workspace} {key}"
        make = partial(self._carry_out, method, request, caller)
        return await self._once.answer(name, key, _signatures()[name].reply_type, make)

    async def _carry_out(self, method: Method, request: Any, caller: Caller) -> Any:
        answer = method(request, caller)
        answer = await answer if inspect.isawaitable(answer) else answer
        keep(answer)
        self._settle()
        return answer


def _connection(stream: "Stream[Any, Any]") -> str:
    address = stream.peer.addr()
    return str(address[1]) if isinstance(address, tuple) else ""


def _refuse(trouble: Trouble) -> None:
    match trouble.refusal:
        case Refuse() as refusal:
            sentence = refusal.message or f"The call was refused on demand (fault {refusal.id})."
            raise Refused(Status[refusal.status], sentence)
        case Revoke() as revoked:
            raise Refused(Status.UNAUTHENTICATED, f"The token was revoked (fault {revoked.id}).")


async def _send_all(stream: "Stream[Any, Any]", answers: Any, cut: Cut | None) -> bool:
    """Sends what comes; False if the stream was cut before its end."""
    limit = asyncio.timeout((cut and cut.seconds) or None)
    try:
        async with limit:
            async for message in answers:
                await stream.send_message(message)
                if cut is not None and not cut.seconds:
                    break
            else:
                return True
    except TimeoutError:
        if not limit.expired():
            raise
    await answers.aclose()
    await stream.cancel()
    return False
