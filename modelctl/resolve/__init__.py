"""What does a spec mean once every question is answered? Every default is decided here, once."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Literal

from msgspec import Struct

from modelctl.engines import engine as engine_named
from modelctl.engines.base import (
    Ask,
    Engine,
    Setting,
    Task,
)
from modelctl.engines.images import locked_engine
from modelctl.facts import gpus
from modelctl.resolve.sources import buckets_of, sources_of, volumes_of
from modelctl.resolved import (
    Check,
    Endpoint,
    Flag,
    Placement,
    Resolved,
    Rollout,
    Rooted,
    Scaling,
    Unknown,
    Variant,
)
from modelctl.spec import models
from modelctl.spec.models import Parallel, Spec
from modelctl.spec.wanted import Wanted
from modelctl.weights.facts import ModelFacts
from modelctl.weights.lock import LockedEngine
from modelctl.weights.sources import looks_like_gguf

MIB = 2**20


class Defaults(Struct, frozen=True):
    """What holds where a spec says nothing. Seconds, tokens and containers.

    What is not here is Modal's default, the engine's (`startup_timeout`), or follows from another
    answer: the engine from the model's format, tensor parallelism from the GPU count.
    """

    context: int = 8192
    """Or the model's own length where that is known to be less."""
    task: Task = "generate"
    keep_warm: int = 0
    buffer: int = 0
    idle_timeout: int = 300
    auth: Literal["proxy", "api-key", "none"] = "proxy"
    region: str = "us-east"
    drain: int = 30
    snapshot: Literal["none", "cpu", "gpu"] = "none"
    cpu_cores: float = 4.0
    """Of a CPU endpoint: Modal's own 0.125 is for web servers. With a GPU Modal's default holds."""
    cpu_memory_mib: int = 4096
    strategy: Literal["rolling", "recreate"] = "rolling"
    gate: Literal["none", "health", "checks"] = "health"
    """`checks` where the spec has any."""
    place_timeout: float = 900.0
    checks_timeout: float = 120.0
    on_failure: Literal["rollback", "keep"] = "rollback"
    check_within: float = 60.0
    check_max_tokens: int = 256
    metrics_interval: int = 60


DEFAULTS = Defaults()

# What an absent mapping is read as, so that a field is asked for in one way.
NO_MODEL = models.Model.model_construct()
NO_BACKEND = models.Backend.model_construct()
NO_ENTRY = models.Gpu.model_construct()
NO_PARALLEL = models.Parallel.model_construct()
NO_CONCURRENCY = models.Concurrency.model_construct()
NO_SCALING = models.Scaling.model_construct()
NO_ENDPOINT = models.Endpoint.model_construct()
NO_EXPECT = models.Expect.model_construct()
NO_ROLLOUT = models.Rollout.model_construct()
NO_TIMEOUTS = models.Timeouts.model_construct()
NO_METRICS = models.Metrics.model_construct()


class _Seat(Struct, frozen=True):
    """One variant before its flags: which card, how many, and the entry that asked for it."""

    key: str
    origin: Literal["entry", "upgrade", "cpu"]
    entry: int | None
    card: gpus.Gpu | None
    count: int
    said: models.Gpu


def resolve(wanted: Wanted, model: ModelFacts) -> Resolved:
    """Answer every question of `wanted`. Never fails: what is wrong with an answer, checks say."""
    spec = wanted.spec
    engine = engine_of(spec)
    setting = setting_of(wanted, model)
    entries = gpu_entries(spec)
    around = engine.surroundings(setting)
    return Resolved(
        name=wanted.name,
        project=wanted.project.name,
        environment=wanted.environment,
        file=str(wanted.file),
        engine=engine.name,
        engine_version=setting.version,
        server=setting.server,
        task=setting.task,
        served_as=setting.served_as,
        weights=setting.sources.weights,
        beside=setting.sources.beside,
        command=engine.command(setting.server),
        variants=tuple(_variants(engine, setting, _seats(entries))),
        image=engine.image(setting),
        placement=_placement(spec, entries),
        scaling=_scaling(spec),
        max_concurrency=(spec.concurrency or NO_CONCURRENCY).max,
        endpoint=_endpoint(spec, setting),
        snapshot=spec.snapshot or DEFAULTS.snapshot,
        mounts=(*setting.sources.mounts, *around.mounts, *volumes_of(spec)),
        buckets=(*setting.sources.buckets, *buckets_of(spec)),
        checks=tuple(_check(name, check) for name, check in (spec.checks or {}).items()),
        rollout=_rollout(spec, setting),
        nodes=setting.nodes,
        rdma=setting.nodes > 1 and _rdma(entries),
        metrics_interval=_metrics_interval(spec),
        protect=bool(spec.protect),
        labels=dict(spec.labels or {}),
        secrets=_secrets(spec),
        env={**around.env, **(spec.env or {})},
        path_env=around.path_env,
        chat_template=model.chat_template if isinstance(model.chat_template, str) else None,
    )


