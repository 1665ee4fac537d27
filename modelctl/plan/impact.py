"""What does a change mean to those who use the app, and to the bill? In a few words each."""

from __future__ import annotations

from collections.abc import Sequence

from modelctl.plan.types import FieldChange
from modelctl.record import Entry
from modelctl.resolved import Resolved, Scaling


def of_deployment(
    resolved: Resolved,
    scaling: Scaling,
    entry: Entry | None,
    fields: Sequence[FieldChange],
) -> tuple[str, ...]:
    """A new version beside one that lives."""
    words = []
    if any(f.path.startswith(("backend.version", "image.")) for f in fields):
        words.append("new image")
    if resolved.rollout.strategy == "recreate":
        words.append("down until it has started again")
    else:
        words.append(_rolling(resolved, scaling))
    words += to_fetch(resolved, entry)
    region = next((f for f in fields if f.path == "endpoint.region"), None)
    words.append(
        f"its URL changes: {region.before} → {region.after}" if region is not None else "same URL"
    )
    return tuple(words)


def _rolling(resolved: Resolved, scaling: Scaling) -> str:
    """While both versions run there are more containers than before."""
    more, gpus = scaling.min_containers, resolved.placement.gpus
    if not more or not gpus:
        return "rolling"
    kind, _, count = gpus[0].replace("!", "").partition(":")
    return f"rolling, {more * int(count or 1) * resolved.nodes} more {kind} while it rolls"


def to_fetch(resolved: Resolved, entry: Entry | None) -> tuple[str, ...]:
    """What has to be put into Volumes first, as far as the sizes are known: `15.2 GB to fetch`."""
    there = {folder for _, folders in (entry.weights or () if entry else ()) for folder in folders}
    uploads = [w.upload for w in resolved.sources if w.upload is not None]
    fetches = [w.fetch for w in resolved.sources if w.fetch is not None]
    words = []
    if uploads:
        missing = sum(upload.size for upload in uploads if upload.prefix not in there)
        words.append(f"{_amount(missing)} to upload")
    if fetches:
        sizes = [fetch.size for fetch in fetches if fetch.prefix not in there]
        known = [size for size in sizes if isinstance(size, int)]
        words.append(
            f"{_amount(sum(known))} to fetch"
            if len(known) == len(sizes)
            else "what has to be fetched is not known yet"
        )
    return tuple(words)


def _amount(size: int) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.0f} MB"
