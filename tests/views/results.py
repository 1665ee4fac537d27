"""Results for the tests of every format: one of each kind, and as many as hypothesis thinks of."""

from __future__ import annotations

from hypothesis import strategies as st

from modelctl.apply import Failure, Outcome
from modelctl.apply import Result as Ended
from modelctl.diagnostics import Diagnostic, Place, Severity
from modelctl.plan import Action, Change, Cost, FieldChange, Plan
from modelctl.record import Hold
from modelctl.resolved import Limits
from modelctl.views.results import Applied, Planned, Result, Standing, Stopped, Validated
from modelctl.views.rows import StatusRow

HOLD = Hold("version", "ana@laptop", "latency", "2026-11-20T02:10:00Z", "2026-11-23T09:00:00Z", "")
ERROR = Diagnostic(
    Severity.ERROR,
    "fit/too-large",
    "70B in fp8 does not fit 2 × L40S at 32k context",
    hint="context: 16384 fits on this entry; or L40S:4",
    place=Place("specs/chat-70b.yaml", 6, 15, 6, "gpu: [H100:2, L40S:2]"),
    path="gpu[1]",
    detail="weights 33.9 + one request 5.0 + other 2.9 = 41.8, usable 40.8 GiB per GPU",
    environments=("prod",),
)
FIELD = Diagnostic(
    Severity.ERROR,
    "spec/unknown-field",
    "no such field; did you mean context?",
    place=Place("specs/embed.yaml", 4, 1, 6, "contxt: 8192"),
    path="contxt",
)
WARNING = Diagnostic(
    Severity.WARNING,
    "model/unlocked",
    "not in modelctl.lock; run modelctl lock",
    place=Place("specs/chat-8b.yaml", 2, 8, 18, "model: hf://Qwen/Qwen3-8B"),
    path="model",
)
UNCHECKED = Diagnostic(
    Severity.NOT_CHECKED,
    "fit/not-checked",
    "the architecture has no facts here",
    place=Place("specs/odd.yaml", 1, 1, 4, "name: odd"),
    path="gpu",
)
MISSING = Diagnostic(
    Severity.ERROR,
    "secret/missing",
    "prod has no Secret hub",
    hint="modal secret create hub HF_TOKEN=… --env prod",
    place=Place("specs/chat-70b.yaml", 9, 11, 3, "secrets: [hub]"),
    path="secrets[0]",
)
CHANGES = (
    Change(
        "chat-70b",
        Action.REDEPLOY,
        fields=(
            FieldChange("backend.version", "0.32.0", "0.33.0"),
            FieldChange("context", 16384, 32768),
        ),
        cost=Cost(8.79, 8.79, 10.0, 35.16),
        version=8,
        impact=("new image", "rolling, 2 more H100 while it rolls", "same URL"),
    ),
    Change(
        "chat-8b",
        Action.IN_PLACE,
        fields=(FieldChange("keep_warm", 1, 2),),
        cost=Cost(4.84, 9.68, 9.68, 38.72),
        version=12,
        impact=("no new version, containers stay",),
    ),
    Change(
        "embed-e5",
        Action.CREATE,
        ("L4, scale to zero",),
        cost=Cost(None, 0.0, 0.0, 3.2),
        impact=("1.1 GB to fetch",),
    ),
    Change("legacy-7b", Action.DELETE, ("not in specs (needs --prune)",), cost=Cost(0.8, 0.8)),
    Change("rerank", Action.BLOCKED, ("v8 answered wrong; change the spec or --retry",)),
    Change("search-8b", Action.HELD, ("rolled back to v6 by ana",), cost=Cost(6.0, 6.0), hold=HOLD),
    Change(
        "summarize",
        Action.DRIFT,
        ("live max 12, spec 4: apply sets 4",),
        fields=(FieldChange("scaling.max", 12, 4),),
        cost=Cost(0.0, 0.0),
    ),
    *(Change(f"quiet-{n}", Action.UNCHANGED, cost=Cost(0.0, 0.0)) for n in range(34)),
)
PLAN = Plan(
    "prod",
    "Modal environment prod",
    CHANGES,
    limits=Limits(usd_per_month=40_000),
    prices="Modal's list prices of 2026-05-25",
)
PLACES = {
    name: Place(f"specs/{name}.yaml")
    for name in ("chat-70b", "chat-8b", "embed-e5", "rerank", "search-8b", "summarize")
}
PLANNED = Planned(PLAN, "prod", [WARNING], [MISSING], places=PLACES)
VALIDATED = Validated(
    [WARNING, ERROR, FIELD, UNCHECKED],
    ("specs/chat-70b.yaml", "specs/chat-8b.yaml", "specs/embed.yaml", "specs/odd.yaml"),
    ("staging", "prod"),
    0.21,
)
FAILED = Outcome(
    "chat-70b",
    Action.REDEPLOY,
    Ended.FAILED,
    8,
    detail="v9 answered wrong; v8 serves, as it did all along",
    lines=("14:31:02 engine  WARNING chat template not found", "::set-output name=x::y"),
    seconds=281.4,
    failure=Failure.ANSWER,
    tried=9,
)
OUTCOMES = (
    FAILED,
    Outcome(
        "chat-8b",
        Action.IN_PLACE,
        Ended.DONE,
        12,
        "https://acme--chat-8b.modal.run",
        "keep_warm 2",
        seconds=0.4,
    ),
    Outcome(
        "embed-e5", Action.CREATE, Ended.SKIPPED, detail="wave 2 was not begun: chat-70b failed"
    ),
    Outcome("search-8b", Action.HELD, Ended.HELD, 7, detail="held by ana@laptop"),
    *(Outcome(f"quiet-{n}", Action.UNCHANGED, Ended.UNCHANGED, 1) for n in range(34)),
)
APPLIED = Applied(PLANNED, OUTCOMES, 372.0, "--env prod")
ROWS = (
    StatusRow(
        "chat-70b",
        "blocked",
        "healthy",
        "1 of 1..4 H100:2",
        10,
        "https://acme--chat-70b.modal.run",
        again=8,
        usd_per_hour=8.79,
        reasons=("v9 answered wrong",),
    ),
    StatusRow(
        "chat-8b",
        "in sync",
        "healthy",
        "2 of 2..8 H100",
        12,
        None,
        commit="8f3ab1e",
        usd_per_hour=9.68,
    ),
    StatusRow("summarize", "in sync", "HTTP 503", "0 of 1..12 H200", 4, None, usd_per_hour=0.0),
)
STANDING = Standing(ROWS, "prod", "Modal environment prod", "prod", {"specs/odd.yaml": 2}, PLACES)
UNREACHABLE = Stopped(
    "plan", "prod", 6, "Modal did not answer while looking: timed out", "try again"
)
REJECTED = Stopped("apply", "prod", 1, diagnostics=[FIELD])
ALL: dict[str, Result] = {
    "validated": VALIDATED,
    "planned": PLANNED,
    "applied": APPLIED,
    "standing": STANDING,
    "unreachable": UNREACHABLE,
    "rejected": REJECTED,
}

