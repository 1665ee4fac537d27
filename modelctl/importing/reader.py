"""What do the names of a program hold, and which processes does it start? Read, never run.

Statements are followed in their order: assignments, branches whose test is known, loops over what
is known, calls of the file's own functions. All else gives a value that is not known.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from contextlib import suppress

from modelctl.importing.calls import is_plain, truth
from modelctl.importing.expressions import Expressions, Scopes, lost
from modelctl.importing.values import (
    LONGEST_LIST,
    Called,
    Defined,
    Instance,
    Ref,
    Unread,
    Value,
    kept,
    targets,
)

_CALLS_DEEP = 12


class _Returned(Exception):
    def __init__(self, value: Value) -> None:
        self.value = value


class Reader(Expressions):
    """One file. `names` are those of the module, once `module` was read."""

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[str, Value] = {"__name__": "imported", "__file__": Ref("__file__")}
        self._calls = 0

    def module(self, tree: ast.Module) -> None:
        self.names["__doc__"] = ast.get_docstring(tree)
        self._class_or_module(tree.body, (self.names,))

    def entered(self, defined: Defined) -> Value:
        """Follow a function, or the methods of a class that run when it starts."""
        self.started = []
        self.variables = {}
        if not isinstance(defined.node, ast.ClassDef):
            return self.into(defined, (), {}, defined.node.lineno)
        instance = self.instance(defined)
        for name in ("__init__", *instance.methods):
            method = instance.methods.get(name)
            if method is None or (name != "__init__" and not _begins(method)):
                continue
            self.into(method, (), {}, method.node.lineno)
        return instance

    def instance(self, defined: Defined) -> Instance:
        """A class with its body's names as the attributes of `self`."""
        assert isinstance(defined.node, ast.ClassDef)
        instance = Instance({})
        names: dict[str, Value] = {}
        self._class_or_module(defined.node.body, (*defined.scopes, names))
        methods = {}
        for name, value in names.items():
            if isinstance(value, Defined) and not isinstance(value.node, ast.ClassDef):
                methods[name] = Defined(value.node, value.decorators, defined.scopes, instance)
            elif isinstance(value, Called) and value.last == "parameter":
                instance.attributes[name] = value.options.get(
                    "default", Unread(f"{name} is a parameter", value.line)
                )
            else:
                instance.attributes[name] = value
        instance.methods = methods
        return instance

    def _body(self, body: Sequence[ast.stmt], scopes: Scopes) -> None:
        for statement in body:
            self.step(statement)
            self._statement(statement, scopes)

    def _statement(self, node: ast.stmt, scopes: Scopes) -> None:
        match node:
            case ast.Import():
                for alias in node.names:
                    name = alias.asname or alias.name.partition(".")[0]
                    scopes[-1][name] = Ref(alias.name if alias.asname else name)
            case ast.ImportFrom():
                for alias in node.names:
                    name = f"{node.module or ''}.{alias.name}"
                    scopes[-1][alias.asname or alias.name] = Ref(name)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                decorators = tuple(self.value(d, scopes) for d in node.decorator_list)
                scopes[-1][node.name] = Defined(node, decorators, scopes)
            case ast.Assign():
                value = self.value(node.value, scopes)
                for target in node.targets:
                    self.assign(target, value, scopes)
            case ast.AnnAssign() if node.value is not None:
                self.assign(node.target, self.value(node.value, scopes), scopes)
            case ast.AugAssign():
                self._augment(node, scopes)
            case ast.Expr():
                self.value(node.value, scopes)
            case ast.Return():
                raise _Returned(None if node.value is None else self.value(node.value, scopes))
            case ast.If():
                self._if(node, scopes)
            case ast.For() | ast.AsyncFor():
                self._for(node, scopes)
            case ast.While():
                self._doubtful(node.body, scopes, node.lineno)
            case ast.With() | ast.AsyncWith():
                for item in node.items:
                    value = self.value(item.context_expr, scopes)
                    if item.optional_vars is not None:
                        self.assign(item.optional_vars, value, scopes)
                self._body(node.body, scopes)
            case ast.Try():
                self._body([*node.body, *node.orelse, *node.finalbody], scopes)

    def assign(self, target: ast.expr, value: Value, scopes: Scopes) -> None:
        match target:
            case ast.Name():
                scopes[-1][target.id] = value
            case ast.Tuple() | ast.List():
                known = isinstance(value, list | tuple) and len(value) == len(target.elts)
                for index, element in enumerate(target.elts):
                    part = value[index] if known else Unread("it is taken apart", target.lineno)
                    self.assign(element, part, scopes)
            case ast.Attribute():
                on = self.value(target.value, scopes)
                if isinstance(on, Instance):
                    on.attributes[target.attr] = value
            case ast.Subscript():
                on, key = self.value(target.value, scopes), self.value(target.slice, scopes)
                if isinstance(on, Ref) and on.name == "os.environ" and isinstance(key, str):
                    self.variables[key] = value
                elif isinstance(on, dict) and is_plain(key):
                    on[key] = value

    def _augment(self, node: ast.AugAssign, scopes: Scopes) -> None:
        if not isinstance(node.target, ast.Name | ast.Attribute):
            return
        read = ast.copy_location(
            ast.Name(node.target.id, ast.Load())
            if isinstance(node.target, ast.Name)
            else ast.Attribute(node.target.value, node.target.attr, ast.Load()),
            node.target,
        )
        before, more = self.value(read, scopes), self.value(node.value, scopes)
        if isinstance(before, list) and isinstance(node.op, ast.Add):
            # In place: another name may hold the same list.
            before.extend(more if isinstance(more, list | tuple) else [lost(more, node.lineno)])
            del before[LONGEST_LIST:]
            self.spend(before, node)
            return
        made = self.operated(type(node.op).__name__, before, more, node)
        self.assign(node.target, made, scopes)

    def _if(self, node: ast.If, scopes: Scopes) -> None:
        known = truth(self.value(node.test, scopes))
        if known is None:
            self._doubtful(node.body, scopes, node.lineno)
            self._doubtful(node.orelse, scopes, node.lineno)
        else:
            self._body(node.body if known else node.orelse, scopes)

    def _for(self, node: ast.For | ast.AsyncFor, scopes: Scopes) -> None:
        over = self.value(node.iter, scopes)
        if isinstance(over, dict):
            over = list(over)
        if not isinstance(over, list | tuple):
            self._doubtful(node.body, scopes, node.lineno)
            return
        for item in list(over):
            self.assign(node.target, item, scopes)
            self._body(node.body, scopes)

    def _doubtful(self, body: Sequence[ast.stmt], scopes: Scopes, line: int) -> None:
        """What may happen or not: processes count, what it binds is not known afterwards."""
        before = {name: kept(value, line) for name, value in scopes[-1].items()}
        with suppress(_Returned):
            self._body(body, scopes)
        now = scopes[-1]
        for name in {name for statement in body for name in targets(statement)} | set(before):
            if name not in now or (name in before and _same(before[name], now[name])):
                continue
            if isinstance(now[name], Defined | Ref):
                continue
            now[name] = Unread(f"{name} depends on what holds when it runs", line)

    def into(
        self, defined: Defined, args: Sequence[Value], options: Mapping[str, Value], line: int
    ) -> Value:
        """Follow a function of the file with what it is called with."""
        node = defined.node
        assert not isinstance(node, ast.ClassDef)
        if self._calls >= _CALLS_DEEP:
            return Unread(f"{node.name}() calls too deep", line)
        self._calls += 1
        try:
            names = self._parameters(defined, args, options)
            self._body(node.body, (*defined.scopes, names))
        except _Returned as returned:
            return returned.value
        finally:
            self._calls -= 1
        return None

    def _parameters(
        self, defined: Defined, args: Sequence[Value], options: Mapping[str, Value]
    ) -> dict[str, Value]:
        assert not isinstance(defined.node, ast.ClassDef)
        said = defined.node.args
        named = [*said.posonlyargs, *said.args]
        given = list(args)
        if defined.owner is not None and named:
            given.insert(0, defined.owner)
        names: dict[str, Value] = {}
        defaults = dict(
            zip((a.arg for a in reversed(named)), reversed(said.defaults), strict=False)
        )
        defaults |= {
            a.arg: d
            for a, d in zip(said.kwonlyargs, said.kw_defaults, strict=True)
            if d is not None
        }
        for index, argument in enumerate([*named, *said.kwonlyargs]):
            name = argument.arg
            if index < min(len(given), len(named)):
                names[name] = given[index]
            elif name in options:
                names[name] = options[name]
            elif name in defaults:
                names[name] = self.value(defaults[name], defined.scopes)
            else:
                names[name] = Unread(f"{name} is given when it runs", argument.lineno)
        if said.vararg is not None:
            names[said.vararg.arg] = given[len(named) :]
        if said.kwarg is not None:
            known = {argument.arg for argument in [*named, *said.kwonlyargs]}
            names[said.kwarg.arg] = {k: v for k, v in options.items() if k not in known}
        return names

    def _class_or_module(self, body: Sequence[ast.stmt], scopes: Scopes) -> None:
        with suppress(_Returned):  # Python refuses such a file; what was read of it stands
            self._body(body, scopes)


def _begins(method: Defined) -> bool:
    """Whether Modal runs a method when a container starts."""
    return any(
        isinstance(decorator, Called | Ref)
        and decorator.name.rpartition(".")[2] in ("enter", "web_server", "build")
        for decorator in method.decorators
    )


def _same(before: Value, now: Value) -> bool:
    try:
        return bool(before == now) or before is now
    except RecursionError:
        return False
