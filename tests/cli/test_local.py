"""What does `modelctl local` show of a plane, and how is it steered from the command line?"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from modelctl.cli import run
from modelctl.cli.local import command as local
from modelctl.cli.local_clock import in_words
from modelctl.cli.local_images import compared
from modelctl.local import lifecycle
from modelctl.local.faults import KINDS
from modelctl.local.tested import TESTED, other_version
from tests.conftest import Project, Ran, obey_interrupts
from tests.local.conftest import until


@dataclass(frozen=True)
class Here:
    """The command line in this process: a fresh one for each command would cost half a second."""

    project: Project
    captured: pytest.CaptureFixture[str]

    def run(self, *arguments: str) -> Ran:
        self.captured.readouterr()
        code = run(["local", *arguments])
        told = self.captured.readouterr()
        return Ran(code, told.out, told.err)

    @property
    def plane(self) -> lifecycle.Plane:
        return self.project.plane


@pytest.fixture
def plane(
    live: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Here]:
    """The module's plane, without faults and without an inventory before and after."""
    monkeypatch.chdir(live.root)
    monkeypatch.setenv("COLUMNS", "80")
    for name in [name for name in os.environ if name.startswith(("MODAL_", "MODELCTL_"))]:
        monkeypatch.delenv(name)
    lifecycle.clear_faults(live.plane)
    lifecycle.set_gpus(live.plane, None)
    yield Here(live, capsys)
    lifecycle.clear_faults(live.plane)
    lifecycle.set_gpus(live.plane, None)


def _sdk(plane: Project, code: str, before: str = "") -> str:
    """What a program that uses the SDK prints."""
    done = subprocess.run(
        [sys.executable, "-c", f"{before}\nimport modal\n{code}"],
        env=os.environ | lifecycle.environ(plane.plane),
        cwd=plane.root,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _lines(ran: Ran) -> list[str]:
    assert ran.code == 0, ran.err
    assert all(len(line) <= 80 for line in ran.out.splitlines())
    return ran.out.splitlines()


# -- GPUs


def test_gpus_are_set_and_shown(plane: Here) -> None:
    nothing = ["no inventory: requests for GPUs run on the processor"]
    assert _lines(plane.run("gpus")) == nothing
    assert _lines(plane.run("gpus", "H100=2,L40S=4")) == [
        "type  there  in use  waiting",
        "H100      2       0        0",
        "L40S      4       0        0",
    ]
    shown = plane.run("gpus", "--output", "json").json
    assert shown == {
        "format": 1, "inventory": {"H100": 2, "L40S": 4}, "in_use": {}, "waiting": [],
    }  # fmt: skip
    assert _lines(plane.run("gpus", "none")) == nothing


def test_who_waits_is_shown(plane: Here) -> None:
    plane.run("gpus", "L40S=0")
    (plane.project.root / "waits.py").write_text(
        "import modal\n"
        "app = modal.App('waits')\n"
        "@app.server(gpu=['H100', 'L40S:2'], min_containers=1, unauthenticated=True)\n"
        "class Server:\n"
        "    @modal.enter()\n"
        "    def start(self): pass\n"
    )
    _sdk(plane.project, "import waits\nwaits.app.deploy()")
    container = until(lambda: lifecycle.gpus(plane.plane)["waiting"])[0]["container"]
    assert _lines(plane.run("gpus")) == [
        "type  there  in use  waiting",
        "L40S      0       0        1",
        "",
        f"who waits  {'container':<{len(container)}}  for",
        f"waits      {container}  H100 or L40S:2",
    ]
    stop = [sys.executable, "-m", "modal", "app", "stop", "waits", "--yes"]
    subprocess.run(stop, env=os.environ | lifecycle.environ(plane.plane), check=True)


def test_gpus_that_modal_does_not_have_are_wrong_use(plane: Here) -> None:
    ran = plane.run("gpus", "H1000=2")
    assert ran.code == 64
    assert ran.err.startswith("error: there is no GPU H1000; Modal has T4, L4, ")
    ran = plane.run("gpus", "H100")
    assert ran.code == 64
    assert "'H100' is no entry of an inventory; write TYPE=COUNT: H100=2,L40S=4" in ran.err


def test_up_sets_gpus_on_a_plane_that_runs(plane: Here) -> None:
    ran = plane.run("up", "--gpus", "T4=1")
    assert "GPUs as if there were: 1 T4" in ran.out.splitlines()
    assert lifecycle.gpus(plane.plane)["inventory"] == {"T4": 1}
    assert plane.run("up", "--output", "json").json["gpus"] == {"T4": 1}
    plane.run("up", "--gpus", "none")
    assert lifecycle.gpus(plane.plane)["inventory"] is None


# -- faults


def test_faults_are_added_shown_and_cleared(plane: Here) -> None:
    assert plane.run("fault", "ls").out == "no fault holds\n"
    added = plane.run(
        *("fault", "add", "latency"),
        *("--method", "App*", "--seconds", "0.5", "--times", "3"),
    )
    first = added.out.split(":")[0]
    assert added.out == f"{first}: take it back with modelctl local fault clear {first}\n"
    second = plane.run("fault", "add", "revoke", "--output", "json").json["id"]
    assert _lines(plane.run("fault", "ls")) == [
        f"{'id':<{len(second)}}  fault    met     what",
        f"{first}  latency  0 of 3  calls App*, seconds 0.5",
        f"{second}  revoke   0",
    ]
    assert "  faults             2: modelctl local fault ls" in plane.run("status").out
    assert plane.run("fault", "clear", first).out == "1 fault cleared\n"
    listed = plane.run("fault", "ls", "--output", "json").json["faults"]
    assert [fault["kind"] for fault in listed] == ["revoke"]
    assert plane.run("fault", "clear").out == "1 fault cleared\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["quake"], "there is no fault quake; there are latency, "),
        (["latency"], "latency needs seconds"),
        (["revoke", "--gpu", "H100"], "revoke takes no gpu; it takes skip and times"),
        (["refuse", "--status", "SAD"], "there is no status SAD; there are "),
        (["crash", "--times", "0"], "times must be a whole number of at least 1, not 0"),
    ],
)
def test_a_fault_that_cannot_be_is_wrong_use(
    plane: Here, arguments: list[str], sentence: str
) -> None:
    ran = plane.run("fault", "add", *arguments)
    assert ran.code == 64
    assert ran.err.startswith(f"error: {sentence}")


