"""Does a path stay in the project's folder, after every link was followed?"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

LED_OUT = "is a link that leads out of the project: it is not read"
NOT_WRITTEN = "is a link that leads out of the project: nothing is written there"


def inside(path: Path, root: Path) -> bool:
    """Whether `path` is `root` or below it; both may be reached through links."""
    return _real(path).startswith(_real_root(root))


def leads_out(path: Path, root: Path) -> bool:
    """Whether a link below `root` leads `path` out of it.

    A path that never enters the project leads nowhere: whoever typed it chose it.
    """
    if inside(path, root):
        return False
    return any(inside(parent, root) for parent in path.absolute().parents)


def led_out_by(path: Path, root: Path) -> Path | None:
    """The part of `path` that is the link below `root` which leads it out; None: it stays."""
    way = Path(os.path.normpath(path))
    for step in reversed((way, *way.parents)):
        # `..` would otherwise count as a way through the folder that it leaves.
        if leads_out(Path(os.path.normpath(step.absolute())), root):
            return step
    return None


def root_of(here: Path) -> Path:
    """The folder of the nearest modelctl.yaml at or above `here`, else `here`."""
    return next((f for f in (here, *here.parents) if (f / "modelctl.yaml").is_file()), here)


def _real(path: Path) -> str:
    """With a separator at its end, so that a folder is not taken for one whose name goes on.

    Path.resolve refuses a link that leads to itself; who opens one gets a clear answer then.
    """
    return os.path.normcase(os.path.realpath(path)).rstrip(os.sep) + os.sep


_real_root = lru_cache(maxsize=8)(_real)
