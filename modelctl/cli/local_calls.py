"""modelctl local calls: which calls did clients make, how did they end, how long did they take?"""

from __future__ import annotations

import json
import time
from typing import Any

import click

from modelctl.cli.exits import Exit
from modelctl.cli.options import output

_LAST = 100
_POLL = 0.5
_NAMES = (
    "deployment_name", "app_name", "name", "description", "tag", "path", "environment_name",
    "app_id", "function_id", "task_id", "image_id",
)  # fmt: skip
_FORMAT = "{:>6}  {:<12}  {:>8}  "


@click.command("calls")
@click.option("--method", metavar="GLOB", help="Only these calls: AppPublish, 'App*'.")
@click.option("--since", type=int, metavar="N", help="Only calls after number N.")
@click.option("-f", "--follow", is_flag=True, help="Go on with each new call, until Ctrl-C.")
@output("human", "json")
def command(method: str | None, since: int | None, follow: bool, output: str) -> int:
    """Show the calls that clients made.

    The last hundred, or those after number N.
    """
    from modelctl.cli.pipeline import project_here
    from modelctl.cli.said import say
    from modelctl.cli.world import running_plane
    from modelctl.local import lifecycle
    from modelctl.views import machine

    plane = running_plane(project_here())
    found = lifecycle.calls(plane, method, since or 0, _LAST if since is None else None)
    if output == "json" and not follow:
        say(machine.dump({"calls": found}))
        return Exit.DONE
    if output == "human":
        say(_FORMAT.format("n", "at", "ms") + "call")
    last = since or 0
    while True:
        for call in found:
            say(json.dumps(call) if output == "json" else _line(call))
            last = call["n"]
        if not follow:
            return Exit.DONE
        time.sleep(_POLL)
        found = lifecycle.calls(plane, method, last)


def _line(call: dict[str, Any]) -> str:
    from modelctl.views.paint import for_stream

    paint, width = for_stream()
    at = time.strftime("%H:%M:%S", time.localtime(call["at"]))
    clock = f"{at}.{int(call['at'] % 1 * 1000):03}"
    start = _FORMAT.format(call["n"], clock, f"{call['ms']:.1f}")
    refused = "" if call["status"] == "OK" else f"  {call['status']}"
    what = f"{call['method']} {_about(call['request'])}".rstrip()
    room = max(20, width - len(start) - len(refused))
    what = what if len(what) <= room else what[: room - 1] + "…"
    return start + what + paint(refused, "yellow")


def _about(request: Any) -> str:
    """The name or id that a request is about, where it has one on its surface."""
    if not isinstance(request, dict):
        return ""
    return next((str(request[name]) for name in _NAMES if request.get(name)), "")
