"""What does the rest of modelctl take for granted of a Platform? One function each.

A case asserts what modelctl cannot do without, and says what it saw of rules that nobody could
check: these are printed, and modelctl works either way.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable

import pytest
from msgspec.structs import replace

from modelctl.health import http_get
from modelctl.platform import versions
from modelctl.platform.sdk import ModalPlatform
from modelctl.platform.types import NotThere, PlatformError
from modelctl.rendered import SERVER_CLASS
from tests.making import scaling
from tests.platform.scratch import Scratch

LIVE_SETTINGS = "What do a redeploy, a rollback and a rollover do to settings changed live?"
TAGS_COME_BACK = "Do tags come back with a rollback?"
CONTAINERS_STAY = "Does a redeploy replace containers whose definition did not change?"
NO_CHANGE = "When does a publish count as no change?"
PAST_MAX = "May a rolling deploy exceed max_containers?"
STARTS_ONE = "Does a deploy start a container where none is kept and an old one happens to run?"
NONE_LIVE = "What does a request get while no container is live?"
STOPPED = "What does a request to a stopped or unpublished server get?"
NO_ENVIRONMENT = "What does an unknown environment answer?"
REVOKED = "What does a revoked token get?"
WALK = "What does a walk over a Dict show of what others write meanwhile?"
REPLACED = "What does Dict.put answer that replaces a value?"
RATES = "What are the keys and units of billing rates?"


async def one_call_lists_what_lives(s: Scratch) -> None:
    rendered = s.rendered("listed")
    made, app = await s.deployed(rendered)
    assert (app.name, app.app_id, app.version) == (rendered.name, made.app_id, made.version)
    assert (app.version, app.state) == (1, "deployed")
    assert set(app.servers) == {SERVER_CLASS}
    assert app.deployed_at is not None
    assert made.at == app.deployed_at


async def an_app_tells_its_tags_its_url_and_its_scaling(s: Scratch) -> None:
    rendered = s.rendered("details", most=3)
    made, app = await s.deployed(rendered)
    details = await s.platform.details(app)
    assert dict(details.tags) == dict(rendered.tags)
    assert details.url == made.url
    assert details.scaling == scaling(0, max_containers=3, scaledown_window=60)


async def each_deployment_is_the_next_version_and_keeps_its_tag(s: Scratch) -> None:
    first, _ = await s.deployed(s.rendered("twice", "d1"))
    second, app = await s.deployed(s.rendered("twice", "d2", mark="two"))
    assert (first.app_id, first.version, second.version) == (second.app_id, 1, 2)
    history = await s.platform.history(app)
    assert [(one.version, one.tag, one.rollback_of) for one in history] == [
        (2, "d2", None),
        (1, "d1", None),
    ]
    assert all(one.at is not None and one.by for one in history)


async def what_a_deployment_answers_is_what_lives_also_where_nothing_changed(s: Scratch) -> None:
    rendered = s.rendered("same")
    await s.deployed(rendered)
    again, app = await s.deployed(rendered)
    assert again.version == app.version
    await s.platform.deploy(rendered, tag="", strategy="rolling")
    s.saw(NO_CHANGE, (await s.live(rendered.name)).version == app.version)


async def a_roll_back_makes_the_next_version_with_the_tags_that_are_asked_for(s: Scratch) -> None:
    first, second = s.rendered("back", "d1"), s.rendered("back", "d2", mark="two")
    await s.deployed(first)
    _, app = await s.deployed(second)
    await versions.roll_back(app.name, app.app_id, 1)
    tags = (await s.platform.details(app)).tags
    s.saw(TAGS_COME_BACK, dict(tags) == dict(second.tags))
    app = await s.platform.roll_back(await s.live(app.name), 2, {**second.tags, "told": "so"})
    assert app.version == 4
    assert (await s.live(app.name)).version == 4
    history = await s.platform.history(app)
    assert [one.rollback_of for one in history] == [2, 1, None, None]
    assert dict((await s.platform.details(app)).tags) == {**second.tags, "told": "so"}


async def scaling_is_changed_in_place(s: Scratch) -> None:
    _, app = await s.deployed(s.rendered("scaled"))
    wanted = scaling(0, max_containers=4, buffer_containers=1, scaledown_window=90)
    await s.platform.scale(app, wanted)
    assert (await s.platform.details(app)).scaling == wanted
    assert (await s.live(app.name)).version == 1


async def live_scaling_is_set_again_after_each_new_version(s: Scratch) -> None:
    """modelctl sets it after each of these, whether it was kept or not."""
    first, second = s.rendered("live", "d1"), s.rendered("live", "d2", mark="two")
    _, app = await s.deployed(first)
    wanted = scaling(0, max_containers=5, scaledown_window=60)

    async def redeploy() -> object:
        return await s.deployed(second)

    async def roll_back() -> object:
        return await s.platform.roll_back(app, 1, first.tags)

    async def roll_over() -> object:
        return await s.platform.roll_over(app)

    for change in (redeploy, roll_back, roll_over):
        await s.platform.scale(app, wanted)
        await change()
        found = (await s.platform.details(await s.live(app.name))).scaling
        assert found is not None
        s.saw(LIVE_SETTINGS, found.max_containers == 2)
        await s.platform.scale(app, wanted)
        assert (await s.platform.details(app)).scaling == wanted


async def a_restart_replaces_the_containers_as_the_next_version(s: Scratch) -> None:
    rendered = s.rendered("over", keep_warm=1)
    _, app = await s.deployed(rendered)
    before = await s.containers(app)
    _, app = await s.deployed(rendered)
    s.saw(CONTAINERS_STAY, bool(before & await s.containers(app)))
    before = await s.containers(app)
    after = await s.platform.roll_over(app)
    assert after.version == app.version + 1

    async def others() -> frozenset[str]:
        now = await s.platform.containers(app)
        return frozenset() if now & before else now

    assert await s.until(others)


async def what_a_container_says_is_in_the_log_with_its_id(s: Scratch) -> None:
    _, app = await s.deployed(s.rendered("says", keep_warm=1, mark="aloud"))
    ids = await s.containers(app)

    async def said() -> list[str]:
        lines = [line async for line in s.platform.logs(app, tail=50, follow=False)]
        assert all(line.at.tzinfo is not None for line in lines)
        return [line.container for line in lines if "said aloud" in line.text]

    assert set(await s.until(said)) <= ids


async def a_container_that_starts_takes_no_requests_and_the_one_before_does(s: Scratch) -> None:
    """A gate takes a container that is listed for one that answers."""
    first = s.rendered("rolls", keep_warm=1, most=1, open_to_all=True)
    made, app = await s.deployed(first)
    assert made.url is not None
    old = await s.containers(app)
    slow = s.rendered("rolls", "d2", keep_warm=1, most=1, open_to_all=True, sleep=2.0, mark="two")
    await s.deployed(slow)
    statuses, seen = [], old
    while not seen - old:
        statuses.append(await http_get(made.url, {}))
        seen = await s.platform.containers(app)
        await asyncio.sleep(0.2)
    s.saw(PAST_MAX, set(statuses) == {200})
    assert await http_get(made.url, {}) == 200


async def a_new_version_has_a_container_of_its_own_while_the_old_one_answers(s: Scratch) -> None:
    """Where it has none, a gate cannot see it: the version before is brought back."""
    made, app = await s.deployed(s.rendered("wakes", open_to_all=True))
    url = made.url
    assert url is not None

    async def answers() -> bool:
        return await http_get(url, {}) == 200

    assert await s.until(answers)
    old = await s.containers(app)
    await s.deployed(s.rendered("wakes", "d2", open_to_all=True, mark="two"))

    async def others() -> frozenset[str]:
        await http_get(url, {})
        return await s.platform.containers(app) - old

    try:
        s.saw(STARTS_ONE, bool(await s.until(others)))
    except AssertionError:
        s.saw(STARTS_ONE, False)


async def no_container_answers_503_and_no_app_404(s: Scratch) -> None:
    made, app = await s.deployed(s.rendered("asleep", open_to_all=True))
    assert made.url is not None
    s.saw(NONE_LIVE, await http_get(made.url, {}) == 503)
    url = made.url

    async def answers() -> bool:
        return await http_get(url, {}) == 200

    assert await s.until(answers)  # asking is what starts one
    await s.platform.stop(app)

    async def gone() -> bool:
        return await http_get(url, {}) != 200

    assert await s.until(gone)
    s.saw(STOPPED, await http_get(url, {}) == 404)


async def what_is_stopped_is_not_listed_and_begins_anew_under_its_name(s: Scratch) -> None:
    rendered = s.rendered("anew")
    first, app = await s.deployed(rendered)
    await s.platform.stop(app)
    assert rendered.name not in (await s.platform.observe()).apps
    await s.platform.stop(app)  # does nothing
    second, _ = await s.deployed(rendered)
    assert second.app_id != first.app_id
    assert second.version == 1


async def tags_are_replaced_as_a_whole(s: Scratch) -> None:
    _, app = await s.deployed(s.rendered("tagged"))
    await s.platform.set_tags(app, {"only": "this"})
    assert dict((await s.platform.details(app)).tags) == {"only": "this"}


async def files_of_a_volume_are_written_read_listed_and_removed(s: Scratch) -> None:
    volume, p = s.volume("files"), s.platform
    files = {"index.json": b"{}", "apps/a.json": b"12345", "apps/b.json": b"1"}
    await p.write(volume, files)
    assert {path: await p.read(volume, path) for path in files} == files
    assert await p.listed(volume, "apps") == {"a.json": 5, "b.json": 1}
    await p.write(volume, {"apps/a.json": b"1234567"})
    assert await p.read(volume, "apps/a.json") == b"1234567"
    assert volume in await p.volumes(s.mark)
    await p.remove(volume, "apps")
    await p.remove(volume, "apps")  # does nothing
    assert await p.listed(volume, "") == {"index.json": 2}


async def what_is_missing_is_nothing_or_says_so(s: Scratch) -> None:
    p = s.platform
    assert await p.read(s.name("none"), "a.json") is None
    with pytest.raises(NotThere):
        await p.listed(s.name("none"), "apps")
    volume = s.volume("empty")
    await p.write(volume, {"one": b"1"})
    assert await p.read(volume, "two") is None
    await p.remove(s.name("none"), "apps")
    assert await p.dict_items(s.name("none")) == {}
    with pytest.raises(NotThere):
        _, app = await s.deployed(s.rendered("there"))
        await p.containers(replace(app, name=s.name("none")))


async def of_many_that_put_one_key_first_one_wins(s: Scratch) -> None:
    name, p = s.dict("lease"), s.platform
    won = await asyncio.gather(
        *(p.dict_put(name, "holder", f"h{n}", if_absent=True) for n in range(8))
    )
    assert sum(won) == 1
    assert await p.dict_items(name) == {"holder": f"h{won.index(True)}"}


async def what_was_put_is_seen_by_whoever_asks_after_that(s: Scratch) -> None:
    name, p = s.dict("seen"), s.platform
    for n in range(5):
        await p.dict_put(name, f"k{n}", "v")
        s.saw(WALK, set(await p.dict_items(name)) == {f"k{m}" for m in range(n + 1)})
    s.saw(REPLACED, await p.dict_put(name, "k0", "other"))
    assert (await p.dict_items(name))["k0"] == "other"
    await p.dict_pop(name, "k0")
    await p.dict_pop(name, "k0")  # does nothing
    assert "k0" not in await p.dict_items(name)


async def an_unknown_environment_is_not_there(s: Scratch) -> None:
    found = ""
    try:
        await ModalPlatform(s.name("nowhere")).open()
    except PlatformError as error:
        found = type(error).__name__
    assert found
    s.saw(NO_ENVIRONMENT, found == "NotThere")


async def a_wrong_token_is_refused_within_seconds(s: Scratch) -> None:
    program = (
        "import asyncio\nfrom modelctl.platform.sdk import ModalPlatform\n"
        "from modelctl.platform.types import PlatformError\n"
        "try:\n    asyncio.run(ModalPlatform('main').open())\n"
        "except PlatformError as error:\n    print(type(error).__name__)\n"
    )
    wrong = {"MODAL_TOKEN_ID": "ak-wrongwrongwrong", "MODAL_TOKEN_SECRET": "as-wrongwrongwrong"}
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", program],
        env={**os.environ, **wrong},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.strip() == "CredentialsRefused", done.stdout + done.stderr
    s.saw(REVOKED, True)


async def a_workspace_has_a_name_prices_and_secrets(s: Scratch) -> None:
    assert await s.platform.workspace()
    assert isinstance(await s.platform.secrets(), frozenset)
    rates = await s.platform.rates()
    s.saw(RATES, {"CPU", "Memory", "H100"} <= set(rates) and rates["CPU"] < 0.001)


CASES: dict[str, Callable[[Scratch], Awaitable[None]]] = {
    name: case
    for name, case in list(globals().items())
    if inspect.iscoroutinefunction(case) and case.__module__ == __name__
}
