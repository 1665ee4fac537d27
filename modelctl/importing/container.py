"""Which fields of a spec do the options of a server's decorators say? GPUs, scaling, the URL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modelctl.checks.secrets import looks_secret
from modelctl.importing.draft import Draft
from modelctl.importing.image import Image
from modelctl.importing.mounts import Mount, Source, secret_name
from modelctl.importing.servers import Server
from modelctl.importing.values import Called, Unread, Value
from modelctl.resolve import DEFAULTS
from modelctl.spec.values import duration_text, size_text

MIB = 2**20

# What only fetches or caches weights: apply does that with an app and Volumes of its own.
_FETCHING = ("HF_HUB_", "HF_XET_", "HF_HOME", "HF_DATASETS", "HUGGINGFACE_HUB_", "TRANSFORMERS_")
_OWN = frozenset(
    {
        "LLAMA_API_KEY",
        "PYTHONPATH",
        "TORCHINDUCTOR_CACHE_DIR",
        "TRITON_CACHE_DIR",
        "VLLM_API_KEY",
        "VLLM_CACHE_ROOT",
        "VLLM_ENABLE_STARTUP_PLAN",
        "VLLM_ENGINE_READY_TIMEOUT_S",
        "VLLM_NO_USAGE_STATS",
        "VLLM_SERVER_DEV_MODE",
    }
)
"""Variables that every endpoint of modelctl has by itself, or that fields set."""


def option(server: Server, *names: str) -> Value:
    """The first of these options that is said; names change from one release to the next."""
    for name in names:
        for where in (server.options, server.web, server.concurrent):
            if where.get(name) is not None:
                return where[name]
    return None


def gpus_of(server: Server, draft: Draft) -> list[str]:
    """`["H100", "L40S:2"]`, empty for a CPU."""
    said = option(server, "gpu")
    found: list[str] = []
    for one in said if isinstance(said, list | tuple) else [said]:
        match one:
            case str():
                found.append(one.removesuffix(":1"))
            case Called(options=options, args=args):
                count = options.get("count", args[0] if args else 1)
                kind = one.last if options.get("size") is None else f"{one.last}-{options['size']}"
                found.append(kind if count == 1 else f"{kind}:{count}")
            case Unread():
                draft.note("not read", "gpu", one.why, one.line)
    return found


def resources(server: Server, on_cpu: bool, draft: Draft) -> None:
    for name, words in (("cpu", ("cpu",)), ("memory", ("memory",)), ("disk", ("ephemeral_disk",))):
        value = option(server, *words)
        if isinstance(value, list | tuple) and value:
            draft.note("guessed", name, f"the first of {tuple(value)}: a spec has no limit beside")
            value = value[0]
        if not isinstance(value, int | float | Unread):
            continue
        by_itself = {"cpu": DEFAULTS.cpu_cores, "memory": DEFAULTS.cpu_memory_mib}.get(name)
        if on_cpu and value == by_itself:
            continue
        if isinstance(value, int | float) and name != "cpu":
            draft.put(name, value=size_text(int(value) * MIB))
        else:
            draft.put(name, value=whole(value))


def whole(value: Value) -> Value:
    """`4.0` → `4`."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def scaling(server: Server, nodes: int, draft: Draft) -> None:
    def count(*names: str) -> Value:
        value = option(server, *names)
        return value // nodes if isinstance(value, int) and value % nodes == 0 else value

    warm = count("min_containers", "keep_warm")
    if warm:
        draft.put("keep_warm", value=warm)
    if most := count("max_containers", "concurrency_limit"):
        draft.put("scaling", "max", value=most)
    if buffer := count("buffer_containers", "_experimental_buffer_containers"):
        draft.put("scaling", "buffer", value=buffer)
    for name, default, words in (
        ("idle_timeout", DEFAULTS.idle_timeout, ("scaledown_window", "container_idle_timeout")),
        ("scaleup_window", None, ("scaleup_window",)),
    ):
        value = option(server, *words)
        if value is not None and value != default:
            draft.put("scaling", name, value=lasting(value))
    target = option(server, "target_concurrency", "target_inputs")
    most = option(server, "max_concurrency", "max_inputs", "allow_concurrent_inputs")
    if server.kind == "function" and isinstance(most, int):
        target = target or most
        draft.note(
            "guessed",
            "concurrency.max",
            f"above {most} requests wait for this function, and an endpoint of modelctl answers "
            "429",
        )
    if target is not None:
        draft.put("concurrency", "target", value=whole(target))
    if most is not None:
        draft.put("concurrency", "max", value=most)


