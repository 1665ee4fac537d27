"""Is a rendered app read back as the spec that it was rendered from?"""

from __future__ import annotations

from pathlib import Path

import pytest

from modelctl.importing import imported
from modelctl.importing.written import text
from modelctl.render import render
from modelctl.resolve import resolve
from modelctl.resolved import Resolved
from modelctl.spec.load import load_all
from modelctl.spec.project import find_project
from tests.render.examples import NAMES, example, facts

# An app that serves does not know which Secret the one that fetches has, nor which file of a
# laptop was put into a Volume: the note at the end, and one at the model, say so.
DIFFERS = {
    "llama-3-1-8b-eagle3": {"weights", "beside"},
    "llama-3-2-3b-lora": {"weights", "beside"},
    "smollm2-135m": {"weights", "mounts"},
}


def again(rendered: str, folder: Path) -> Resolved:
    (folder / "specs").mkdir()
    (folder / "modelctl.yaml").write_text("project: modelctl-examples\n")
    (one,) = imported(rendered.encode(), "app.py")
    written = text(one)
    assert "# not read: what an app does not say: allow, budget, environments" in written
    (folder / "specs/again.yaml").write_text(written)
    (loaded,) = load_all((), find_project(folder), [()], selectors=(), cwd=folder)
    assert loaded.diagnostics == ()
    (wanted,) = loaded.wanted
    return resolve(wanted, facts(wanted))


@pytest.mark.parametrize("name", NAMES)
def test_every_example_comes_back(name: str, tmp_path: Path) -> None:
    before = example(name)
    after = again(render(before).text, tmp_path)
    fields = {field for field in before.__struct_fields__ if field != "file"}
    differing = {field for field in fields if getattr(before, field) != getattr(after, field)}
    assert differing == DIFFERS.get(name, set())
    assert after.weights.argument == before.weights.argument
    if name not in DIFFERS:
        assert render(after).text == render(before).text
