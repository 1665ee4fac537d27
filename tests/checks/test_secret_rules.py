"""Which values of `env` are refused as secrets, and which are ordinary ones?"""

from __future__ import annotations

from tests.checks.judging import VLLM, judged, said

SAID_IN_ENV = {
    "SETTING": (
        "https://hooks.slack.com/services/T0ABCDEFG/B0ABCDEFG/" + "a1B2" * 6,
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
        "AIza" + "a1B2c" * 7,
        "sk_live_" + "a1B2" * 6,
        "rk_live_" + "a1B2" * 6,
        "glpat-" + "a1B2" * 5,
        "Bearer canary123456",
    ),
    "PASS": ("canary", "canary1"),
    "pw": ("canary",),
    "DB_PASS": ("canary1",),
    "SMTP_PW": ("Canary",),
    "DB_PASSWD": ("canary",),
}
NOT_SAID_IN_ENV = {
    "SETTING": (
        "https://hooks.slack.com/services",
        "https://slack.com/help/articles/115005265063",
        "eyJhbGciOiJIUzI1NiJ9",
        "AIza",
        "AIza" + "a1B2c" * 8,
        "sk_live_",
        "pk_live_" + "a1B2" * 6,
        "glpat-",
        "bearer authentication",
        "Bearer $TOKEN",
    ),
    "SINGLE_PASS": ("always", "true", "2"),
    "PASS_THROUGH": ("canary1",),
    "COMPASS": ("canary1",),
    "PASS": ("/run/secrets/pass", "1"),
    "RPW": ("canary1",),
}


def test_common_tokens_in_env_are_refused_and_ordinary_values_are_not() -> None:
    for table, refused in ((SAID_IN_ENV, True), (NOT_SAID_IN_ENV, False)):
        for name, values in table.items():
            for value in values:
                found = said(judged({**VLLM, "env": {name: value}}))
                secret = [line for line in found if "looks-like-a-secret" in line]
                assert bool(secret) == refused, (name, value, found)
                assert not any(value in line for line in secret if len(value) > 8)
