"""Who may import whom, and who may touch network, clock, process and disk? The house's table."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "modelctl"

MAY_USE: dict[str, set[str]] = {
    "diagnostics": set(),
    "cores": set(),
    "literals": set(),
    "inside": set(),
    "masked": set(),
    "resolved": {"fit"},
    "spec": {"cores", "diagnostics", "inside", "masked"},
    "facts": {"diagnostics"},
    "weights": {"diagnostics", "facts", "inside", "resolved"},
    "fit": {"facts", "weights", "resolved"},
    "engines": {"spec", "facts", "weights", "fit", "resolved", "literals", "diagnostics"},
    "resolve": {"spec", "facts", "weights", "engines", "resolved"},
    "spoken": {"spec", "resolved"},
    "assess": {"resolve", "resolved", "engines", "facts", "fit", "weights"},
    "checks": {
        "assess",
        "facts",
        "fit",
        "diagnostics",
        "spec",
        "engines",
        "weights",
        "resolve",
        "rendered",
        "resolved",
    },
    "rendered": {"resolved"},
    "render": {"resolved", "rendered", "literals", "engines", "facts"},
    "record": {"resolved"},
    "platform": {"masked", "rendered", "resolved"},
    "render_fetch": {"render", "resolved", "literals"},
    "surplus": {"platform", "record"},
    "stock": {"platform", "resolved"},
    "plan": {"platform", "record", "rendered", "resolved"},
    "lease": {"platform"},
    "saved": {"plan", "platform", "resolved"},
    "health": set(),
    "loglines": {"platform", "rendered"},
    "apply": {
        "stock",
        "plan",
        "health",
        "lease",
        "loglines",
        "record",
        "platform",
        "rendered",
        "resolved",
    },
    "byhand": {"apply", "plan", "platform", "record", "rendered", "resolved"},
    "views": {
        "apply",
        "assess",
        "byhand",
        "fit",
        "plan",
        "record",
        "resolved",
        "diagnostics",
        "loglines",
        "surplus",
        "views",
    },
    "importing": {
        "checks",
        "diagnostics",
        "engines",
        "facts",
        "platform",
        "resolve",
        "spec",
    },
    "starter": {"spec"},
    "local": set(),
}
"""Room → the rooms that it may import. `cli` may import all; everybody may import themselves."""

MAY_TOUCH: dict[str, set[str]] = {
    "modal": {"platform"},
    "modal_proto": {"local", "platform"},
    "grpclib": {"platform", "local"},
    "aiohttp": {"health", "cli", "local"},
    "subprocess": {"local", "cli"},
    "urllib.request": {"local"},
    "socket": {"local"},
    "sqlite3": {"local"},
    "jinja2": {"render", "checks", "views"},
    "yaml": {"spec", "importing"},
    "rich": {"cli"},
    "click": {"cli"},
    "pydantic": {"spec"},
    "dataclasses": {"local", "cli"},
    "tempfile": {"platform", "local", "weights", "cli"},
}
"""Module → the only rooms that may import it."""

INSIDE_LOCAL: dict[str, set[str]] = {
    "keeping": set(),
    "running": {"keeping"},
    "services": {"keeping", "running"},
    "llama_server": set(),
}
"""The rooms of the local control plane, whose floor they share → those that they may import."""

MODULES = sorted(PACKAGE.rglob("*.py"))


def room_of(file: Path) -> str:
    first = file.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


ROOMS = {room_of(file) for file in MODULES} - {"cli", "__main__", "__init__"}


@cache
def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


@cache
def imports_of(file: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree_of(file)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute"
            found |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def identify(file: Path) -> str:
    return str(file.relative_to(PACKAGE))


@pytest.mark.parametrize("file", MODULES, ids=identify)
def test_a_room_uses_only_the_rooms_that_it_may(file: Path) -> None:
    room = room_of(file)
    if room in {"cli", "__main__", "__init__"}:
        return
    used = {
        name.split(".")[1]
        for name in imports_of(file)
        if name.startswith("modelctl.") and name.split(".")[1] in ROOMS
    }
    assert used - {room} <= MAY_USE[room]


@pytest.mark.parametrize(
    "file",
    [file for file in MODULES if file.parent.name in INSIDE_LOCAL],
    ids=identify,
)
def test_a_room_of_the_local_plane_uses_only_the_rooms_that_it_may(file: Path) -> None:
    used = {
        name.split(".")[2]
        for name in imports_of(file)
        if name.startswith("modelctl.local.") and name.split(".")[2] in INSIDE_LOCAL
    }
    assert used - {file.parent.name} <= INSIDE_LOCAL[file.parent.name]


@pytest.mark.parametrize("file", MODULES, ids=identify)
def test_the_world_comes_in_through_the_rooms_that_it_may(file: Path) -> None:
    imported = imports_of(file)
    for module, rooms in MAY_TOUCH.items():
        touches = any(name == module or name.startswith(f"{module}.") for name in imported)
        assert not touches or room_of(file) in rooms, f"{module} is imported in {file}"


@pytest.mark.parametrize("file", MODULES, ids=identify)
def test_a_module_opens_with_what_it_answers(file: Path) -> None:
    docstring = ast.get_docstring(tree_of(file))
    assert docstring, f"{file} has no docstring"


def test_every_room_is_in_the_table() -> None:
    assert set(MAY_USE) == ROOMS
