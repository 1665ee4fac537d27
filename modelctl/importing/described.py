"""Which spec is the nearest to an app that others deployed? What Modal tells of it, and no more."""

from __future__ import annotations

from modelctl.importing import container
from modelctl.importing.assemble import Imported
from modelctl.importing.draft import Draft
from modelctl.importing.mounts import Mount
from modelctl.importing.order import in_order
from modelctl.platform.described import Described
from modelctl.resolve import DEFAULTS
from modelctl.spec.names import slug
from modelctl.spec.values import duration_text, size_text

_NEVER = (
    ("model", "Modal does not tell what an app serves"),
    ("backend", "Modal does not tell the engine, its version and its flags"),
    ("context", "it is one of the engine's flags"),
    ("image", "Modal tells only its id"),
    ("env", "Modal tells no variables"),
    ("snapshot", "Modal does not tell whether there is one"),
)


def from_description(app: str, server: Described, *, alone: bool) -> Imported:
    """`alone` is false where the app has more than one server."""
    draft = Draft()
    name = slug(app if alone else f"{app}-{server.name}")[:63].strip("-") or "imported"
    draft.put("name", value=name)
    for field, why in _NEVER:
        draft.note("not read", field, why)
    draft.put("gpu", value=list(server.gpus) if len(server.gpus) > 1 else
              server.gpus[0] if server.gpus else "none")  # fmt: skip
    if server.cpu is not None:
        draft.put("cpu", value=container.whole(server.cpu))
    for field, mib in (("memory", server.memory), ("disk", server.disk)):
        if mib is not None:
            draft.put(field, value=size_text(mib * container.MIB))
    nodes = server.nodes
    if nodes > 1:
        draft.put("nodes", value=nodes)
    _scaling(server, draft)
    _endpoint(server, draft)
    _mounts(server, draft)
    if server.secrets:
        draft.put("secrets", value=list(server.secrets))
    if server.nameless:
        many = f"{server.nameless} of the Secrets have" if server.nameless > 1 else "a Secret has"
        draft.note("not read", "secrets", f"{many} no name: made in the app, or no longer there")
    return Imported(server.name, in_order(draft.fields), tuple(draft.notes))


def _scaling(server: Described, draft: Draft) -> None:
    said, nodes = server.scaling, server.nodes
    if said.min_containers:
        draft.put("keep_warm", value=said.min_containers // nodes)
    if said.max_containers:
        draft.put("scaling", "max", value=said.max_containers // nodes)
    if said.buffer_containers:
        draft.put("scaling", "buffer", value=said.buffer_containers // nodes)
    if said.scaledown_window and said.scaledown_window != DEFAULTS.idle_timeout:
        draft.put("scaling", "idle_timeout", value=duration_text(said.scaledown_window))
    if said.scaleup_window:
        draft.put("scaling", "scaleup_window", value=duration_text(said.scaleup_window))
    if said.target_concurrency:
        draft.put("concurrency", "target", value=container.whole(said.target_concurrency))
    draft.note("not read", "concurrency.max", "Modal does not tell how many requests it lets in")


def _endpoint(server: Described, draft: Draft) -> None:
    if server.unauthenticated:
        draft.put("endpoint", "auth", value="none")
        draft.note("guessed", "endpoint.auth", "Modal asks for no token; the engine may for a key")
    if server.region not in (None, "", DEFAULTS.region):
        draft.put("endpoint", "region", value=server.region)
    if server.compute_regions:
        draft.put("endpoint", "compute_regions", value=list(server.compute_regions))
    if server.cloud:
        draft.put("endpoint", "cloud", value=server.cloud)
    if server.nonpreemptible:
        draft.put("endpoint", "nonpreemptible", value=True)
    if server.startup_timeout:
        draft.put("endpoint", "startup_timeout", value=duration_text(server.startup_timeout))
    if server.drain is not None and server.drain != DEFAULTS.drain:
        draft.put("endpoint", "drain", value=duration_text(server.drain))


def _mounts(server: Described, draft: Draft) -> None:
    found = [Mount(m.path, "volume", m.volume, m.read_only) for m in server.volumes if m.volume]
    found += [
        Mount(b.path, "bucket", b.bucket, b.read_only, (b.prefix or "").strip("/"))
        for b in server.buckets
    ]
    container.mounts(found, (), False, draft)
    for mount in server.volumes:
        if not mount.volume:
            draft.note(
                "not read",
                "volumes",
                f"the Volume at {mount.path}, which has no name or is no longer there",
            )
    if server.buckets:
        draft.note("not read", "buckets", "the Secrets that open them")
