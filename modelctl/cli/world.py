"""Where does a command reach the world? The platform is chosen and opened here, nowhere else."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from modelctl.cli.options import Selection
from modelctl.local import lifecycle
from modelctl.platform.types import Capabilities, Platform
from modelctl.resolved import Fetch
from modelctl.spec.wanted import ProjectFile

if TYPE_CHECKING:
    from modelctl.facts.prices import Prices

STATE_VARIABLE = "MODELCTL_LOCAL_DIR"


def local_state(project: ProjectFile) -> Path:
    """Where the control plane keeps everything: beside modelctl.yaml, else one for the user."""
    if said := os.environ.get(STATE_VARIABLE):
        return Path(said).absolute()
    if project.file is not None:
        return project.root.absolute() / ".modelctl" / "local"
    home = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(home) / "modelctl" / "local"


def running_plane(project: ProjectFile) -> lifecycle.Plane:
    plane = lifecycle.status(local_state(project))
    if plane is None:
        raise lifecycle.LocalError("no local control plane runs here; start one: modelctl local up")
    return plane


def platform_for(chosen: Selection, project: ProjectFile) -> Platform:
    """The control plane that the options name; nothing is connected yet."""
    from modelctl.platform.sdk import ModalPlatform

    declared = (project.project.environments or {}).get(chosen.env or "")
    if chosen.local:
        plane = running_plane(project)
        return ModalPlatform(
            None,
            where="local control plane" + (f", as {chosen.env}" if chosen.env else ""),
            variables=lifecycle.environ(plane),
            capabilities=Capabilities(engines=dict(plane.engines)),
            fetch_app=_fetch_app,
        )
    environment = (declared.modal_environment if declared else None) or chosen.env
    workspace = declared.workspace if declared else None
    pinned = (chosen.env or "", workspace) if workspace else None
    return ModalPlatform(environment, fetch_app=_fetch_app, pinned=pinned)


def asked_prices(said: str) -> Callable[[Selection, ProjectFile], Prices | None]:
    """What `--prices` means: None for Modal's list, else what the workspace answers, once."""

    def ask(chosen: Selection, project: ProjectFile) -> Prices | None:
        from modelctl.facts.prices import own_prices

        if said == "list":
            return None
        return own_prices(asyncio.run(_rates(platform_for(chosen, project))))

    return ask


async def _rates(platform: Platform) -> Mapping[str, float]:
    await platform.open()
    return await platform.rates()


def _fetch_app(fetches: Sequence[Fetch]) -> str:
    """The app that fetches weights goes to the Hub that this process would go to."""
    from modelctl.render_fetch import render_fetch

    hub = os.environ.get("HF_ENDPOINT", "")
    return render_fetch(fetches, variables={"HF_ENDPOINT": hub} if hub else {})


def proxy_token(chosen: Selection, project: ProjectFile) -> tuple[str, str] | None:
    """The token that opens protected endpoints: the plane's own, or the one in the environment."""
    if chosen.local:
        plane = running_plane(project)
        return plane.proxy_token_id, plane.proxy_token_secret
    token_id = os.environ.get("MODELCTL_PROXY_TOKEN_ID")
    secret = os.environ.get("MODELCTL_PROXY_TOKEN_SECRET")
    return (token_id, secret) if token_id and secret else None
