"""Is everything that engines read put where it belongs before they start, and once?"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from modelctl.apply import Result
from modelctl.platform.types import CouldNotFetch, Deployed, Progress, silent
from modelctl.rendered import Rendered
from modelctl.resolved import Fetch, RemoteFile, Selection, Unknown
from tests.making import desired
from tests.test_apply import Stage, carried_out, create

MODEL = Fetch(
    source="hf://org/m",
    commit="c" * 40,
    volume="modelctl-weights",
    prefix="/org/m/" + "c" * 40 + "/",
    files=(RemoteFile("model.safetensors", 7, sha256="a" * 64),),
)


def test_one_fetch_serves_every_app_of_the_same_model() -> None:
    stage = Stage()
    wanted = [desired(name, fetch=MODEL) for name in ("a", "b", "c")]
    outcomes = carried_out(wanted, [create(name) for name in ("a", "b", "c")], stage)
    assert stage.done.count("fetch hf://org/m") == 1
    assert stage.done[0] == "fetch hf://org/m"
    assert {o.result for o in outcomes.values()} == {Result.DONE}


def test_parts_of_one_commit_are_fetched_together() -> None:
    tokenizer = replace(MODEL, selection=Selection("tokenizer"), files=())
    stage = Stage()
    wanted = [desired("a", fetch=MODEL), desired("b", fetch=tokenizer)]
    carried_out(wanted, [create("a"), create("b")], stage)
    assert stage.done[0] == "fetch hf://org/m hf://org/m"


def test_what_is_there_is_not_fetched() -> None:
    stage = Stage(there={MODEL.prefix})
    carried_out([desired(fetch=MODEL)], [create()], stage)
    assert stage.done == ["deploy chat"]


def test_files_are_asked_for_only_where_something_is_missing() -> None:
    unlisted = replace(MODEL, files=Unknown("not in modelctl.lock"))
    stage = Stage()
    carried_out([desired(fetch=unlisted)], [create()], stage)
    assert stage.done == ["fetch hf://org/m", "deploy chat"]


def test_an_app_whose_weights_cannot_be_had_is_not_deployed_and_not_condemned() -> None:
    why = CouldNotFetch("could not fetch hf://org/m: the Hub does not give it", "apply again")
    stage = Stage(fails={"hf://org/m": why})
    wanted = [desired("a", fetch=MODEL), desired("b", fetch=MODEL), desired("c")]
    outcomes = carried_out(wanted, [create(name) for name in ("a", "b", "c")], stage)
    for name in ("a", "b"):
        assert outcomes[name].result is Result.FAILED
        assert outcomes[name].needs_person  # nothing serves that should
        assert outcomes[name].detail == (
            "could not fetch hf://org/m: the Hub does not give it; apply again"
        )
    assert sorted(stage.done) == ["deploy c", "fetch hf://org/m"]
    assert b'"a"' not in stage.files["modelctl-team/index.json"]


@dataclass
class Held(Stage):
    """Nothing that is fetched arrives before the app `last` was deployed."""

    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    under_way: int = 0
    most: int = 0

    async def fetch(self, fetches: Sequence[Fetch], progress: Progress) -> int:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.wait_for(self.arrived.wait(), 5.0)
        await asyncio.sleep(0)
        self.under_way -= 1
        return await super().fetch(fetches, progress)

    async def deploy(
        self, rendered: Rendered, *, tag: str, strategy: str, progress: Progress = silent
    ) -> Deployed:
        if rendered.name == "last":
            self.arrived.set()
        return await super().deploy(rendered, tag=tag, strategy=strategy, progress=progress)


def test_slow_downloads_stop_no_other_app_and_few_run_at_once() -> None:
    stage, names = Held(), [f"app-{n}" for n in range(9)]  # twice as many as there are turns
    wanted = [desired(n, fetch=replace(MODEL, prefix=f"/{n}/", source=n)) for n in names]
    outcomes = carried_out(
        [*wanted, desired("last")], [create(name) for name in (*names, "last")], stage
    )
    assert {o.result for o in outcomes.values()} == {Result.DONE}
    assert stage.done[0] == "deploy last"
    assert stage.most == 4
