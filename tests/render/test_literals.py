"""Does a literal mean the value, and does ruff leave it as it is?"""

from __future__ import annotations

import ast
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelctl.literals import Call, Chain, Rows, Writer, flat, quoted
from tests.examples import examples

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


def written(template: str, *values: Any) -> str:
    writer = Writer()
    return writer.write(template.format(*[writer.token(value) for value in values]))


def as_ruff_has_it(text: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--line-length", "100", "--isolated", "-"],
        input=text,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@given(VALUES)
@settings(max_examples=examples(200), deadline=None)
def test_a_literal_means_the_value(value: Any) -> None:
    assert ast.literal_eval(flat(value)) == value
    laid_out = written("x = {0}", value)
    assert (
        ast.literal_eval(
            laid_out.removeprefix("x = ").strip("() \n")
            if isinstance(value, str)
            else laid_out.removeprefix("x = ")
        )
        == value
    )


@given(st.text())
@settings(deadline=None)
def test_a_string_is_ascii_and_on_one_line(text: str) -> None:
    literal = quoted(text)
    assert literal.isascii()
    assert literal.isprintable()
    assert ast.literal_eval(literal) == text


@pytest.mark.parametrize("seed", range(4))
def test_ruff_changes_nothing(seed: int) -> None:
    """Many values in one file: ruff is started once a test, not once a value."""
    import random

    dice = random.Random(seed)

    def text() -> str:
        letters = "abc \"'\\\n\té\u202e{}%"
        return "".join(
            dice.choice(letters) for _ in range(dice.choice([0, 1, 3, 20, 60, 85, 90, 95, 120]))
        )

    def value(depth: int) -> Any:
        kind = dice.choice(
            ["text", "number", "list", "tuple", "dict"] if depth else ["text", "number"]
        )
        inner = [value(depth - 1) for _ in range(dice.randint(0, 4))] if depth else []
        made: dict[str, Any] = {
            "text": text(),
            "number": dice.choice([0, 1.5, -3, 10**12, True, None]),
            "list": inner,
            "tuple": tuple(inner),
            "dict": {f"key{n}": item for n, item in enumerate(inner)},
        }
        return made[kind]

    lines = ["import modal\n"]
    for number in range(60):
        lines.append(written(f"value_{'x' * (number % 7)} = {{0}}", value(3)))
    for _ in range(20):
        lines.append(
            written("rows = {0}", Rows({"a": [Rows([("--x", text())])], "b": Rows([(text(),)])}))
        )
    lines.append(written("f(\n    a={0},\n    b={1},\n)".replace("{1}", "{1}"), text(), value(3)))
    source = "\n".join(lines) + "\n"
    assert as_ruff_has_it(source) == source


@pytest.mark.parametrize("length", [1, 30, 60, 200])
def test_ruff_leaves_chains_alone(length: int) -> None:
    image = Chain(
        (
            Call("modal.Image.from_registry", ("x" * length,), {"add_python": "3.12"}),
            Call(".entrypoint", ([],)),
            Call(".run_commands", ("y" * length, "z")),
        )
    )
    volume = Chain(
        (
            Call("modal.Volume.from_name", ("v" * length,), {"create_if_missing": True}),
            Call(".with_mount_options", (), {"read_only": True}),
        )
    )
    source = written("image = {0}\n", image) + written(
        "f(\n    volumes={0},\n)\n", {"/models": volume}
    )
    assert as_ruff_has_it(source) == source


def test_what_is_called_is_a_name_of_ours() -> None:
    with pytest.raises(ValueError, match="not a name that may be called"):
        Call("modal.Image; import os")
    with pytest.raises(ValueError, match="not a name that may be called"):
        Call("modal.Image", (), {"a=1, b": 2})


def test_what_is_no_literal_is_refused() -> None:
    with pytest.raises(TypeError, match="a object cannot be written as a literal"):
        flat(object())
