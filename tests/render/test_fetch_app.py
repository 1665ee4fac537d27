"""Does the app that fetches weights keep what is whole, go on where it was cut, and stop in time?

The rendered text itself runs here, without a container; tests/cli/test_fetching.py has the rest.
"""

from __future__ import annotations

import json
import subprocess
import sys
import types
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from msgspec.structs import replace

from modelctl.platform.weights import refusal
from modelctl.render_fetch import render_fetch
from modelctl.resolved import Bucket, Fetch, RemoteFile, Selection
from tests.hub.content import stored
from tests.hub.server import Hub

LARGE, SMALL = bytes(range(256)) * 2000, b'{"a": 1}'
FILES = {"model.safetensors": LARGE, "deep/config.json": SMALL, "empty.json": b""}

Run = Callable[..., Mapping[str, object]]

# Here it runs without its Volume on purpose.
pytestmark = pytest.mark.filterwarnings("ignore:The fetch function is executing locally")


def fetch_of(hub: Hub, repo: str = "org/m", secret: str | None = None) -> Fetch:
    commit = hub.repos[repo].refs["main"]
    files = tuple(
        RemoteFile(f.path, f.size, sha256=f.sha256)
        if f.lfs
        else RemoteFile(f.path, f.size, git_sha1=f.git_sha1)
        for f in hub.repos[repo].commits[commit].values()
    )
    return Fetch(f"hf://{repo}", commit, "modelctl-weights", f"/{repo}/{commit}/", files, secret)


class Outside:
    """What the app has of Modal, seen from a test: a queue and a Volume that take everything."""

    def put(self, told: int) -> None: ...

    def commit(self) -> None: ...


