"""What may go on to the next environment? What is proven, with the same model and engine."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from modelctl.byhand.promoting import doubts
from modelctl.plan import Action, Change, Desired, FieldChange
from modelctl.record import Entry, Hold
from modelctl.resolved import ImageStep, Weights
from tests.making import NOW, desired, entry

GOOD = replace(entry(version=8), good=(8, "d1"))
SAME = Change("chat", Action.UNCHANGED, version=8)
HELD = Hold("version", "ana", "latency", NOW, None, "rolled back to v6")


def doubted(
    change: Change = SAME, lives: Entry | None = GOOD, *, there: Desired | None = None
) -> tuple[str, ...]:
    return doubts(desired(), there or desired(digest="d2"), change, lives, "staging", "prod")


def other(**changes: object) -> Desired:
    one = desired()
    resolved = replace(one.rendered.resolved, **changes)
    return replace(one, rendered=replace(one.rendered, resolved=resolved))


def reads(source: str, revision: str) -> Weights:
    return Weights("hub", source, "/models/m", revision=revision)


def test_what_is_good_may_go_on_with_other_numbers() -> None:
    assert doubted() == ()
    numbers = replace(desired().rendered.resolved.scaling, min_containers=4)
    assert doubted(there=other(scaling=numbers)) == ()


def test_scaling_that_is_held_is_no_other_version() -> None:
    scaled = replace(HELD, keeps="scaling", did="scaled to max 8")
    assert doubted(replace(SAME, action=Action.HELD, hold=scaled)) == ()


@pytest.mark.parametrize(
    ("change", "lives", "sentence"),
    [
        (
            replace(SAME, action=Action.CREATE, version=None),
            None,
            "chat does not live in staging: modelctl apply chat --env staging first",
        ),
        (
            replace(
                SAME, action=Action.REDEPLOY, fields=(FieldChange("context", 2048, 4096),)
            ),
            GOOD,
            "chat in staging is not what its spec says now (context): "
            "modelctl apply chat --env staging first",
        ),
        (
            replace(SAME, action=Action.HELD, hold=HELD),
            GOOD,
            'chat is held in staging, rolled back to v6 by ana, "latency", until released: release '
            "and apply it there first",
        ),
        (
            replace(SAME, action=Action.BLOCKED, reasons=("v9 failed: answered wrong: Rome",)),
            GOOD,
            "chat is blocked in staging: v9 failed: answered wrong: Rome",
        ),
        (
            replace(SAME, action=Action.IN_PLACE, verify=True),
            replace(GOOD, unproven="could not place: no H100 was free within 600 s", good=None),
            "v8 of chat in staging was never good: could not place: no H100 was free within 600 s",
        ),
        (SAME, replace(GOOD, good=None), "v8 of chat in staging never passed its gate"),
        (
            SAME,
            None,
            "nobody wrote down how chat came to live in staging: "
            "modelctl apply chat --env staging first",
        ),
    ],
)  # fmt: skip
def test_what_is_not_proven_stays_where_it_is(
    change: Change, lives: Entry | None, sentence: str
) -> None:
    assert doubted(change, lives) == (sentence,)


def test_another_engine_image_or_model_is_another_thing() -> None:
    assert doubted(there=other(engine_version="b2")) == (
        "chat runs llama-server b1 in staging and llama-server b2 in prod",
    )
    assert doubted(there=other(image=(ImageStep("from_registry", ("other",)),))) == (
        "the image of chat in prod is another one than in staging",
    )
    assert doubted(there=other(weights=reads("hf://org/m", "c3f1a9d04b57e2"))) == (
        "chat reads ./m.gguf in staging and hf://org/m at c3f1a9d04b57 in prod",
    )
    assert doubted(there=other(beside=(reads("hf://org/tokens", "c3f1a9d04b57e2"),))) == (
        "chat reads nothing in staging and hf://org/tokens at c3f1a9d04b57 in prod",
    )
