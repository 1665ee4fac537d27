"""Can a text in any field of a spec, or any key, be more than a literal in any app of any engine?

Every field that takes a text is found by walking the models of a spec, so that none is forgotten.
Whatever the rules would say of such a spec, it is rendered: what is compared is the program that is
left when literals are taken out, beside the one of a harmless text in the same place.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from pydantic import ValidationError

from modelctl.render import CannotRender, render
from modelctl.render_fetch import render_fetch
from modelctl.resolve import resolve
from modelctl.resolve.sources import sources_beside
from modelctl.resolved import Fetch, LocalFile, RemoteFile
from modelctl.spec.kinds import Kind, LeafKind, ListKind, NamedKind, ShapeKind, choices
from modelctl.spec.models import Spec
from modelctl.weights.read import model_facts
from tests.examples import examples
from tests.fuzz.pieces import HOSTILE
from tests.fuzz.values import GOOD, KEYS
from tests.render.apps import EMBED, MUCH, QWEN3, SNAPSHOT, VOLUME, wanted

EVERYTHING = (
    "'\"\\\n\r\t{{ 7*7 }}{% raw %}{# x #}"
    "\"\"\"'''\x00\x001\x00\x1b[31m\u202e\u2028\ud800\\N{BULLET}"
    "{x!r}%s${HOME}`id`$(id)é🙂\\'); import os; os.system('id') #\nimport os\n" + "a" * 200
)

Path_ = tuple[str | int, ...]
KEY = "<key>"

LORA = {**QWEN3, "model": {**QWEN3["model"], "adapters": {"a": {"source": "hf://o/a"}}}}
BASES: dict[str, dict[str, Any]] = {
    "vllm": {**LORA, "speculative": {"method": "eagle3", "model": "hf://o/d", "tokens": 3}},
    "snapshot": SNAPSHOT,
    "embed": EMBED,
    "cluster": {**QWEN3, "gpu": [{"type": "H100:8"}], "nodes": 2, "parallel": {"tensor": 8}},
    "llama-server": {**VOLUME, "checks": {"a": {"prompt": "x"}}, "rollout": {"gate": "checks"}},
    "llama-cpp-python": {
        **VOLUME,
        "backend": {"name": "llama.cpp", "server": "llama-cpp-python", "args": {"n_threads": 4}},
    },
    "much": MUCH,
    "template": {**QWEN3, "chat_template": "x.jinja"},
    "dockerfile": {**EMBED, "image": {"dockerfile": "Dockerfile", "packages": ["httpx"]}},
}
"""One spec or more of each engine, server and kind of app."""


def texts_of(kind: Kind, path: Path_ = ()) -> Iterator[Path_]:
    """Every place where a text may stand; a key that people choose is `<key>` at the end."""
    match kind:
        case ShapeKind():
            for name, inner in kind.fields.items():
                if name != "environments":  # the same fields, merged before anything is rendered
                    yield from texts_of(inner, (*path, name))
        case NamedKind():
            yield (*path, KEY)
            yield from texts_of(kind.value, (*path, KEYS.get(str(path[-1]), ("a",))[0]))
        case ListKind():
            yield from texts_of(kind.item, (*path, 0))
        case LeafKind():
            of = get_args(kind.annotation) if get_origin(kind.annotation) else (kind.annotation,)
            if str in of and not choices(kind):
                yield path


PLACES = tuple(dict.fromkeys(texts_of(ShapeKind(Spec))))


def put(spec: Any, path: Path_, text: str, kind: Kind) -> Any:
    """The spec with `text` at `path`; what is on the way is made."""
    if not path:
        return text
    first, rest = path[0], path[1:]
    if isinstance(kind, ListKind):
        items = list(spec) if isinstance(spec, list) else []
        return [put(items[0] if items else None, rest, text, kind.item), *items[1:]]
    inside = dict(spec) if isinstance(spec, Mapping) else {}
    if isinstance(kind, NamedKind):
        if first == KEY:
            value = next(iter(inside.values()), _harmless_value(kind.value))
            return {**inside, text: value}
        return {**inside, first: put(inside.get(str(first)), rest, text, kind.value)}
    assert isinstance(kind, ShapeKind)
    field = kind.fields[str(first)]
    return {**inside, first: put(inside.get(str(first)), rest, text, field)}


def _harmless_value(kind: Kind) -> Any:
    match kind:
        case ShapeKind():
            short = kind.short or "prompt"
            return {short: "x"} if short in kind.fields else {}
        case ListKind():
            return []
        case _:
            return "x"


def facts_of(spec: Any) -> Any:
    model = spec.model
    beside = sources_beside(spec)
    source = model.source if model else None
    return model_facts(source, Path("specs"), Path(), hashed=False, beside=beside)


def app(base: str, spec: dict[str, Any], text: str = "{{ m }}", docker: str = "FROM a") -> str:
    """The rendered app; raises ValidationError or CannotRender where there is none."""
    want = wanted({**spec, "name": "a"} if not isinstance(spec.get("name"), str) else spec)
    facts = replace(
        facts_of(want.spec),
        chat_template=text if want.spec.chat_template else None,
        dockerfile=docker if want.spec.image and want.spec.image.dockerfile else None,
    )
    return render(resolve(want, facts)).text


def shape(text: str) -> str:
    """The program with every literal taken out, also lists of them and sums with the mount root."""

    class Blank(ast.NodeTransformer):
        def generic_visit(self, node: ast.AST) -> ast.AST:
            if isinstance(node, ast.expr) and _literal(node):
                return ast.Name("LITERAL", ast.Load())
            super().generic_visit(node)
            if isinstance(node, ast.Dict):  # how many entries it has is a value too
                node.keys, node.values = _once(node.keys), _once(node.values)
            if isinstance(node, ast.List | ast.Tuple | ast.Call):
                name = "args" if isinstance(node, ast.Call) else "elts"
                setattr(node, name, _once(getattr(node, name)))
            return node

    return ast.dump(Blank().visit(ast.parse(text)))


def _literal(node: ast.AST) -> bool:
    match node:
        case ast.Constant():
            return True
        case ast.UnaryOp(operand=inner):
            return _literal(inner)
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return all(map(_literal, items))
        case ast.Dict(keys=keys, values=values):
            return all(key is not None and _literal(key) for key in keys) and all(
                map(_literal, values)
            )
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return all(
                _literal(side) or (isinstance(side, ast.Name) and side.id == "MOUNT_ROOT")
                for side in (left, right)
            )
        case _:
            return False


def _once(nodes: list[Any]) -> list[Any]:
    """Of neighbours that read the same, one."""
    kept: list[Any] = []
    for node in nodes:
        if node is None or not kept or kept[-1] is None or ast.dump(kept[-1]) != ast.dump(node):
            kept.append(node)
    return kept


def literals_of(text: str) -> str:
    return "\x00".join(
        node.value
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


@cache
def program(base: str, place: Path_ = (), word: str = "") -> str | None:
    """The program of a base, or of one with a word that somebody could have meant at a place."""
    spec = put(BASES[base], place, word, ShapeKind(Spec)) if place else BASES[base]
    try:
        return shape(app(base, spec))
    except (ValidationError, CannotRender):
        return None


def is_harmless(found: str, base: str, place: Path_) -> bool:
    if found == program(base):
        return True
    # An empty text may leave its option out, as a field that nobody writes does.
    words = ["", "x", "/x/y", "3", "x" * 200, "--flag", "a-b", *GOOD.get(str(place[-1]), ())]
    words += KEYS.get(str(place[-2]), ()) if place[-1] == KEY and len(place) > 1 else ()
    return any(found == program(base, place, word) for word in words)


def tried(base: str, place: Path_, text: str) -> str | None:
    """The app with `text` at `place`, whose program is a harmless one's; None: refused."""
    try:
        made = app(base, put(BASES[base], place, text, ShapeKind(Spec)))
    except (ValidationError, CannotRender):
        return None
    assert made.isascii()
    assert is_harmless(shape(made), base, place), f"{base}: {place} changes the program"
    return made