@pytest.fixture
def run(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the app of these fetches; its Volume is in `tmp_path`."""
    import huggingface_hub.constants as constants

    monkeypatch.setenv("MODELCTL_MOUNT_ROOT", str(tmp_path))
    monkeypatch.setenv("HF_TOKEN", "")
    monkeypatch.setenv("HF_TOKEN_PATH", "/nonexistent")
    template = f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)

    def ran(*fetches: Fetch, stalled: float = 5.0) -> Mapping[str, object]:
        module = types.ModuleType("fetching")
        exec(compile(render_fetch(fetches, variables={}), "fetching", "exec"), vars(module))
        module.PAUSE_SECONDS, module.STALLED_SECONDS = 0.001, stalled
        module.volume = Outside()
        answer = module.fetch.local(Outside())
        assert isinstance(answer, dict)
        return answer

    return ran


def there(tmp_path: Path, fetch: Fetch) -> dict[str, bytes]:
    folder = tmp_path / "weights" / fetch.prefix.strip("/")
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in folder.rglob("*.*")}


def said(fetch: Fetch, answer: Mapping[str, object]) -> str:
    problem = refusal(fetch, answer)
    assert problem is not None, answer
    return f"{problem.message} | {problem.hint}"


def test_every_file_is_there_and_the_manifest_says_so(hub: Hub, run: Run, tmp_path: Path) -> None:
    hub.add("org/m", FILES)
    fetch = fetch_of(hub)
    assert run(fetch) == {"fetched": len(LARGE) + len(SMALL)}
    found = there(tmp_path, fetch)
    manifest = json.loads(found.pop(".modelctl.json"))
    assert found == FILES
    kinds = {path: digest.partition(":")[0] for path, (_, digest) in manifest["files"].items()}
    assert kinds == {
        "model.safetensors": "sha256",
        "deep/config.json": "git",
        "empty.json": "git",
    }
    assert manifest["selections"] == {
        '{"purpose": "model"}': ["deep/config.json", "empty.json", "model.safetensors"]
    }


def test_a_second_purpose_is_added_to_the_first(hub: Hub, run: Run, tmp_path: Path) -> None:
    hub.add("org/m", FILES)
    both = fetch_of(hub)
    assert isinstance(both.files, tuple)
    small = replace(both, files=both.files[:1], selection=Selection("tokenizer"))
    assert run(small) == {"fetched": len(SMALL)}
    assert run(both) == {"fetched": len(LARGE)}
    manifest = json.loads(there(tmp_path, both)[".modelctl.json"])
    assert list(manifest["files"]) == ["deep/config.json", "empty.json", "model.safetensors"]
    assert len(manifest["selections"]) == 2


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 503, "times": 4},
        {"status": 429, "times": 2},
        {"cut": 100_000, "times": 3},
        {"cut": 0, "times": 5},
        {"per_second": 2_000_000},
    ],
    ids=str,
)
def test_a_hub_that_is_not_well_delays_and_costs_no_byte_twice(
    hub: Hub, run: Run, tmp_path: Path, fault: dict[str, int]
) -> None:
    hub.add("org/m", FILES)
    hub.fault("/large/*", **fault)
    fetch = fetch_of(hub)
    assert "fetched" in run(fetch)
    assert there(tmp_path, fetch)["model.safetensors"] == LARGE
    assert hub.sent("/large/*") == len(LARGE)


def test_a_hub_without_ranges_is_read_from_the_start(hub: Hub, run: Run, tmp_path: Path) -> None:
    hub.add("org/m", FILES)
    hub.fault("/large/*", cut=100_000, times=1)
    hub.fault("/large/*", whole=True)
    fetch = fetch_of(hub)
    assert run(fetch)["fetched"] == len(LARGE) + len(SMALL)
    assert there(tmp_path, fetch)["model.safetensors"] == LARGE


def test_a_hub_that_stalls_or_is_gone_is_left_in_time_and_what_came_is_kept(
    hub: Hub, run: Run, tmp_path: Path
) -> None:
    hub.add("org/m", FILES)
    fetch = fetch_of(hub)
    hub.fault("/large/*", cut=100_000, times=1)
    hub.fault("/large/*", wait=0.3)
    answer = run(fetch, stalled=0.05)
    assert said(fetch, answer) == (
        "could not fetch hf://org/m: the Hub does not give model.safetensors: nothing came for 0 s "
        "| apply again: what is whole is kept, and the rest goes on where it ended"
    )
    hub.clear()
    hub.down()
    assert "the Hub does not give model.safetensors: " in said(fetch, run(fetch))
    hub.up()
    asked = len(hub.log)
    assert "fetched" in run(fetch)
    assert there(tmp_path, fetch)["model.safetensors"] == LARGE
    (last,) = hub.asked("/large/*", "GET", asked)
    assert (last.start, last.sent) == (100_000, len(LARGE) - 100_000)
    assert hub.asked("*config.json", "GET", asked) == []


def test_what_is_not_what_was_locked_is_refused_and_deleted(
    hub: Hub, run: Run, tmp_path: Path
) -> None:
    hub.add("org/m", FILES)
    fetch = fetch_of(hub)
    hub.fault("*/config.json", wrong=True, times=1)
    answer = run(fetch)
    expected = stored(FILES)["deep/config.json"].git_sha1
    assert said(fetch, answer).startswith(
        "could not fetch hf://org/m: deep/config.json is not what was locked: its hash should be "
        f"{expected} and is "
    )
    assert "deep/config.json" not in there(tmp_path, fetch)
    assert "fetched" in run(fetch)
    assert there(tmp_path, fetch)["deep/config.json"] == SMALL

    assert isinstance(fetch.files, tuple)
    short = replace(fetch, prefix="/else/", files=(replace(fetch.files[2], size=1000),))
    assert said(short, run(short)) == (
        "could not fetch hf://org/m: model.safetensors is not what was locked: it should have 1000 "
        "bytes and has 512000; it was deleted | apply again; if it stays so, look at the "
        "repository and run modelctl lock"
    )
    assert there(tmp_path, short) == {}


def test_a_part_that_is_not_the_file_s_is_found_out(hub: Hub, run: Run, tmp_path: Path) -> None:
    hub.add("org/m", FILES)
    fetch = fetch_of(hub)
    folder = tmp_path / "weights" / fetch.prefix.strip("/")
    folder.mkdir(parents=True)
    (folder / "model.safetensors.part").write_bytes(b"x" * 1000)
    assert "its hash should be" in said(fetch, run(fetch))
    assert "fetched" in run(fetch)


def test_who_may_not_read_is_told_what_to_do(hub: Hub, run: Run) -> None:
    hub.add("org/gated", FILES, gated="manual", members=("hf_member",))
    hub.add("org/private", FILES, private=True, members=("hf_member",))
    hub.add("org/m", FILES)
    gated, private = fetch_of(hub, "org/gated"), fetch_of(hub, "org/private")
    make = "modal secret create huggingface HF_TOKEN=…, and model: {secret: huggingface}"
    assert said(gated, run(gated)) == (
        "could not fetch hf://org/gated: org/gated is gated | accept its terms on its page on the "
        f"Hub, then {make}"
    )
    assert said(private, run(private)) == (
        "could not fetch hf://org/private: there is no repository org/private, or it is private "
        f"| {make}"
    )
    gone = replace(fetch_of(hub), commit="e" * 40)
    assert said(gone, run(gone)) == (
        f"could not fetch hf://org/m: org/m has no commit {'e' * 40} any more | its history was "
        "rewritten: modelctl lock --upgrade"
    )
    other = replace(fetch_of(hub), files=(RemoteFile("x.json", 1, git_sha1="b" * 40),))
    assert said(other, run(other)) == (
        f"could not fetch hf://org/m: org/m has no x.json at {other.commit} | its history may have "
        "been rewritten: modelctl lock --upgrade"
    )


def test_one_file_that_is_refused_is_said_before_the_others_are_there(hub: Hub, run: Run) -> None:
    hub.add("org/m", FILES)
    hub.fault("/large/*", per_second=200_000)
    fetch = fetch_of(hub)
    assert isinstance(fetch.files, tuple)
    other = replace(fetch, files=(*fetch.files, RemoteFile("x.json", 1, git_sha1="b" * 40)))
    assert "org/m has no x.json" in said(other, run(other))
    assert hub.sent("/large/*") < len(LARGE)
    hub.clear()
    assert "fetched" in run(fetch)


def test_where_there_is_nothing_to_fetch_that_is_written_down(
    hub: Hub, run: Run, tmp_path: Path
) -> None:
    hub.add("org/m", FILES)
    nothing = replace(fetch_of(hub), files=())
    assert run(nothing) == {"fetched": 0}
    assert list(there(tmp_path, nothing)) == [".modelctl.json"]


def test_two_runs_do_not_write_into_one_file(hub: Hub, run: Run, tmp_path: Path) -> None:
    import fcntl

    hub.add("org/m", FILES)
    fetch = fetch_of(hub)
    folder = tmp_path / "weights" / fetch.prefix.strip("/")
    folder.mkdir(parents=True)
    with (folder / "model.safetensors.part").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert said(fetch, run(fetch)) == (
            "could not fetch hf://org/m: somebody else is fetching model.safetensors at this "
            "moment | apply again when that is done"
        )


@pytest.mark.parametrize("bucket", [None, Bucket("/bucket", "shelf", True, "m/", "keys")])
def test_the_app_is_code_as_people_write_it(
    hub: Hub, tmp_path: Path, bucket: Bucket | None
) -> None:
    hub.add("org/m", FILES)
    fetch = replace(fetch_of(hub, secret="hf"), bucket=bucket)
    text = render_fetch([fetch], variables={"HF_ENDPOINT": hub.url})
    file = tmp_path / "fetching.py"
    file.write_text(text)
    ruff = [sys.executable, "-m", "ruff"]
    style = ["--isolated", "--line-length", "100", str(file)]
    checks = ["--select", "E,F,W,I,B,UP,SIM,RET", "--target-version", "py311"]
    for command in (
        [*ruff, "format", "--check", *style],
        [*ruff, "check", *checks, *style],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    secret = '"keys")' if bucket else '"hf", required_keys=["HF_TOKEN"])'
    assert f"modal.Secret.from_name({secret}" in text