def test_a_fault_that_does_not_hold_cannot_be_cleared(plane: Here) -> None:
    ran = plane.run("fault", "clear", "f999")
    assert ran.code == 64
    assert "no fault f999 holds; modelctl local fault ls shows them" in ran.err


def test_help_tells_of_every_kind_of_fault() -> None:
    group = local.commands["fault"]
    assert isinstance(group, click.Group)
    words = (group.commands["add"].help or "").split()
    assert [kind for kind in KINDS if kind not in words] == []


# -- the clock


def test_the_clock_is_shown_and_moved(plane: Here) -> None:
    assert plane.run("clock").out.endswith(", which is this machine's\n")
    assert plane.run("clock", "advance", "90m").out.endswith(
        ", 1 h 30 min ahead of this machine's\n"
    )
    assert plane.run("clock", "--output", "json").json["ahead"] == 5400
    ran = plane.run("clock", "advance", "soon")
    assert ran.code == 64
    assert "soon is no span of time; write 90s, 10m, 2h or 7d" in ran.err
    ran = plane.run("clock", "advance", "3650d")
    assert ran.code == 64
    assert (
        "the clock can be at most 3650d ahead of this machine's: there is room for 315354600s more"
    ) in " ".join(ran.err.split())
    assert plane.run("clock", "--output", "json").json["ahead"] == 5400


@pytest.mark.parametrize(
    ("ahead", "words"),
    [
        (0.0, "which is this machine's"),
        (0.25, "0.25 s ahead of this machine's"),
        (7 * 86400 + 61, "7 d 1 min 1 s ahead of this machine's"),
    ],
)
def test_how_far_a_clock_is_ahead_in_words(ahead: float, words: str) -> None:
    assert in_words(ahead) == words


# -- calls


