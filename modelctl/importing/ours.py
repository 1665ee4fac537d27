"""What does an app say that modelctl rendered itself? Its values stand under names of its own."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from modelctl.importing.command import Command
from modelctl.importing.draft import Draft
from modelctl.importing.reader import Reader
from modelctl.importing.servers import Server
from modelctl.importing.values import Unread, Value
from modelctl.resolve import DEFAULTS
from modelctl.spec.values import duration_text

MARK = "Written by modelctl: change the spec, not this file."
_NAMES = ("COMMAND", "MODEL", "COMMON", "FLAGS")


def rendered(reader: Reader) -> bool:
    marked = MARK in str(reader.names.get("__doc__"))
    return marked and all(name in reader.names for name in _NAMES)


def commands(reader: Reader) -> dict[str, Command]:
    """The words for each GPU, by the keys of FLAGS."""
    names = reader.names
    server = names["COMMAND"][0]
    model = ["--model", names["MODEL"]] if server != "vllm" else [names["MODEL"]]
    found = {}
    for key, flags in names["FLAGS"].items():
        words = [word for flag in (*names["COMMON"], *flags) for word in flag]
        found[key] = Command(server, (*model, *words), 1)
    return found


def api_key(reader: Reader) -> Value:
    key = reader.names.get("KEY")
    return Unread("", 1, key) if isinstance(key, str) and "SECRET" in reader.names else None


def with_own_timeout(server: Server, reader: Reader) -> Server:
    """The time for the checks is added to that of the start."""
    started = reader.names.get("STARTUP_SECONDS")
    return replace(server, options={**server.options, "startup_timeout": started})


def more(reader: Reader, draft: Draft) -> None:
    names = reader.names
    checks = {check["name"]: _check(check) for check in names.get("CHECKS") or []}
    if checks:
        draft.put("checks", value=checks)
        seconds = names.get("CHECKS_SECONDS")
        if isinstance(seconds, int) and seconds != DEFAULTS.checks_timeout:
            draft.put("rollout", "timeouts", "checks", value=duration_text(seconds))
    interval = names.get("METRICS_SECONDS")
    if interval is None:
        draft.put("metrics", "enabled", value=False)
    elif interval != DEFAULTS.metrics_interval:
        draft.put("metrics", value=duration_text(interval))
    if names.get("CHAT_TEMPLATE"):
        draft.note("not read", "chat_template", "its text is in the app: save it as a file")
    if names.get("DOCKERFILE"):
        draft.note("not read", "image.dockerfile", "its text is in the app: save it as a file")
    draft.note(
        "not read",
        "",
        "what an app does not say: allow, budget, environments, only, protect, renamed_from, "
        "rollout, and the Secret that opens the model's source",
    )


def _check(check: dict[str, Any]) -> dict[str, Any]:
    messages = check["messages"]
    asked: dict[str, Any] = {"messages": messages}
    if len(messages) == 1 and messages[0]["role"] == "user":
        asked = {"prompt": messages[0]["content"]}
    expect = {
        name: check[key]
        for name, key in (("contains", "contains"), ("matches", "matches"), ("json", "json"))
        if check.get(key)
    }
    if set(expect) == {"contains"}:
        asked["expect"] = expect["contains"]
    elif expect:
        asked["expect"] = expect
    if check["within"] != DEFAULTS.check_within:
        asked["within"] = duration_text(check["within"])
    if check["max_tokens"] != DEFAULTS.check_max_tokens:
        asked["max_tokens"] = check["max_tokens"]
    return asked