def lasting(value: Value) -> Value:
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return duration_text(value) if plain else value


def endpoint(server: Server, startup: int, draft: Draft) -> None:
    """Where it is and how it starts; who may call it is `auth`'s."""
    region = option(server, "routing_region", "routing_regions", "proxy_regions")
    if isinstance(region, list | tuple):
        region = region[0] if region else None
    if region not in (None, DEFAULTS.region):
        draft.put("endpoint", "region", value=region)
    places = option(server, "compute_region", "region")
    if places is not None:
        draft.put("endpoint", "compute_regions", value=[places] if isinstance(places, str)
                  else places)  # fmt: skip
    if (cloud := option(server, "cloud")) is not None:
        draft.put("endpoint", "cloud", value=cloud)
    if option(server, "nonpreemptible") is True:
        draft.put("endpoint", "nonpreemptible", value=True)
    started = server.web.get("startup_timeout") or option(server, "startup_timeout")
    if started is not None and started != startup:
        draft.put("endpoint", "startup_timeout", value=lasting(started))
    drain = option(server, "exit_grace_period")
    if drain is not None and drain != DEFAULTS.drain:
        draft.put("endpoint", "drain", value=lasting(drain))


def auth(server: Server, key: Value, draft: Draft) -> None:
    """`key` is what the command says as the API key, None where it says none."""
    secrets = [s for s in _items(option(server, "secrets")) if isinstance(s, Called)]
    wanted = key.variable if isinstance(key, Unread) else ""
    for secret in secrets:
        keys = [k for k in _items(secret.options.get("required_keys")) if isinstance(k, str)]
        name = secret_name(secret)
        named = wanted or next((k for k in keys if k in ("VLLM_API_KEY", "LLAMA_API_KEY")), "")
        if name and named and (named in keys or (wanted and len(secrets) == 1)):
            draft.put("endpoint", "auth", value="api-key")
            draft.put("endpoint", "api_key", value={"secret": name, "key": named})
            return
    if key is not None:
        draft.note(
            "not taken",
            "endpoint.api_key",
            "the API key of the command: put it into a Modal Secret, then endpoint: {auth: "
            "api-key, api_key: {secret: NAME, key: KEY}}; without it Modal's proxy tokens are "
            "asked for",
            key.line if isinstance(key, Unread) else None,
        )
        return
    if server.kind == "server":
        closed = option(server, "unauthenticated") is not True
    else:
        closed = option(server, "requires_proxy_auth") is True
    if not closed:
        draft.put("endpoint", "auth", value="none")


def snapshot(server: Server) -> str:
    if option(server, "enable_memory_snapshot") is not True:
        return "none"
    more = option(server, "experimental_options")
    return "gpu" if isinstance(more, Mapping) and more.get("enable_gpu_snapshot") else "cpu"


def secrets(server: Server, on_the_hub: bool, draft: Draft) -> None:
    found: dict[str, list[str]] = {}
    key = draft.fields.get("endpoint", {}).get("api_key", {})
    for secret in _items(option(server, "secrets", "secret")):
        name = secret_name(secret)
        if name is None:
            _unnamed(secret, draft)
            continue
        keys = [k for k in _items(secret.options.get("required_keys")) if isinstance(k, str)]
        if name == key.get("secret") and set(keys) <= {key.get("key")}:
            continue
        if on_the_hub and not keys and ("hugging" in name.lower() or name.lower().startswith("hf")):
            draft.put("model", "secret", value=name)
            draft.note("guessed", "model.secret", f"{name} opens the Hub, and nothing else asks it")
            continue
        found[name] = keys
    if found and not any(found.values()):
        draft.put("secrets", value=list(found))
    elif found:
        draft.put("secrets", value=found)


