"""Can a snapshot of this endpoint be taken, and brought back?"""

from __future__ import annotations

from collections.abc import Iterator

from modelctl.checks.case import Case, Rule, doubtful, wrong
from modelctl.engines.base import Finding
from modelctl.facts import gpus


def several_gpus(case: Case) -> Iterator[Finding]:
    if case.resolved.snapshot != "gpu":
        return
    for index, _, name, count in case.entries:
        if count > 1:
            yield wrong(
                ("gpu", index),
                "snapshot/multi-gpu",
                f"a snapshot of {count} × {name} is known not to come back",
                "snapshot: none, or entries of one GPU",
                detail="NVIDIA/cuda-checkpoint#27",
            )


def hardware_left_open(case: Case) -> Iterator[Finding]:
    if case.resolved.snapshot != "gpu":
        return
    for index, _, name, count in case.entries:
        choice = gpus.choice(name)
        if choice and len(choice.cards) > 1 and f"{choice.modal}!" in gpus.choices():
            better = choice.cards[1].name
            yield doubtful(
                ("gpu", index),
                "snapshot/hardware",
                f"{name} may become {better}, and a snapshot is good for one of the two",
                gpus.key(f"{choice.modal}!", count),
            )


def without_gpu(case: Case) -> Iterator[Finding]:
    if case.resolved.snapshot == "cpu" and case.entries:
        yield doubtful(
            ("snapshot",),
            "snapshot/cpu-with-gpu",
            "a cpu snapshot is taken before there is a GPU: the engine starts after it, so that "
            "little is saved",
            "snapshot: gpu, or none",
        )
    if case.resolved.snapshot == "gpu" and not case.entries:
        yield wrong(
            ("snapshot",),
            "snapshot/gpu-without-gpu",
            "there is no GPU whose memory a snapshot could hold",
            "snapshot: cpu, or none",
        )


RULES: tuple[Rule, ...] = (several_gpus, hardware_left_open, without_gpu)
