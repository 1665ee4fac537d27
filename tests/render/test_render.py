"""Is the rendered app the one that was reviewed, and can nothing in a spec change its code?"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from modelctl.render import CannotRender, module_name, render
from modelctl.rendered import TAG_DIGEST
from modelctl.resolved import Resolved, Scaling
from tests.examples import examples
from tests.render.apps import (
    EMBED,
    QWEN3,
    SMOLLM2,
    SNAPSHOT,
    VOLUME,
    local_gguf,
    much,
    own_dockerfile,
    resolved,
)
from tests.render.examples import NAMES, example

GOLDEN = Path(__file__).parent / "golden"
TEMPLATES = Path(__file__).parents[2] / "templates"
# `UPDATE_GOLDEN=1 pytest tests/render` writes the files anew; read what changed.
UPDATE = os.environ.get("UPDATE_GOLDEN") == "1"

# Each example of `specs/`, and some that say what no example says.
APPS: dict[str, Callable[[], Resolved]] = {
    **{f"specs/{name.replace('-', '_')}": partial(example, name) for name in NAMES},
    "smollm2_135m": lambda: resolved(SMOLLM2, local_gguf()),
    "qwen3_8b": lambda: resolved(QWEN3),
    "llama_from_volume": lambda: resolved(VOLUME),
    "embed_bge": lambda: resolved(EMBED),
    "qwen3_8b_snapshot": lambda: resolved(SNAPSHOT),
    "own_dockerfile": own_dockerfile,
    "much_at_once": much,
}


@pytest.mark.parametrize("name", APPS)
def test_the_app_is_the_golden_one(name: str) -> None:
    golden = GOLDEN / f"{name}.py"
    text = render(APPS[name]()).text
    if UPDATE:
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


def test_the_golden_apps_are_clean() -> None:
    """As ruff formats and likes it, in the strictest mypy; what a server must do is left out."""
    files = [str(file) for file in sorted(GOLDEN.rglob("*.py"))]
    ruff = [sys.executable, "-m", "ruff"]
    formatted = [*ruff, "format", "--check", "--isolated", "--line-length", "100", *files]
    # T201: a container's log is what it prints. S104: it must listen on all addresses. E501: a
    # value is never broken in two.
    rules = ["--config", "pyproject.toml", "--ignore", "T201,S104,E501", "--no-cache"]
    for command in (formatted, [*ruff, "check", *rules, *files]):
        done = subprocess.run(command, capture_output=True, text=True, cwd=TEMPLATES.parent)
        assert done.returncode == 0, done.stdout + done.stderr


def test_modal_takes_the_golden_apps() -> None:
    """Importing one makes modal check every argument; nothing of modelctl may be needed for it."""
    code = (
        "import importlib.util, sys\n"
        "sys.modules['modelctl'] = None\n"
        "for path in sys.argv[1:]:\n"
        "    spec = importlib.util.spec_from_file_location('app', path)\n"
        "    module = importlib.util.module_from_spec(spec)\n"
        "    spec.loader.exec_module(module)\n"
        "    print(module.app.name, type(module.server).__name__, type(module.Server).__name__)\n"
    )
    files = [str(GOLDEN / f"{name}.py") for name in APPS]
    done = subprocess.run([sys.executable, "-c", code, *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    names = [make().name for make in APPS.values()]
    assert done.stdout.splitlines() == [f"{name} Server type" for name in names]


def test_every_value_goes_through_the_filter() -> None:
    """A `{{ }}` without `| py` would let a spec write code."""
    for template in TEMPLATES.rglob("*.j2"):
        text = template.read_text(encoding="utf-8")
        for expression in re.findall(r"\{\{(.*?)\}\}", text, re.DOTALL):
            known = re.fullmatch(r" [a-z_.]+ \| py | super\(\) -?", expression)
            assert known, f"{template}: {expression}"
        assert "{%-" not in text
        assert "| safe" not in text


def shape(text: str) -> str:
    """The program without its literals: what is left must not depend on a value."""

    class Blank(ast.NodeTransformer):
        def visit_Constant(self, node: ast.Constant) -> ast.AST:
            kind = type(node.value).__name__
            return ast.copy_location(ast.Constant(f"<{kind}>"), node)

    return ast.dump(Blank().visit(ast.parse(text)))


# What begins with a dash is joined to its flag, which is another shape of the same program.
HOSTILE = st.text(max_size=40).filter(lambda text: not text.startswith("-")) | st.sampled_from(
    [
        '"; import os; os.system("x") #',
        "'''",
        '"""',
        "{{ name }}",
        "{% raw %}",
        "\x000\x00",
        "a\nb",
        "\\",
        "\u202e",
        "#",
        "${HOME}",
        "\ud800",
    ]
)


