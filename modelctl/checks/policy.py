"""Does the spec stay within the project's policy? No `allow` and no `rules` make it weaker."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from modelctl.assess.cost import HOURS_A_MONTH
from modelctl.checks.budget import on_first
from modelctl.checks.case import Case, Rule, wrong
from modelctl.engines.base import Finding
from modelctl.engines.images import base_images
from modelctl.facts import gpus
from modelctl.resolved import Unknown
from modelctl.spec.project_models import Policy
from modelctl.spec.wanted import Path_

_NONE = "the policy's list is empty: it allows none"


def allowed_gpus(case: Case, whose: str, policy: Policy) -> Iterator[Finding]:
    allowed = policy.gpus
    if allowed is None:
        return
    cards = {c.card.name for name in allowed if (c := gpus.choice(gpus.written(name)[0]))}
    for index, _, name, _ in case.entries:
        choice = gpus.choice(name)
        if choice is not None and choice.card.name not in cards:
            yield wrong(
                ("gpu", index),
                "policy/gpu",
                f"{whose} does not allow {choice.card.name}",
                f"one of {', '.join(allowed)}" if allowed else _NONE,
            )


def allowed_regions(case: Case, whose: str, policy: Policy) -> Iterator[Finding]:
    allowed = policy.regions
    if allowed is None:
        return
    regions = case.resolved.placement.compute_regions
    said: list[tuple[Path_, str]] = [(("endpoint", "region"), case.resolved.endpoint.region)]
    said += [(("endpoint", "compute_regions", index), name) for index, name in enumerate(regions)]
    for path, region in said:
        if region not in allowed:
            yield wrong(
                path,
                "policy/region",
                f"{whose} does not allow the region {region}",
                f"one of {', '.join(allowed)}" if allowed else _NONE,
            )
    if not regions:
        yield wrong(
            ("endpoint",),
            "policy/region",
            f"{whose} allows some regions only, and the containers may run in any",
            f"endpoint: {{compute_regions: [{allowed[0] if allowed else '…'}]}}",
        )


def allowed_images(case: Case, whose: str, policy: Policy) -> Iterator[Finding]:
    allowed = policy.images
    if allowed is None:
        return
    image = case.spec.image
    field = "dockerfile" if image and image.dockerfile is not None else "base"
    for base in base_images(case.resolved.image):
        if not any(fnmatchcase(base, pattern) for pattern in allowed):
            yield wrong(
                ("image", field),
                "policy/image",
                f"{whose} does not allow the image {base}",
                f"one that looks like {', '.join(allowed)}" if allowed else _NONE,
            )


def allowed_auth(case: Case, whose: str, policy: Policy) -> Iterator[Finding]:
    allowed, auth = policy.auth, case.resolved.endpoint.auth
    if allowed is not None and auth not in allowed:
        yield wrong(
            ("endpoint", "auth"),
            "policy/auth",
            f"{whose} does not allow auth: {auth}",
            f"auth: {' or '.join(allowed)}" if allowed else _NONE,
        )


def budget_of_all(case: Case, whose: str, policy: Policy) -> Iterator[Finding]:
    """No endpoint may cost more than all of them together may."""
    budget, cost = policy.budget, case.assessed.cost
    if budget is None:
        return
    warm, most = cost.warm, cost.at_most
    asked = (
        (budget.usd_per_hour, warm, 1, "keep_warm costs", "an hour"),
        (budget.usd_per_month, warm, HOURS_A_MONTH, "keep_warm costs", "a month"),
        (budget.usd_per_hour_at_max, most, 1, "all containers cost", "an hour"),
    )
    for limit, price, hours, what, unit in asked:
        if limit is None:
            continue
        if isinstance(price, Unknown):
            yield wrong(
                ("scaling",),
                "policy/budget",
                f"{whose} allows ${limit:,.2f} {unit}: {price.reason}",
                "scaling: {max: N}, with GPUs whose price is known",
            )
        elif price * hours > limit:
            yield wrong(
                ("keep_warm",) if what.startswith("keep_warm") else ("scaling", "max"),
                "policy/budget",
                f"{what} ${price * hours:,.2f} {unit}{on_first(case)}; "
                f"{whose} allows ${limit:,.2f}",
                "fewer containers, or a cheaper GPU first in the list",
            )


_OF_ONE_POLICY = (allowed_gpus, allowed_regions, allowed_images, allowed_auth, budget_of_all)


def of_every_policy(case: Case) -> Iterator[Finding]:
    for whose, policy in case.wanted.project.policies:
        for rule in _OF_ONE_POLICY:
            yield from rule(case, whose, policy)


RULES: tuple[Rule, ...] = (of_every_policy,)