def test_no_field_is_forgotten() -> None:
    """A sample of what the walk must find; a new field of text is found by itself."""
    found = {".".join(map(str, place)) for place in PLACES}
    assert {
        "name", "labels.<key>", "labels.team", "model.source", "model.file", "model.adapters.<key>",
        "backend.args.<key>", "backend.args.seed", "gpu.0.type", "gpu.0.args.<key>", "env.<key>",
        "env.A", "secrets.<key>", "secrets.hub.0", "volumes.<key>", "volumes./data.name",
        "buckets.<key>", "checks.<key>", "checks.a.messages.0.content", "image.run.0",
        "endpoint.api_key.secret", "endpoint.compute_regions.0", "model.served_as.0", "allow.<key>",
    } <= {name.replace("knows-paris", "a") for name in found}  # fmt: skip
    assert len(PLACES) > 60


def reached(base: str, places: Iterable[Path_]) -> int:
    """In how many of these places everything at once is taken, and gets into the app."""
    apps = (tried(base, place, EVERYTHING) for place in places)
    return sum("import os; os.system" in literals_of(made) for made in apps if made is not None)


def test_everything_at_once_in_every_field() -> None:
    """Each field in one of the apps."""
    bases = sorted(BASES)
    every = [reached(base, PLACES[n :: len(bases)]) for n, base in enumerate(bases)]
    assert sum(every) >= 15