def engine_of(spec: Spec) -> Engine:
    """The engine that is named, or the one that can read the model's format."""
    named = (spec.backend or NO_BACKEND).name
    model = spec.model or NO_MODEL
    source = model.file or model.source
    return engine_named(named or ("llama.cpp" if looks_like_gguf(source) else "vllm"))


def setting_of(wanted: Wanted, model: ModelFacts) -> Setting:
    """What holds for every variant."""
    spec = wanted.spec
    engine = engine_of(spec)
    said, endpoint = spec.model or NO_MODEL, spec.endpoint or NO_ENDPOINT
    server = engine.server(spec)
    version = (spec.backend or NO_BACKEND).version
    if version is None:
        version = default_engine(engine.product(server), model).version
    startup, drain = endpoint.startup_timeout, endpoint.drain
    return Setting(
        spec=spec,
        version=version,
        server=server,
        task=said.task or DEFAULTS.task,
        served_as=tuple(said.served_as or ()) or (wanted.name,),
        model=model,
        sources=sources_of(spec, model, gguf=engine.takes_gguf),
        nodes=spec.nodes or 1,
        cores=_cores(spec, gpu_entries(spec)),
        startup_timeout=math.ceil(startup) if startup else engine.startup_timeout,
        drain=DEFAULTS.drain if drain is None else math.ceil(drain),
    )


def default_engine(product: str, model: ModelFacts) -> LockedEngine:
    """What an engine is where nobody names a version: what it was when the lock was written."""
    return model.engines.get(product) or locked_engine(product)


def gpu_entries(spec: Spec) -> tuple[tuple[int, models.Gpu, str, int], ...]:
    """The GPU list as (index, entry, type, count); empty for a CPU."""
    found = []
    for index, entry in enumerate(spec.gpu or ()):
        name, count = gpus.written(entry.type or gpus.NONE, entry.count)
        if name.lower() != gpus.NONE:
            found.append((index, entry, name, count))
    return tuple(found)


def _seats(entries: Iterable[tuple[int, models.Gpu, str, int]]) -> Iterator[_Seat]:
    """A seat an entry, one an upgrade that Modal may make, and the CPU. The first of a key wins."""
    asked: dict[str, _Seat] = {}
    upgrades: list[_Seat] = []
    order: list[str] = []
    for index, entry, name, count in entries:
        choice = gpus.choice(name)
        if choice is None:
            # Checks say that it is unknown; the app still has a variant under that name.
            key = gpus.key(name, count)
            asked.setdefault(key, _Seat(key, "entry", index, None, count, entry))
            order.append(key)
            continue
        for number, card in enumerate(choice.cards):
            key = gpus.key(card.name, count)
            order.append(key)
            if number == 0:
                asked.setdefault(key, _Seat(key, "entry", index, card, count, entry))
            else:
                upgrades.append(_Seat(key, "upgrade", index, card, count, entry))
    for seat in upgrades:
        asked.setdefault(seat.key, seat)
    yield from (asked[key] for key in dict.fromkeys(order))
    yield _Seat("cpu", "cpu", None, None, 0, NO_ENTRY)


