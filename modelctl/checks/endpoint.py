"""Who may call the endpoint, and does the spec say with what?"""

from __future__ import annotations

from collections.abc import Iterator

from modelctl.checks.case import Case, Rule, doubtful, wrong
from modelctl.engines.base import Finding


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


RULES: tuple[Rule, ...] = (open_to_anybody, api_key_not_named, api_key_not_used)
