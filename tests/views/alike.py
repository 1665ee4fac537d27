"""Which plans have apps that change in the same way?"""

from __future__ import annotations

from msgspec.structs import replace

from modelctl.plan import Action, Change, Cost, FieldChange, Plan

FIELD = FieldChange("memory_utilization", 0.9, 0.92)
SAME = tuple(
    Change(
        f"chat-{number}",
        Action.REDEPLOY,
        fields=(FIELD,),
        cost=Cost(1.0, 1.0, 1.0, 4.0),
        version=number + 1,
        impact=("rolling", "same URL"),
    )
    for number in range(5)
)
ALONE = Change("alone", Action.CREATE, ("L4, scale to zero",), cost=Cost(None, 0.0))

_TEAMS = ("billing", "claims-intake", "legal", "onboarding", "search", "support", "translate", "hr")
_SIZES = ("4b", "8b", "32b-reasoning", "70b", "draft")
_NAMES = sorted(f"{team}-{size}" for team in _TEAMS for size in _SIZES)

FLEET = Plan(
    "prod",
    "Modal environment prod, workspace acme",
    tuple(
        replace(
            SAME[0],
            name=name,
            fields=(FIELD, FieldChange("context", 16384, 32768))
            if name.startswith("legal-")
            else (FIELD,),
            action=Action.RECREATE if name == "hr-70b" else Action.REDEPLOY,
        )
        for name in _NAMES
    ),
    prices="Modal's list prices of 2026-05-25",
)
"""A default that all of forty apps have; five change otherwise too, and one by itself."""