# -- anything

_HOSTILE = (
    "::error::x",
    "\n::set-output name=a::b",
    "##[add-path]/x",
    "|",
    "`",
    "@ana",
    "<img src=x>",
    "</details>",
    "[a](http://b)",
    "#12",
    "*b*",
    "_c_",
    "--> x",
    "]]>",
    "&amp;",
    "\\",
    "\x00",
    "\x1b[31m",
    "$x$",
    "%0A",
    ",file=y",
    "~~s~~",
    "# t",
    "- l",
    "1. n",
    "\ud800",
    "\u2028",
)
texts = st.one_of(
    st.text(max_size=40),
    st.lists(st.one_of(st.sampled_from(_HOSTILE), st.text(max_size=5)), max_size=6).map("".join),
)
lines = st.tuples(texts) | st.just(())
money = st.none() | st.floats(0, 1e4, allow_nan=False)
values = st.none() | st.booleans() | st.integers() | texts
numbers = st.integers(1, 10_000)
places_ = st.builds(Place, texts.filter(bool), numbers, numbers, st.integers(0, 99), texts)
diagnostics = st.builds(
    Diagnostic,
    st.sampled_from(Severity),
    st.sampled_from(("fit/too-large", "spec/unknown-field", "odd/code")),
    texts,
    texts,
    st.none() | places_,
    texts,
    texts,
    st.lists(texts, max_size=2).map(tuple),
)
holds = st.builds(
    Hold, st.sampled_from(("version", "scaling")), texts, texts, texts, st.none() | texts, texts
)
changes = st.builds(
    Change,
    texts,
    st.sampled_from(Action),
    lines,
    st.lists(st.builds(FieldChange, texts, values, values), max_size=5).map(tuple),
    st.builds(Cost, money, money, money, money),
    st.none() | numbers,
    st.none() | texts,
    impact=lines,
    hold=st.none() | holds,
)
limits = st.builds(Limits, money, money, money)
plans = st.builds(
    Plan,
    texts,
    texts,
    st.lists(changes, max_size=30).map(tuple),
    st.floats(0, 100),
    limits,
    texts,
    lost=st.booleans(),
    notes=lines,
)
found = st.lists(diagnostics, max_size=6)
planned = st.builds(
    Planned, plans, texts, found, found, st.just({}), st.dictionaries(texts, places_, max_size=3)
)
outcomes = st.builds(
    Outcome,
    texts,
    st.sampled_from(Action),
    st.sampled_from(Ended),
    st.none() | numbers,
    st.none() | texts,
    texts,
    st.lists(texts, max_size=4).map(tuple),
    st.floats(0, 9999),
    st.booleans(),
    st.booleans(),
    st.none() | st.sampled_from(Failure),
    st.none() | numbers,
)
applied = st.builds(Applied, planned, st.lists(outcomes, max_size=8), st.floats(0, 9999), texts)
rows = st.builds(
    StatusRow,
    texts,
    st.one_of(st.sampled_from(("in sync", "drifted", "held")), texts),
    st.one_of(st.sampled_from(("healthy", "HTTP 503")), texts),
    texts,
    st.none() | numbers,
    st.none() | texts,
    lines,
    lines,
    st.none() | numbers,
    texts,
    money,
    texts,
    st.none() | st.datetimes(),
    lines,
    st.none() | holds,
)
standing = st.builds(
    Standing,
    st.lists(rows, max_size=8),
    texts,
    texts,
    texts,
    st.dictionaries(texts, numbers, max_size=2),
    st.dictionaries(texts, places_, max_size=3),
)
validated = st.builds(
    Validated, found, st.lists(texts, max_size=4), st.lists(texts, max_size=2), st.floats(0, 99)
)
stopped = st.builds(
    Stopped,
    st.sampled_from(("validate", "plan", "apply", "status")),
    texts,
    st.sampled_from((1, 3, 4, 5, 6, 64)),
    texts,
    texts,
    found,
)
anything = st.one_of(validated, planned, applied, standing, stopped)