@given(HOSTILE, HOSTILE, HOSTILE, HOSTILE)
@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_value_changes_the_program(one: str, two: str, three: str, four: str) -> None:
    def app(one: str, two: str, three: str, four: str) -> str:
        base = resolved(
            {
                **QWEN3,
                "env": {"A": one},
                "chat_template": "x.jinja",
                "labels": {"a": two},
                "endpoint": {
                    "auth": "api-key",
                    "api_key": {"secret": three, "key": four},
                    "region": one,
                },
                "volumes": {"/data": {"name": two}},
                "buckets": {"/b": {"bucket": three, "prefix": four, "secret": one}},
                "image": {
                    "base": one,
                    "run": [two],
                    "apt": [three],
                    "packages": [four],
                    "secret": one,
                },
                "tools": one,
                "reasoning": two,
                "secrets": {three: [four]},
                "backend": {"name": "vllm", "args": {"seed": one, "other": [two]}},
            }
        )
        changed = replace(base, served_as=(three,), chat_template=four, name=base.name)
        changed = replace(changed, weights=replace(changed.weights, argument="/models/" + "m"))
        return render(changed).text

    # What is empty is left out, and so is a bucket's prefix of slashes alone.
    four = four if four.strip("/") else "x"
    assume_keys = (one or "x", two or "x", three or "x", four)
    assert shape(app(*assume_keys)) == shape(app("a", "b", "c", "d"))


def test_scaling_is_no_part_of_the_digest() -> None:
    base = resolved(QWEN3)
    digest = render(base).digest
    assert re.fullmatch(r"[0-9a-f]{32}", digest)
    scaled = replace(base, scaling=Scaling(7, 9, 3, 77, 5, 3.5))
    assert render(scaled).digest == digest
    assert "min_containers=7" in render(scaled).text


CHANGES: list[dict[str, Any]] = [
    {"context": 1024},
    {"tools": "pythonic"},
    {"gpu": [{"type": "H100"}]},
    {"labels": {"a": "b"}},
    {"env": {"A": "b"}},
    {"concurrency": {"target": 32, "max": 65}},
    {"backend": {"name": "vllm", "version": "0.33.0"}},
    {"endpoint": {"drain": "31s"}},
    {"model": {"source": "hf://Qwen/Qwen3-4B"}},
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_anything_else_is_part_of_the_digest(change: dict[str, Any]) -> None:
    assert render(resolved({**QWEN3, **change})).digest != render(resolved(QWEN3)).digest


def test_the_same_spec_gives_the_same_bytes() -> None:
    first, second = render(resolved(QWEN3)), render(resolved(QWEN3))
    assert first == second
    assert first.tags[TAG_DIGEST] == first.digest
    assert first.tags == {"modelctl-project": "examples", "modelctl-digest": first.digest}


def test_the_module_is_an_identifier_that_no_library_has() -> None:
    assert module_name("smollm2-135m") == "serve_smollm2_135m"
    assert module_name("3d-model").isidentifier()


def test_an_app_without_a_hash_is_refused() -> None:
    from modelctl.resolved import Unknown

    unhashed = resolved(SMOLLM2, local_gguf(digest=Unknown("not hashed"), files=()))
    with pytest.raises(CannotRender) as refused:
        render(unhashed)
    assert str(refused.value) == (
        "smollm2-135m: ../models/SmolLM2-135M-Instruct.Q4_1.gguf has no address yet: not hashed"
    )


def test_templates_may_be_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "vllm"
    folder.mkdir()
    (folder / "app.py.j2").write_text("NAME = {{ name | py }}\nTAGS = {{ tags | py }}\n")
    text = render(resolved(QWEN3), templates=tmp_path).text
    assert text.splitlines()[0] == 'NAME = "qwen3-8b"'


def test_a_template_that_makes_no_python_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "vllm"
    folder.mkdir()
    (folder / "app.py.j2").write_text("def :\n")
    with pytest.raises(CannotRender, match="qwen3-8b: the template made no Python"):
        render(resolved(QWEN3), templates=tmp_path)
