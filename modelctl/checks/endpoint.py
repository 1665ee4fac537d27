"""Who may call the endpoint, and does the spec say with what?"""

from __future__ import annotations

import re
from collections.abc import Iterator

from modelctl.checks.case import Case, Rule, doubtful, wrong
from modelctl.engines.base import Finding
from modelctl.facts.places import clouds
from modelctl.spec.wanted import Path_

REGION = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def open_to_anybody(case: Case) -> Iterator[Finding]:
    if case.resolved.endpoint.auth == "none":
        yield doubtful(
            ("endpoint", "auth"),
            "endpoint/auth-none",
            "anybody who finds the URL may use this endpoint, on your bill",
            "auth: proxy asks for Modal's proxy token",
        )


def api_key_not_named(case: Case) -> Iterator[Finding]:
    endpoint = case.resolved.endpoint
    if endpoint.auth == "api-key" and endpoint.api_key is None:
        yield wrong(
            ("endpoint", "auth"),
            "endpoint/api-key",
            "auth: api-key needs the Secret and the key that hold it",
            "endpoint: {auth: api-key, api_key: {secret: NAME, key: KEY}}",
        )


def api_key_not_used(case: Case) -> Iterator[Finding]:
    said = case.spec.endpoint
    auth = case.resolved.endpoint.auth
    if said and said.api_key is not None and auth != "api-key":
        yield doubtful(
            ("endpoint", "api_key"),
            "endpoint/api-key-unused",
            f"the api_key is not asked for with auth: {auth}",
            "auth: api-key, or leave api_key out",
        )


def placement(case: Case) -> Iterator[Finding]:
    """What stands in the URL or chooses the machine, and Modal's client does not look at."""
    said = case.spec.endpoint
    if said and said.cloud is not None and said.cloud not in clouds():
        yield doubtful(
            ("endpoint", "cloud"),
            "endpoint/cloud",
            f"Modal names no cloud {said.cloud}",
            f"one of {', '.join(clouds())}",
        )
    regions: list[tuple[Path_, str]] = []
    if said and said.region is not None:
        regions.append((("endpoint", "region"), said.region))
    for index, region in enumerate((said and said.compute_regions) or ()):
        regions.append((("endpoint", "compute_regions", index), region))
    for path, region in regions:
        if not REGION.fullmatch(region):
            yield wrong(
                path, "endpoint/region", f"{region!r} cannot be a region", "such as us-east or eu"
            )


def context_of_one_entry(case: Case) -> Iterator[Finding]:
    """Modal has one URL: who calls it does not know which GPU answers."""
    contexts = [v.context for v in case.resolved.variants if v.origin == "entry"]
    known = [context for context in contexts if isinstance(context, int)]
    for index, entry, name, _ in case.entries:
        if entry.context is not None and known and entry.context < max(known):
            yield doubtful(
                ("gpu", index, "context"),
                "context/of-entry",
                f"a request may use {entry.context:,} tokens on {name} and {max(known):,} "
                "elsewhere, and no client knows which GPU answers",
                f"context: {min(known)} for all, or allow it with a reason",
            )


RULES: tuple[Rule, ...] = (
    open_to_anybody,
    api_key_not_named,
    api_key_not_used,
    placement,
    context_of_one_entry,
)
