"""Which machine gave these figures, and what was on it?"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib.metadata import version


@dataclass(frozen=True)
class Machine:
    """`load` is the one-minute average before the run: above the cores, times mean little."""

    cores: int
    architecture: str
    system: str
    python: str
    modal: str
    modelctl: str
    load: float

    def __str__(self) -> str:
        return (
            f"{self.cores} cores {self.architecture}, {self.system}, Python {self.python}, "
            f"modal {self.modal}, load {self.load:.1f}"
        )


def this_machine() -> Machine:
    return Machine(
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else
        os.cpu_count() or 1,
        architecture=platform.machine(),
        system=platform.system(),
        python=platform.python_version(),
        modal=version("modal"),
        modelctl=version("modelctl"),
        load=os.getloadavg()[0],
    )  # fmt: skip
