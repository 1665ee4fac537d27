"""Which model servers does a file define, and what does each say to Modal?"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from msgspec import Struct, field

from modelctl.importing.expressions import Applied, Started
from modelctl.importing.reader import Reader
from modelctl.importing.values import Called, Defined, Value

_OF_AN_APP = ("server", "_experimental_server", "function", "cls")
_WEB = ("web_server", "http_server", "asgi_app", "wsgi_app", "fastapi_endpoint", "web_endpoint")


class Server(Struct, frozen=True):
    """A class or function that Modal gives a URL, and the processes that it starts.

    `options` are those of its app's decorator, `web` and `concurrent` those of the two others that
    say more; `kind` is `server` for what has its own port on Modal's router, else `function`.
    `variables` are set in the environment before the processes start.
    """

    name: str
    line: int
    kind: str
    app: Called | None
    options: Mapping[str, Value]
    web: Mapping[str, Value] = field(default_factory=dict)
    concurrent: Mapping[str, Value] = field(default_factory=dict)
    cluster: Called | None = None
    started: tuple[Started, ...] = ()
    variables: Mapping[str, Value] = field(default_factory=dict)


def servers(reader: Reader) -> list[Server]:
    """In the order of the file. What has no URL of its own is none."""
    found = [s for value in list(reader.names.values()) for s in _decorated(reader, value)]
    found += [s for applied in list(reader.applied) for s in _applied(reader, applied)]
    return sorted({server.name: server for server in found}.values(), key=lambda s: s.line)


def _decorated(reader: Reader, value: Value) -> Iterator[Server]:
    if isinstance(value, Defined):
        yield from _server(reader, value, [d for d in value.decorators if isinstance(d, Called)])


def _applied(reader: Reader, applied: Applied) -> Iterator[Server]:
    """`app.server(…)(Server)`, also with `modal.clustered(…)(Server)` in between."""
    decorators, on = [applied.decorator], applied.on
    while isinstance(on, Called) and on.on is not None and on.args:
        decorators.append(on.on)
        on = on.args[0]
    if isinstance(on, Defined) and decorators[0].last in _OF_AN_APP:
        yield from _server(reader, on, decorators)


def _server(reader: Reader, defined: Defined, decorators: list[Called]) -> Iterator[Server]:
    by_name = {decorator.last: decorator for decorator in decorators}
    of_app = next((by_name[name] for name in _OF_AN_APP if name in by_name), None)
    if of_app is None or of_app.name.startswith("modal.experimental"):
        return
    web = next((by_name[name] for name in _WEB if name in by_name), None)
    if isinstance(defined.node, ast.ClassDef):
        methods = reader.instance(defined).methods.values()
        said = [d for m in methods for d in m.decorators if isinstance(d, Called)]
        web = web or next((d for d in said if d.last in _WEB), None)
    concurrent = by_name.get("concurrent")
    own_port = of_app.last in ("server", "_experimental_server")
    if web is None and not own_port:
        return
    reader.entered(defined)
    yield Server(
        name=defined.node.name,
        line=defined.node.lineno,
        kind="server" if own_port or web is None or web.last == "http_server" else "function",
        app=of_app.on,
        options=of_app.options,
        web=web.options if web else {},
        concurrent=concurrent.options if concurrent else {},
        cluster=by_name.get("clustered"),
        started=tuple(reader.started),
        variables=dict(reader.variables),
    )