def _variants(engine: Engine, setting: Setting, seats: Iterable[_Seat]) -> Iterator[Variant]:
    """One for each seat. Cards of the same command line share what follows from it."""
    rooted = _rooted_in(setting)
    known: dict[object, Variant] = {}
    for seat in seats:
        ask = _ask(engine, setting, seat)
        flags = engine.flags(ask)
        line = (flags, ask.context, ask.count, bool(ask.args))
        alike = known.get(line)
        known[line] = variant = Variant(
            key=seat.key,
            origin=seat.origin,
            entry=seat.entry,
            gpu=None if seat.origin == "cpu" else (seat.card.name if seat.card else seat.key),
            count=seat.count,
            context=ask.context,
            max_sequences=ask.sequences,
            flags=alike.flags if alike else tuple(map(rooted, flags)),
            memory=alike.memory if alike else engine.memory(ask, flags),
        )
        yield variant


def _ask(engine: Engine, setting: Setting, seat: _Seat) -> Ask:
    spec, said = setting.spec, seat.said
    at_most = (said.concurrency or spec.concurrency or NO_CONCURRENCY).max
    return Ask(
        setting=setting,
        card=seat.card,
        count=seat.count,
        context=said.context or _context(engine, spec, setting.model),
        kv_cache=said.kv_cache or spec.kv_cache,
        memory_utilization=said.memory_utilization or spec.memory_utilization,
        sequences=engine.sequences(
            setting.server, said.max_sequences or spec.max_sequences, at_most
        ),
        at_most=at_most,
        max_batched_tokens=said.max_batched_tokens or spec.max_batched_tokens,
        parallel=parallel_of(spec, said, seat.count),
        args={**((spec.backend or NO_BACKEND).args or {}), **(said.args or {})},
        said=said,
    )


def _rooted_in(setting: Setting) -> Callable[[Flag], Flag]:
    """Words of a person's own that are paths of a mount get the mount root, like ours."""
    spec = setting.spec
    mounted = [
        *(mount.path for mount in setting.sources.mounts),
        *(bucket.path for bucket in setting.sources.buckets),
        *(spec.volumes or ()),
        *(spec.buckets or ()),
    ]
    paths = tuple(f"{path.rstrip('/')}/" for path in mounted)

    def rooted(flag: Flag) -> Flag:
        return tuple(
            Rooted(word) if isinstance(word, str) and word.startswith(paths) else word
            for word in flag
        )

    return rooted


def _context(engine: Engine, spec: Spec, model: ModelFacts) -> int | Unknown:
    if spec.context is not None:
        return spec.context
    if isinstance(model.context_length, Unknown):
        return engine.unknown_context or model.context_length
    return min(model.context_length, DEFAULTS.context)