@pytest.mark.full
@pytest.mark.parametrize("base", BASES)
def test_everything_at_once_in_every_field_of_every_app(base: str) -> None:
    assert reached(base, PLACES) >= 15


@given(st.sampled_from(sorted(BASES)), st.sampled_from(PLACES), st.sampled_from(HOSTILE))
@settings(max_examples=examples(40), deadline=None)
def test_what_has_broken_readers_in_any_field(base: str, place: Path_, text: str) -> None:
    tried(base, place, text)


@given(st.sampled_from(sorted(BASES)), st.sampled_from(PLACES), st.text(max_size=60))
@settings(max_examples=examples(40), deadline=None)
def test_any_text_in_any_field(base: str, place: Path_, text: str) -> None:
    tried(base, place, text)


@pytest.mark.parametrize("text", [EVERYTHING, *HOSTILE[1::12]])
def test_the_texts_of_files_beside_the_spec(text: str) -> None:
    """A chat template and a Dockerfile are literals, line by line."""
    template = app("template", BASES["template"], text=text)
    assert shape(template) == shape(app("template", BASES["template"]))
    lines = app("dockerfile", BASES["dockerfile"], docker=text)
    assert shape(lines) == shape(app("dockerfile", BASES["dockerfile"]))


@pytest.mark.parametrize("bucket", [False, True], ids=["hub", "bucket"])
@given(text=st.sampled_from((EVERYTHING, *HOSTILE[1:])) | st.text(min_size=1, max_size=60))
@settings(max_examples=examples(15), deadline=None)
def test_the_app_that_fetches(bucket: bool, text: str) -> None:
    """What a Hub or a bucket lists, and the variables of who applies, are literals too."""
    from modelctl.resolved import Bucket

    def fetching(text: str) -> str:
        files = (RemoteFile(text, 1, sha256="0" * 64), RemoteFile("b", 2, git_sha1="1" * 40))
        mount = Bucket("/b", text, read_only=True, prefix=text, secret=text, endpoint=text)
        fetch = Fetch(
            f"hf://{text}", text, text, text, files, text, bucket=mount if bucket else None
        )
        return render_fetch([fetch], variables={} if bucket else {text: text})

    assert shape(fetching(text)) == shape(fetching("x"))


def test_files_that_lie_here_are_literals() -> None:
    """The name of a local model's file."""
    want = wanted({"name": "a", "model": {"source": "./m.gguf"}, "backend": {"name": "llama.cpp"}})
    facts = model_facts("./m.gguf", Path("specs"), Path(), hashed=False)

    def local(name: str) -> str:
        whole = replace(
            facts, problem="", format="gguf", root=Path("models"), digest="0" * 64, size=1,
            files=(LocalFile(name, 1, "0" * 64),),
        )  # fmt: skip
        return render(resolve(want, whole)).text

    assert shape(local(f"{EVERYTHING}.gguf")) == shape(local("m.gguf"))
