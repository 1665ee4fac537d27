"""Does `env` change the engine or its container in a way that nobody checks?"""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from modelctl.checks.case import Case, Rule, doubtful
from modelctl.checks.reserved import field_for
from modelctl.engines.base import Finding
from modelctl.facts import vllm
from modelctl.facts.flags import flag_table

_REPLACED = {
    "PATH": "the image's own, by which the engine is found",
    "LD_LIBRARY_PATH": "the image's own, by which CUDA is found",
    "LD_PRELOAD": "what the image loads into every program",
    "PYTHONHOME": "where the image's Python finds its own library",
    "PYTHONPATH": "where the image's Python finds packages",
}
_LLAMA, _VLLM = "LLAMA_ARG_", "VLLM_"


def of_the_container(case: Case) -> Iterator[Finding]:
    for name in case.spec.env or {}:
        if name in _REPLACED:
            yield doubtful(
                ("env", name),
                "env/replaces",
                f"{name} takes the place of {_REPLACED[name]}",
                f"leave it out; ENV {name}=…:${name} in an image.dockerfile adds to it",
                key=True,
            )


def of_the_engine(case: Case) -> Iterator[Finding]:
    server = case.setting.server
    for name in case.spec.env or {}:
        if name.startswith(_LLAMA):
            yield from _llama(name, server)
        elif name.startswith(_VLLM):
            yield from _vllm(case, name, server)


def _llama(name: str, server: str) -> Iterator[Finding]:
    if server != "llama-server":
        yield _not_read(name, server, "leave it out")
        return
    flag = name.removeprefix(_LLAMA).lower().replace("_", "-")
    # What the engine is given by a field or by args is seen by every other rule, this is not.
    instead = field_for(server, [flag]) or f"backend: {{args: {{{flag}: …}}}}"
    yield doubtful(
        ("env", name),
        "env/engine-setting",
        f"{name} sets a flag of llama-server, and nothing here checks it",
        instead,
        key=True,
    )


def _vllm(case: Case, name: str, server: str) -> Iterator[Finding]:
    if server != "vllm":
        yield _not_read(name, server, "leave it out")
        return
    known, image = vllm.names(case.setting.version), case.spec.image
    own = image is not None and bool(image.packages or image.base or image.dockerfile or image.run)
    if known is None or not known.variables or name in known.variables or own:
        return
    table = flag_table(server, case.setting.version)
    flag = name.removeprefix(_VLLM).lower().replace("_", "-")
    near = difflib.get_close_matches(name, known.variables, n=1, cutoff=0.85)
    hint = "leave it out"
    if table is not None and table.find(flag) is not None:
        hint = field_for(server, [flag]) or f"backend: {{args: {{{flag}: …}}}}"
    elif near:
        hint = f"did you mean {near[0]}?"
    yield _not_read(name, f"vLLM {case.setting.version}", hint)


def _not_read(name: str, engine: str, hint: str) -> Finding:
    message = f"{engine} reads no variable {name}"
    return doubtful(("env", name), "env/not-read", message, hint, key=True)


RULES: tuple[Rule, ...] = (of_the_container, of_the_engine)
