"""Which spec says what a server of a file says? Its fields, in the contract's order, and notes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from modelctl.engines import engine as engine_named
from modelctl.facts import gpus
from modelctl.facts.engines import engine_facts
from modelctl.importing import container, llama_words, ours, vllm_words
from modelctl.importing.arguments import Arguments, arguments_of, table_of
from modelctl.importing.command import Command, command_of
from modelctl.importing.draft import Draft, Note
from modelctl.importing.image import image_of
from modelctl.importing.mounts import Mount, Source, mounts_of, source_of
from modelctl.importing.order import in_order
from modelctl.importing.reader import Reader
from modelctl.importing.servers import Server
from modelctl.importing.values import Unread, Value, variables_of
from modelctl.spec.names import slug
from modelctl.spec.quoting import quote

_ENTRY_FIELDS = (
    "context", "kv_cache", "memory_utilization", "max_sequences", "max_batched_tokens", "parallel",
)  # fmt: skip
"""What an entry of the GPU list may say for itself, beside `args`."""
_ON_A_CPU_TOO = ("context", "max_sequences", "max_batched_tokens")


class Imported(Struct, frozen=True):
    """A spec's fields in the order in which people write them, and what is to be said of them.

    `server` is the class or function that it was read from, "" for a live app.
    """

    server: str
    fields: Mapping[str, Any]
    notes: tuple[Note, ...]


def command_in(server: Server, reader: Reader) -> Command | None:
    for started in server.started:
        found = command_of(started.words, started.line, reader.holes)
        if found is not None:
            return found
    return None


def assembled(server: Server, reader: Reader, *, fallback: str, alone: bool) -> Imported:
    """`fallback` is the name where the app has none; `alone` is false where the file has more."""
    draft = Draft()
    rendered = ours.rendered(reader)
    commands = ours.commands(reader) if rendered else {}
    command = next(iter(commands.values()), None) or command_in(server, reader)
    assert command is not None
    _named(server, fallback, alone, draft)
    mounts, unread = mounts_of(container.option(server, "volumes"))
    for one in unread:
        draft.note("not read", "volumes", one.why, one.line)
    nodes = _nodes(server)
    if nodes > 1:
        draft.put("nodes", value=nodes)
    cards = container.gpus_of(server, draft)
    hidden = any(note.field == "gpu" for note in draft.notes)
    image = image_of(container.option(server, "image"), command.server)
    if not command.server:
        draft.note(
            "not read",
            "backend",
            f"{command.other} is no engine of modelctl; its flags but the model are not read",
            command.line,
        )
    model = _Model(mounts, draft, rendered)
    variants: list[dict[str, Any]] = []
    table = table_of(command.server, image.version) if command.server else None
    snapshot = container.snapshot(server)

    def said_by(here: Command, said: Arguments, count: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if here.server == "vllm":
            model.take(*vllm_words.model_of(said))
            found = vllm_words.fields_of(
                said,
                count=count,
                nodes=nodes,
                mounts=mounts,
                ours=rendered,
                snapshot=snapshot == "gpu",
                draft=draft,
            )
        elif here.server:
            model.take(*llama_words.model_of(said, here.server))
            found = llama_words.fields_of(
                said,
                server=here.server,
                table=table,
                count=count,
                cores=_cores(server, cards),
                mounts=mounts,
                draft=draft,
            )
        else:
            model.take(*_of_another(said))
        for lost in said.unread:
            draft.note("not read", "backend.args", lost.why, lost.line)
        for word in said.others:
            shown = word.why if isinstance(word, Unread) else quote(word)
            draft.note("not read", "backend.args", f"what {shown} is for", here.line)
        return found

    key: Value = None
    for card in cards or [gpus.NONE]:
        here = commands.get(_key(card), command)
        said = arguments_of(here.words, table)
        key = _api_key(said) or key
        count = gpus.written(card)[1] if cards or hidden else 0
        variants.append(said_by(here, said, count))
    on_cpu = None
    if cards and "cpu" in commands:
        on_cpu = said_by(commands["cpu"], arguments_of(commands["cpu"].words, table), 0)
    model.write()
    _backend(command, image.version, draft)
    _knobs(variants, on_cpu, cards, draft)
    _context(command, draft)
    startup = engine_named("vllm" if command.server in ("", "vllm") else "llama.cpp")
    container.resources(server, not cards and not hidden, draft)
    container.scaling(server, nodes, draft)
    if rendered:
        server = ours.with_own_timeout(server, reader)
    container.endpoint(server, startup.startup_timeout, draft)
    container.auth(server, ours.api_key(reader) if rendered else key, draft)
    if snapshot != "none":
        draft.put("snapshot", value=snapshot)
    container.image(image, draft)
    container.secrets(server, bool(model.on_the_hub), draft)
    variables = _variables(server, None if rendered else command, image.env)
    container.environment(variables, rendered, draft)
    container.mounts(mounts, model.sources, rendered, draft)
    if rendered:
        ours.more(reader, draft)
    _guessed_from_the_environment(server, command, rendered, draft)
    return Imported(server.name, in_order(draft.fields), tuple(draft.notes))


def _named(server: Server, fallback: str, alone: bool, draft: Draft) -> None:
    said: Value = None
    if server.app is not None:
        said = server.app.args[0] if server.app.args else server.app.options.get("name")
    if isinstance(said, Unread):
        draft.note("not read", "name", said.why, said.line)
    whole = str(said) if isinstance(said, str) else fallback
    if not alone:
        whole = f"{whole}-{server.name}"
    name = slug(whole)[:63].strip("-") or "imported"
    draft.put("name", value=name)
    if not isinstance(said, str) or (alone and name != said):
        draft.note("guessed", "name", f"from {quote(whole)}" if isinstance(said, str)
                   else "from the file's, as the app has none that can be read")  # fmt: skip
    tags = server.app.options.get("tags") if server.app is not None else None
    if isinstance(tags, Mapping):
        labels = {k: v for k, v in tags.items() if not str(k).startswith("modelctl-")}
        if labels:
            draft.put("labels", value=labels)


def _nodes(server: Server) -> int:
    if server.cluster is None:
        return 1
    size = server.cluster.options.get("size", server.cluster.args[0] if server.cluster.args else 1)
    return size if isinstance(size, int) and size > 0 else 1


def _cores(server: Server, cards: list[str]) -> float | None:
    said = container.option(server, "cpu")
    if isinstance(said, list | tuple):
        said = said[0] if said else None
    return said if isinstance(said, int | float) else (None if cards else 4.0)


def _key(card: str) -> str:
    """How a rendered app calls the card that Modal gives for this word."""
    name, count = gpus.written(card)
    choice = gpus.choice(name)
    return "cpu" if card == gpus.NONE else gpus.key(choice.card.name if choice else name, count)


def _api_key(said: Arguments) -> Value:
    for name in ("api-key", "api_key"):
        value = said.take(name)
        if value is not None:
            value = value[0] if isinstance(value, list) and value else value
            return value if isinstance(value, Unread) else "…"
    return None


def _of_another(said: Arguments) -> tuple[Any, dict[str, Any]]:
    """The model of an engine that is none of ours: they call the flag alike."""
    for name in ("model", "model-path", "model-id", "m"):
        value = said.take(name)
        if value is not None:
            break
    else:
        value = next((w for w in said.others if not isinstance(w, str) or "/" in w), None)
    names = said.take("served-model-name")
    more: dict[str, Any] = {} if names is None else {"served_as": [names]}
    if (revision := said.take("revision")) is not None:
        more["revision"] = revision
    said.flags.clear()
    said.others.clear()
    return value, more


class _Model:
    """What the commands of all variants say of the model; the first that says something holds."""

    def __init__(self, mounts: list[Mount], draft: Draft, rendered: bool) -> None:
        self.mounts, self.draft, self.rendered = mounts, draft, rendered
        self.word: Any = None
        self.more: dict[str, Any] = {}
        self.sources: list[Source] = []

    @property
    def on_the_hub(self) -> bool:
        return any(source.text.startswith("hf://") for source in self.sources)

    def take(self, word: Any, more: dict[str, Any]) -> None:
        self.word = word if self.word is None else self.word
        self.more = {**more, **self.more}

    def write(self) -> None:
        draft, word = self.draft, self.word
        found: dict[str, Any] = {}
        if word is None:
            draft.note("not read", "model", "the command names none")
        elif isinstance(word, Unread):
            draft.note("not read", "model", word.why, word.line)
        else:
            found = self._source(str(word))
        said = dict(self.more)
        if (names := said.pop("served_as", None)) and found:
            known = [str(name) for name in names if not isinstance(name, Unread)]
            if known and known != [draft.fields["name"]]:
                found["served_as"] = known[0] if len(known) == 1 else known
        if isinstance(tokenizer := said.pop("tokenizer", None), str):
            source = source_of(tokenizer, self.mounts)
            if source is not None and source.text != found.get("source"):
                found["tokenizer"] = source.text
        found = {**found, **{name: v for name, v in said.items() if v is not None}}
        if found.get("source"):
            for name, value in found.items():
                draft.put("model", name, value=value)

    def _source(self, word: str) -> dict[str, Any]:
        source = source_of(word, self.mounts)
        if source is None:
            self.draft.note("not read", "model", f"{quote(word)} is in no Volume of the app: is it "
                            "in the image?")  # fmt: skip
            return {}
        self.sources.append(source)
        if self.rendered and re.match(r"volume://modelctl-weights/[0-9a-f]{64}/", source.text):
            self.draft.note(
                "guessed",
                "model",
                "where it was uploaded to, by its content: the app does not say from which file",
            )
        found = {
            "source": source.text,
            "revision": source.revision,
            "file": source.file,
            "secret": source.secret,
            "endpoint": source.endpoint,
        }
        return {name: value for name, value in found.items() if value is not None}


def _backend(command: Command, version: str | None, draft: Draft) -> None:
    if not command.server:
        return
    name = "vllm" if command.server == "vllm" else "llama.cpp"
    product = "llama-cpp-python" if command.server == "llama-cpp-python" else name
    draft.put("backend", "name", value=name)
    if version is not None and version != engine_facts(product).default:
        draft.put("backend", "version", value=version)
    if product == "llama-cpp-python":
        draft.put("backend", "server", value=product)


def _knobs(
    variants: list[dict[str, Any]],
    on_cpu: dict[str, Any] | None,
    cards: list[str],
    draft: Draft,
) -> None:
    """What holds on every GPU at the top, and what does not in its entry of the list."""
    common, own = _split(variants, on_cpu)
    for name, value in common.items():
        if name == "args":
            for flag, said in value.items():
                draft.put("backend", "args", flag, value=said)
        elif name == "adapters":
            draft.put("model", "adapters", value=value)
        elif name == "task":
            draft.put("model", "task", value=value)
        else:
            draft.put(name, value=value)
    if not cards:
        if not any(note.field == "gpu" for note in draft.notes):
            draft.put("gpu", value="none")
        return
    entries = [{"type": c, **more} if more else c for c, more in zip(cards, own, strict=True)]
    draft.put("gpu", value=entries[0] if len(entries) == 1 and not own[0] else entries)


def _split(
    variants: list[dict[str, Any]], on_cpu: dict[str, Any] | None
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """`on_cpu` is what a rendered app's CPU variant says, which only the top speaks to."""
    common: dict[str, Any] = {}
    own: list[dict[str, Any]] = [{} for _ in variants]
    said = dict.fromkeys(name for variant in variants for name in variant)
    names = [n for n in _ENTRY_FIELDS if n in said] + [n for n in said if n not in _ENTRY_FIELDS]
    for name in names:
        values = [variant.get(name) for variant in variants]
        if name == "args":
            shared, differing = _split_args([value or {} for value in values])
            if shared:
                common["args"] = shared
            for entry, more in zip(own, differing, strict=True):
                if more:
                    entry["args"] = more
        elif name not in _ENTRY_FIELDS:
            common[name] = next(value for value in values if value is not None)
        elif on_cpu is not None and name in _ON_A_CPU_TOO:
            if on_cpu.get(name) is not None:
                common[name] = on_cpu[name]
            for entry, value in zip(own, values, strict=True):
                if value is not None and value != on_cpu.get(name):
                    entry[name] = value
        elif None in values:
            for entry, value in zip(own, values, strict=True):
                if value is not None:
                    entry[name] = value
        else:
            texts = [repr(value) for value in values]
            most = values[texts.index(Counter(texts).most_common(1)[0][0])]
            common[name] = most
            for entry, value in zip(own, values, strict=True):
                if value != most:
                    entry[name] = value
    return common, own