def parallel_of(spec: Spec, entry: models.Gpu, count: int) -> Parallel:
    """The entry's own words field by field, then the spec's; tensor is the count if nobody says."""
    merged = spec.parallel or NO_PARALLEL
    if entry.parallel is not None:
        merged = merged.model_copy(update=entry.parallel.model_dump(exclude_none=True))
    nodes = spec.nodes or 1
    if (
        nodes > 1
        and merged.pipeline is None
        and merged.data is None
        and merged.tensor
        in (
            None,
            count,
        )
    ):
        # What crosses hosts least: one group of layers a host.
        merged = merged.model_copy(update={"pipeline": nodes})
    if merged.tensor is None and count > 0:
        elsewhere = (merged.pipeline or 1) * (merged.data or 1)
        merged = merged.model_copy(update={"tensor": max(1, count * nodes // elsewhere)})
    return merged


def _rdma(entries: Iterable[tuple[int, models.Gpu, str, int]]) -> bool:
    """Whether every card that may come has the fast network between hosts."""
    cards = [card for _, _, name, _ in entries if (c := gpus.choice(name)) for card in c.cards]
    return bool(cards) and all(gpus.has_rdma(card.name) for card in cards)


def _cores(spec: Spec, entries: tuple[object, ...]) -> float | None:
    return spec.cpu or (None if entries else DEFAULTS.cpu_cores)


def _placement(spec: Spec, entries: tuple[tuple[int, models.Gpu, str, int], ...]) -> Placement:
    strings = []
    for _, _, name, count in entries:
        choice = gpus.choice(name)
        strings.append(choice.modal_string(count) if choice else gpus.key(name, count))
    on_cpu = not strings
    memory = spec.memory and math.ceil(spec.memory / MIB)
    endpoint = spec.endpoint or NO_ENDPOINT
    return Placement(
        gpus=tuple(dict.fromkeys(strings)),
        cpu=_cores(spec, entries),
        memory=memory or (DEFAULTS.cpu_memory_mib if on_cpu else None),
        disk=spec.disk and math.ceil(spec.disk / MIB),
        compute_regions=tuple(endpoint.compute_regions or ()),
        cloud=endpoint.cloud,
        nonpreemptible=bool(endpoint.nonpreemptible),
    )


def _scaling(spec: Spec) -> Scaling:
    said = spec.scaling or NO_SCALING
    idle, scaleup = said.idle_timeout, said.scaleup_window
    target = (spec.concurrency or NO_CONCURRENCY).target
    nodes = spec.nodes or 1  # Modal counts containers, a spec counts copies of the model
    return Scaling(
        min_containers=nodes * (DEFAULTS.keep_warm if spec.keep_warm is None else spec.keep_warm),
        max_containers=said.max and nodes * said.max,
        buffer_containers=nodes * (said.buffer or DEFAULTS.buffer),
        scaledown_window=DEFAULTS.idle_timeout if idle is None else math.ceil(idle),
        scaleup_window=None if scaleup is None else math.ceil(scaleup),
        target_concurrency=None if target is None else float(target),
    )


def _endpoint(spec: Spec, setting: Setting) -> Endpoint:
    said = spec.endpoint or NO_ENDPOINT
    key, auth = said.api_key, said.auth or DEFAULTS.auth
    named = (key.secret, key.key) if key and key.secret and key.key else None
    return Endpoint(
        auth=auth,
        api_key=named if auth == "api-key" else None,
        region=said.region or DEFAULTS.region,
        startup_timeout=setting.startup_timeout,
        drain=setting.drain,
    )


def _secrets(spec: Spec) -> dict[str, tuple[str, ...]]:
    """Every Secret that the container gets, with the keys that must be there."""
    secrets = {name: tuple(keys or ()) for name, keys in (spec.secrets or {}).items()}
    endpoint = spec.endpoint or NO_ENDPOINT
    key = endpoint.api_key
    if endpoint.auth == "api-key" and key and key.secret and key.key:
        secrets[key.secret] = tuple(dict.fromkeys((*secrets.get(key.secret, ()), key.key)))
    return secrets


def _check(name: str, check: models.Check) -> Check:
    messages = tuple((m.role or "user", m.content or "") for m in check.messages or ())
    expect = check.expect or NO_EXPECT
    return Check(
        name=name,
        messages=messages or (("user", check.prompt or ""),),
        contains=expect.contains,
        matches=expect.matches,
        json_keys=tuple(expect.json_keys or ()),
        within=check.within or DEFAULTS.check_within,
        max_tokens=check.max_tokens or DEFAULTS.check_max_tokens,
    )


def _rollout(spec: Spec, setting: Setting) -> Rollout:
    said = spec.rollout or NO_ROLLOUT
    timeouts = said.timeouts or NO_TIMEOUTS
    return Rollout(
        strategy=said.strategy or DEFAULTS.strategy,
        gate=said.gate or ("checks" if spec.checks else DEFAULTS.gate),
        place_timeout=timeouts.place or DEFAULTS.place_timeout,
        boot_timeout=timeouts.boot or float(setting.startup_timeout),
        checks_timeout=timeouts.checks or DEFAULTS.checks_timeout,
        on_failure=said.on_failure or DEFAULTS.on_failure,
        wave=said.wave,
    )


def _metrics_interval(spec: Spec) -> int | None:
    said = spec.metrics or NO_METRICS
    if said.enabled is False:
        return None
    return DEFAULTS.metrics_interval if said.interval is None else max(1, math.ceil(said.interval))