def test_calls_are_shown_with_what_they_took(plane: Here) -> None:
    since = plane.project.last_call()
    _sdk(plane.project, "modal.App.lookup('called', create_if_missing=True)")
    heads, *calls = _lines(plane.run("calls", "--since", str(since)))
    assert heads.split() == ["n", "at", "ms", "call"]
    number, _, took, *call = calls[-1].split()
    assert int(number) > since
    assert float(took) >= 0
    assert call == ["AppGetOrCreate", "called"]
    found = plane.run("calls", "--method", "AppGet*", "--output", "json").json["calls"]
    assert {call["method"] for call in found} >= {"AppGetOrCreate"}
    assert all(call["method"].startswith("AppGet") for call in found)


def test_a_call_that_was_refused_says_how(plane: Here) -> None:
    since = plane.project.last_call()
    lifecycle.add_fault(plane.plane, "refuse", status="NOT_FOUND", times=1)
    _sdk(
        plane.project,
        "try: modal.App.lookup('a-name-that-is-long-enough-to-be-cut-off-' + 'x' * 20)\n"
        "except modal.exception.NotFoundError: pass",
    )
    (line,) = _lines(plane.run("calls", "--since", str(since)))[1:]
    assert len(line) == 80
    assert " AppGetOrCreate a-name-that-is-" in line
    assert line.endswith("…  NOT_FOUND")


def test_calls_are_followed_until_interrupted(plane: Here) -> None:
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "modelctl", "local", "calls", "-f", "--output", "json",
         "--method", "AppGetOrCreate", "--since", str(plane.project.last_call())],
        cwd=plane.project.root,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=obey_interrupts,
    )  # fmt: skip
    assert process.stdout is not None
    _sdk(plane.project, "modal.App.lookup('followed', create_if_missing=True)")
    call = json.loads(process.stdout.readline())
    assert call["request"]["app_name"] == "followed"
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130


# -- images


@pytest.fixture(scope="module")
def two(live: Project) -> tuple[str, str]:
    """The ids of two images that differ in the last of their layers."""
    made = _sdk(
        live,
        "app = modal.App.lookup('images', create_if_missing=True)\n"
        "base = modal.Image.from_registry('scratch-linux', add_python='3.12')\n"
        "for version in '12':\n"
        "    image = base.run_commands('make base', f'make v{version}', 'make end')\n"
        "    image.build(app)\n"
        "    print(image.object_id)\n",
    )
    first, second = made.split()
    return first, second


def test_an_image_is_shown_layer_by_layer(plane: Here, two: tuple[str, str]) -> None:
    listed = plane.run("images")
    lines = _lines(listed)
    assert lines[0].split() == ["id", "state", "layers", "apps", "last", "step"]
    assert [two[0], "built", "3", "-", "RUN", "make", "end"] in [line.split() for line in lines]
    shown = plane.run("images", "show", two[0]).out.splitlines()
    assert shown[0] == f"{two[0]}  built  3 layers"
    assert shown[-6:] == [
        "",
        f"layer 3  {two[0]}",
        "  FROM base",
        "  RUN make base",
        "  RUN make v1",
        "  RUN make end",
    ]
    data = plane.run("images", "show", two[0], "--output", "json").json
    assert data["layers"][2]["lines"][2] == "RUN make v1"
    by_start = plane.run("images", "show", two[0][:12], "--output", "json").json
    assert by_start["id"] == two[0]


def test_two_images_are_compared_like_two_versions_of_a_file(
    plane: Here, two: tuple[str, str]
) -> None:
    assert plane.run("images", "diff", *two).out.splitlines() == [
        f"--- {two[0]}",
        f"+++ {two[1]}",
        "@@ layer 1 · same @@",
        "@@ layer 2 · same @@",
        "@@ layer 3 · differs @@",
        " FROM base",
        " RUN make base",
        "-RUN make v1",
        "+RUN make v2",
        " RUN make end",
    ]
    layers = plane.run("images", "diff", *two, "--output", "json").json["layers"]
    assert [layer["same"] for layer in layers] == [True, True, False]


def test_an_image_that_is_not_there_is_wrong_use(plane: Here, two: tuple[str, str]) -> None:
    ran = plane.run("images", "show", "nothing")
    assert ran.code == 64
    assert "there is no image nothing, and no app of that name" in ran.err
    ran = plane.run("images", "show", "im-")
    assert ran.code == 64
    assert two[0] in ran.err and two[1] in ran.err


