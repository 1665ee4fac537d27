"""Does Modal take these credentials, are the environments there, does the Hub open the models?"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress

from modelctl.cli.doctor_here import MODAL
from modelctl.cli.options import Selection
from modelctl.spec.wanted import ProjectFile
from modelctl.views.findings import Finding, State

_SECONDS = 20.0
"""How long somebody may take to answer."""

HUB = "Hugging Face"


async def account(chosen: Selection, project: ProjectFile) -> list[Finding]:
    """Each environment that is meant: whether it is there, in the workspace that it belongs to."""
    declared = list(project.project.environments or {})
    names: list[str | None] = [chosen.env] if chosen.env else [*declared] or [None]
    found: list[Finding] = []
    pointing = _shell()
    for name in names:
        found += [one for one in await _environment(name, project) if one not in found]
        if any(one.state == "missing" and one.said.startswith(_WHOLE) for one in found):
            break
    return found + pointing


_WHOLE = ("there are no Modal credentials", "nobody answers", "Modal did not answer", "Modal ref")
"""How a sentence begins that holds for every environment."""


def _shell() -> list[Finding]:
    """Read before anything opens a workspace."""
    from modelctl.platform.here import points_here

    if not points_here():
        return []
    said = "this shell points at the local control plane (MODAL_SERVER_URL), not Modal"
    return [Finding(MODAL, "attention", said, "open a new shell, or unset MODAL_SERVER_URL")]


async def _environment(name: str | None, project: ProjectFile) -> list[Finding]:
    from modelctl.cli.world import platform_for
    from modelctl.platform.types import NotThere, PlatformError

    platform = platform_for(Selection((), name), project)
    declared = (project.project.environments or {}).get(name or "")
    at_modal = (declared.modal_environment if declared else None) or name or "main"
    try:
        async with asyncio.timeout(_SECONDS):
            try:
                await platform.open()
            except NotThere:
                workspace = await platform.workspace()
                said = f"the workspace {workspace} has no environment {at_modal}"
                hint = f"modal environment create {at_modal}"
                return [_works(workspace), Finding(MODAL, "missing", said, hint)]
            workspace = await platform.workspace()
    except PlatformError as problem:
        return [Finding(MODAL, "missing", problem.message, problem.hint)]
    except TimeoutError:
        said = f"Modal did not answer within {_SECONDS:.0f} s"
        return [Finding(MODAL, "missing", said, "try again; is there a proxy on the way?")]
    said = f"environment {name or platform.environment}"
    if name and platform.environment != name:
        said += f" is {platform.environment} at Modal"
    return [_works(workspace), Finding(MODAL, "ok", said)]


def _works(workspace: str) -> Finding:
    return Finding(MODAL, "ok", f"the token works, for the workspace {workspace}")


async def hub(unlocked: Sequence[str], *, gated: Sequence[str]) -> list[Finding]:
    """Whether models that nothing pins yet can be read, and a token where some are not open."""
    if not unlocked and not gated:
        return []
    token = await asyncio.to_thread(_has_token)
    answers = await asyncio.gather(*(_asked(source) for source in unlocked))
    found = [one for one in answers if one is not None]
    if token:
        found.insert(0, Finding(HUB, "ok", "a token is there"))
    elif gated:
        said = f"no token, and {', '.join(gated)} is not open to everybody"
        hint = "hf auth login, or set HF_TOKEN: modelctl lock needs it, and a Modal Secret does too"
        found.insert(0, Finding(HUB, "attention", said, hint))
    return found


def _has_token() -> bool:
    if os.environ.get("HF_TOKEN"):
        return True
    from huggingface_hub import get_token

    return get_token() is not None


async def _asked(source: str) -> Finding | None:
    """None where it can be read."""
    from modelctl.weights.hub import HubProblem, look_up

    with suppress(TimeoutError):
        try:
            async with asyncio.timeout(_SECONDS):
                await asyncio.to_thread(look_up, source, None)
        except HubProblem as problem:
            passes = problem.kind == "again"
            state: State = "attention" if passes else "missing"
            return Finding(HUB, state, problem.message, problem.hint)
        return Finding(HUB, "ok", f"{source} can be read")
    return Finding(HUB, "attention", f"the Hub did not answer about {source} in time", "try again")
