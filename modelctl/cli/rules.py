"""What do plan and apply look at, and under which rules? The same options, and one look."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click
from msgspec import Struct
from msgspec.structs import replace

from modelctl.cli.options import (
    Selection,
    allow_unlocked_option,
    override_hold_option,
    policy_option,
    prices_option,
    selection,
    templates_option,
)

if TYPE_CHECKING:
    from modelctl.cli.pipeline import Prepared
    from modelctl.plan import Plan, Seen
    from modelctl.platform.types import Platform
    from modelctl.saved import Chosen


class Rules(Struct, frozen=True):
    """`selection` is as typed; `policy` and `templates` are paths, `prices` list or workspace."""

    selection: Selection = Selection()
    retry: bool = False
    prune: bool = False
    refresh: bool = False
    override_hold: bool = False
    allow_unlocked: bool = False
    policy: str | None = None
    prices: str = "list"
    templates: str | None = None

    def prepared(self) -> Prepared:
        """Raises Rejected with every problem where one is an error."""
        from modelctl.cli.pipeline import prepare
        from modelctl.cli.world import asked_prices

        return prepare(
            self.selection,
            self.templates,
            allow_unlocked=self.allow_unlocked,
            policy=self.policy,
            prices=asked_prices(self.prices),
        )

    def saved_as(self, here: Selection) -> Chosen:
        """What a plan is saved with; `here` names the environment."""
        from modelctl.saved import Chosen

        return Chosen(
            here.what,
            here.env,
            here.local,
            here.labels,
            self.prune,
            self.retry,
            self.override_hold,
            self.allow_unlocked,
            self.refresh,
        )

    def beyond(self, said: Chosen) -> list[str]:
        """The options that were typed and that a saved plan was not made with."""
        names = ("retry", "prune", "refresh", "override_hold", "allow_unlocked")
        return [
            f"--{name.replace('_', '-')}"
            for name in names
            if getattr(self, name) and not getattr(said, name)
        ]

    def as_saved(self, said: Chosen) -> Rules:
        """What a saved plan was asked for, by the policy and the prices of today."""
        return replace(
            self,
            selection=Selection(said.what, said.env, said.local, said.labels),
            retry=said.retry,
            prune=said.prune,
            refresh=said.refresh,
            override_hold=said.override_hold,
            allow_unlocked=said.allow_unlocked,
        )


def rules(function: Callable[..., int]) -> Callable[..., int]:
    """WHAT and the options that plan and apply have in common, as one argument `rules`."""

    @functools.wraps(function)
    def command(
        *,
        what: tuple[str, ...],
        env: str | None,
        local: bool,
        labels: tuple[str, ...],
        retry: bool,
        prune: bool,
        refresh: bool,
        override_hold: bool,
        allow_unlocked: bool,
        policy: str | None,
        prices: str,
        templates: str | None,
        **own: Any,
    ) -> int:
        said = Rules(
            Selection(what, env, local, labels),
            retry,
            prune,
            refresh,
            override_hold,
            allow_unlocked,
            policy,
            prices,
            templates,
        )
        return function(rules=said, **own)

    found: Callable[..., int] = command
    for decorate in (
        templates_option,
        prices_option,
        policy_option,
        allow_unlocked_option,
        click.option(
            "--refresh", is_flag=True, help="Read every app: what was scaled or tagged by hand."
        ),
        override_hold_option,
        click.option(
            "--prune",
            is_flag=True,
            help="This project's apps that have no spec any more are deleted.",
        ),
        click.option(
            "--retry", is_flag=True, help="Versions that failed are deployed again as they are."
        ),
        selection,
    ):
        found = decorate(found)
    return found


async def look(platform: Platform, ready: Prepared, asked: Rules) -> tuple[Plan, Seen]:
    """The plan, and what was seen for it; the platform is open."""
    from modelctl.cli.seeing import needs_of_all, see_and_plan

    return await see_and_plan(
        platform,
        ready.desired,
        ready.project.name,
        whole_project=ready.chosen.everything,
        allow_unlocked=asked.allow_unlocked,
        retry=asked.retry,
        prune=asked.prune,
        refresh=asked.refresh,
        override_hold=asked.override_hold,
        bill=ready.bill,
        needs=needs_of_all(ready),
        left_out=ready.left_out,
    )