def _unnamed(secret: Value, draft: Draft) -> None:
    line = getattr(secret, "line", None)
    if isinstance(secret, Called) and secret.last == "from_dict":
        said = secret.args[0] if secret.args else {}
        names = ", ".join(map(str, said)) if isinstance(said, Mapping) else "its variables"
        hint = f"modal secret create NAME {names.split(', ')[0]}=…, then secrets: {{NAME: [KEY]}}"
        draft.note("not taken", "secrets", f"the values of {names}: {hint}", line)
        return
    why = secret.why if isinstance(secret, Unread) else "a Secret without a name of Modal's"
    draft.note("not read", "secrets", why, line)


def environment(said: Mapping[str, Value], ours: bool, draft: Draft) -> None:
    found: dict[str, Value] = {}
    dropped = []
    for name, value in said.items():
        if name in _OWN or name.startswith(_FETCHING):
            dropped.append(name)
        elif isinstance(value, str) and looks_secret(name, value):
            draft.note(
                "not taken",
                f"env.{name}",
                f"it looks like a secret: modal secret create NAME {name}=…, then secrets: "
                f"{{NAME: [{name}]}}",
            )
        else:
            plain = isinstance(value, int | float)
            lost = Unread(f"{name} is no text", 0)
            found[name] = (
                str(value) if plain else value if isinstance(value, Unread | str) else lost
            )
    for name, value in found.items():
        draft.put("env", name, value=value)
    if dropped and not ours:
        names = ", ".join(dropped)
        draft.note("not taken", "env", f"{names}: modelctl fetches weights and sets these itself")


def mounts(found: Sequence[Mount], sources: Sequence[Source], ours: bool, draft: Draft) -> None:
    """All but what the model is read from, and what only caches."""
    read = {source.mount for source in sources}
    dropped = []
    for mount in found:
        if mount.path in read:
            continue
        caches = "/.cache" in mount.path or mount.path.rstrip("/").endswith("cache")
        own = mount.name in ("modelctl-weights", "modelctl-vllm-cache")
        if mount.kind == "volume" and (caches or own):
            dropped.append(f"{mount.name} at {mount.path}")
        elif mount.kind == "volume":
            only = {"name": mount.name, "read_only": True} if mount.read_only else mount.name
            draft.put("volumes", mount.path, value=only)
        else:
            long = {
                "bucket": mount.name,
                "endpoint": mount.endpoint,
                "read_only": mount.read_only or None,
                "prefix": f"{mount.prefix}/" if mount.prefix else None,
                "secret": mount.secret,
            }
            draft.put("buckets", mount.path, value={k: v for k, v in long.items() if v is not None})
    if dropped and not ours:
        names = ", ".join(dropped)
        draft.note("not taken", "volumes", f"{names}: modelctl has Volumes of its own for caches")


def image(found: Image, draft: Draft) -> None:
    said: dict[str, Any] = {
        "base": found.base,
        "secret": found.secret,
        "python": found.python,
        "dockerfile": found.dockerfile,
        "packages": found.packages or None,
        "apt": found.apt or None,
        "run": found.run or None,
    }
    said = {name: value for name, value in said.items() if value is not None}
    if said:
        draft.put("image", value=said)
    for sentence in found.guessed:
        draft.note("guessed", "image", sentence)
    for unread in found.unread:
        draft.note("not read", "image", unread.why, unread.line)


def _items(value: Value) -> Sequence[Value]:
    if isinstance(value, list | tuple):
        return value
    return [] if value is None else [value]
