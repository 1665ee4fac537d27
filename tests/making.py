"""What do tests of plan, apply, record and views start from? Small, whole values, made by hand."""

from __future__ import annotations

from datetime import UTC, datetime

from modelctl.plan import Desired, Seen
from modelctl.platform.types import Capabilities, Deployment, Details, Live, LiveApp
from modelctl.record import AppRecord, Entry, Index, Spoken
from modelctl.rendered import TAG_DIGEST, TAG_PROJECT, Rendered
from modelctl.resolved import (
    Endpoint,
    Fetch,
    ImageStep,
    Placement,
    Resolved,
    Rollout,
    Scaling,
    Upload,
    Variant,
    Weights,
)

NOW = "2026-11-21T12:00:00Z"
EVERYTHING = Capabilities(engines=None)


def scaling(keep_warm: int = 0, **changes: object) -> Scaling:
    values: dict[str, object] = {
        "min_containers": keep_warm,
        "max_containers": None,
        "buffer_containers": 0,
        "scaledown_window": 300,
        "scaleup_window": None,
        "target_concurrency": None,
    }
    return Scaling(**{**values, **changes})  # type: ignore[arg-type]


def resolved(
    name: str = "chat",
    *,
    keep_warm: int = 0,
    gate: str = "none",
    upload: Upload | None = None,
    fetch: Fetch | None = None,
    strategy: str = "rolling",
    auth: str = "proxy",
    on_failure: str = "rollback",
) -> Resolved:
    return Resolved(
        name=name,
        project="team",
        environment="",
        file=f"specs/{name}.yaml",
        engine="llama.cpp",
        engine_version="b1",
        server="llama-server",
        task="generate",
        served_as=(name,),
        weights=Weights("local", "./m.gguf", "/models/m.gguf", upload=upload, fetch=fetch),
        beside=(),
        command=("llama-server",),
        variants=(Variant("cpu", "cpu", None, None, 0, 2048, 1, (("--ctx-size", "2048"),)),),
        image=(ImageStep("from_registry", ("image",)),),
        placement=Placement((), None, None, None, (), None, nonpreemptible=False),
        scaling=scaling(keep_warm),
        max_concurrency=None,
        endpoint=Endpoint(auth, None, "us-east", 600, 30),  # type: ignore[arg-type]
        snapshot="none",
        mounts=(),
        buckets=(),
        checks=(),
        rollout=Rollout(strategy, gate, 600, 5, 60, on_failure, None),  # type: ignore[arg-type]
        nodes=1,
        metrics_interval=60,
        protect=False,
    )


def desired(
    name: str = "chat",
    *,
    digest: str = "d1",
    fields: dict[str, object] | None = None,
    keep_warm: int = 0,
    **changes: object,
) -> Desired:
    rendered = Rendered(
        name=name,
        module=f"serve_{name.replace('-', '_')}",
        text="# app",
        digest=digest,
        tags={TAG_PROJECT: "team", TAG_DIGEST: digest},
        resolved=resolved(name, keep_warm=keep_warm, **changes),  # type: ignore[arg-type]
    )
    return Desired(rendered, fields or {"name": name, "context": 2048})


def live_app(
    name: str = "chat", *, app_id: str = "ap-1", version: int = 1, by: str = "ana"
) -> LiveApp:
    at = datetime(2026, 11, 1, tzinfo=UTC)
    return LiveApp(name, app_id, version, "deployed", at, by, {"Server": "fu-1"})


def entry(
    *, app_id: str = "ap-1", version: int = 1, digest: str = "d1", keep_warm: int = 0
) -> Entry:
    return Entry(app_id, version, digest, scaling(keep_warm), "http://127.0.0.1:1")


def record(fields: dict[str, object] | None = None, **changes: object) -> AppRecord:
    lives = entry(**changes)  # type: ignore[arg-type]
    said = fields or {"name": "chat", "context": 2048}
    return AppRecord(lives, (Spoken(lives.digest, said, "# app", {}),))


def seen(
    *apps: LiveApp,
    index: dict[str, Entry] | None = None,
    details: dict[str, Details] | None = None,
    records: dict[str, AppRecord] | None = None,
    histories: dict[str, tuple[Deployment, ...]] | None = None,
    now: str = NOW,
) -> Seen:
    return Seen(
        Live("main", {app.name: app for app in apps}),
        Index(index) if index is not None else None,
        details or {},
        records or {},
        histories or {},
        now,
    )


def details(*, project: str = "team", digest: str = "d1", keep_warm: int = 0) -> Details:
    return Details(
        {TAG_PROJECT: project, TAG_DIGEST: digest}, "http://127.0.0.1:1", scaling(keep_warm)
    )