def _split_args(
    args: list[dict[str, Any]],
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    shared = {k: v for k, v in args[0].items() if all(k in a and a[k] == v for a in args)}
    return shared, [{k: v for k, v in a.items() if k not in shared} for a in args]


def _context(command: Command, draft: Draft) -> None:
    said = "context" in draft.fields or any(note.field == "context" for note in draft.notes)
    if command.server and not said:
        draft.note(
            "not read",
            "context",
            "the app leaves it to the engine, which takes all that the model has; a spec's default "
            "is 8192",
        )


def _variables(
    server: Server, command: Command | None, of_image: Mapping[str, Value]
) -> dict[str, Value]:
    """Without a command, those alone that Modal sets."""
    said = container.option(server, "env")
    found = {**of_image, **(said if isinstance(said, Mapping) else {})}
    if command is None:
        return found
    found.update(server.variables)
    for started in server.started:
        if started.line == command.line and isinstance(started.environment, Mapping):
            found.update(started.environment)
    return {**found, **command.variables}


def _guessed_from_the_environment(
    server: Server, command: Command, rendered: bool, draft: Draft
) -> None:
    used = variables_of(list(command.words)) | variables_of(list(server.options.values()))
    if server.app is not None:
        used |= variables_of(list(server.app.args))
    for variable in sorted(used):
        if not (rendered and variable.startswith("MODELCTL_")):
            draft.note(
                "guessed", "", f"the variable {variable} changes the app; its default is taken"
            )