def test_layers_pair_up_by_their_steps() -> None:
    def layer(layer_id: str, *lines: str) -> dict[str, object]:
        return {"id": layer_id, "lines": list(lines)}

    a = [layer("1", "FROM x"), layer("2", "RUN one"), layer("3", "RUN end")]
    b = [layer("4", "FROM y"), layer("5", "RUN one"), layer("6", "NEW"), layer("7", "RUN end")]
    pairs = compared(a, b)
    assert [(p.a, p.b, p.same, p.steps_same) for p in pairs] == [
        ("1", "4", False, False),
        ("2", "5", False, True),
        (None, "6", False, False),
        ("3", "7", False, True),
    ]
    assert pairs[0].lines == ["-FROM x", "+FROM y"]
    assert pairs[2].lines == ["+NEW"]
    assert all(pair.same for pair in compared(a, a))


# -- engines


def test_engines_are_listed_registered_and_forgotten(plane: Here) -> None:
    engine = plane.project.root / "bin" / "my-engine"
    engine.parent.mkdir()
    engine.write_text("#!/bin/sh\n")
    engine.chmod(0o755)
    lines = plane.run("engines").out.splitlines()
    assert lines[0].split() == ["engine", "version", "from", "where"]
    assert [line.split()[0] for line in lines[1:]] == ["llama-server", "vllm", "llama-cpp-python"]
    added = plane.run("engines", "add", "my-engine", "--command", "bin/my-engine")
    assert added.out == f"my-engine is {engine}\n"
    assert plane.plane.engines["my-engine"] == str(engine)
    listed = plane.run("engines", "ls", "--output", "json").json["engines"]
    assert listed[-1]["name"] == "my-engine"
    assert plane.run("engines", "rm", "my-engine").code == 0
    assert "my-engine" not in plane.plane.engines
    again = plane.run("engines", "rm", "my-engine")
    assert again.code == 64
    assert "no engine my-engine is registered" in again.err


def test_an_engine_has_one_place(plane: Here) -> None:
    ran = plane.run("engines", "add", "vllm", "--venv", "a", "--command", "b")
    assert ran.code == 64
    assert "say --venv or --command, not both" in ran.err


# -- the SDK's version, and no plane


def test_another_version_of_the_sdk_is_said(plane: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    assert other_version(TESTED) is None
    sentence = (
        "Modal's SDK has version 9.9.9, and the local control plane was tested with 1.6.4: "
        "what differs between them may fail here."
    )
    assert other_version("9.9.9") == sentence
    for command in ("up", "status"):
        assert plane.run(command).err == ""
    monkeypatch.setattr("importlib.metadata.version", lambda _: "9.9.9")
    for command in ("up", "status"):
        assert plane.run(command).err == f"warning: {sentence}\n"


def test_a_client_of_another_version_is_logged_once(plane: Here) -> None:
    for _ in range(2):
        _sdk(
            plane.project,
            "modal.App.lookup('other', create_if_missing=True)",
            before="import modal_version; modal_version.__version__ = '9.9.9'",
        )
    log = (plane.plane.state_dir / "plane.log").read_text()
    assert log.count("Modal's SDK has version 9.9.9") == 1


@pytest.mark.parametrize(
    "command",
    [["gpus"], ["fault", "ls"], ["fault", "add", "revoke"], ["clock"], ["calls"], ["images"]],
)
def test_without_a_plane_the_way_out_is_said(project: Project, command: list[str]) -> None:
    ran = project.run("local", *command)
    assert ran.code == 6
    assert ran.err == "error: no local control plane runs here; start one: modelctl local up\n"


def test_every_command_that_shows_something_has_json() -> None:
    def leaves(group: click.Group) -> Iterator[click.Command]:
        for found in group.commands.values():
            if isinstance(found, click.Group):
                yield from leaves(found)
            else:
                yield found

    assert local.commands
    for found in leaves(local):
        assert "output" in {parameter.name for parameter in found.params}, found.name
        assert found.help, found.name


def test_the_page_names_every_command_of_local() -> None:
    page = (Path(__file__).parents[2] / "docs" / "local-control-plane.md").read_text()
    assert [name for name in local.commands if f"modelctl local {name}" not in page] == []
