"""What does a Modal app that somebody wrote by hand say, in a spec's own words? Nothing is run."""

from __future__ import annotations

from pathlib import PurePath

from modelctl.diagnostics import Place, Rejected, error
from modelctl.importing.assemble import Imported, assembled, command_in
from modelctl.importing.expressions import TooMuch
from modelctl.importing.ours import rendered
from modelctl.importing.reader import Reader
from modelctl.importing.servers import Server, servers
from modelctl.importing.source import parsed

__all__ = ["Imported", "imported"]


def imported(content: bytes, shown: str, wanted: str = "") -> tuple[Imported, ...]:
    """A spec for each model server of the program; `wanted` is the class or function of one.

    `shown` is the file's name for people. Raises Rejected with a sentence at its line where there
    is none.
    """
    reader = Reader()
    try:
        tree = parsed(content, shown)
        reader.module(tree)
        found = servers(reader)
    except (TooMuch, RecursionError) as problem:
        raise _wrong(
            "import/too-large",
            "the program does more than is followed",
            "name a file with the app alone",
            shown,
            getattr(problem, "line", 1),
        ) from problem
    serving = [s for s in found if rendered(reader) or command_in(s, reader) is not None]
    if not serving:
        raise _nothing(found, reader, shown)
    chosen = [s for s in serving if not wanted or s.name == wanted]
    if not chosen:
        names = ", ".join(s.name for s in serving)
        raise _wrong("import/no-server", f"no model server of {shown} is called {wanted}",
                     f"there are {names}", shown)  # fmt: skip
    stem = PurePath(shown).stem
    alone = len(serving) == 1 or len({id(s.app) for s in serving}) == len(serving)
    return tuple(assembled(s, reader, fallback=stem, alone=alone) for s in chosen)


def _nothing(found: list[Server], reader: Reader, shown: str) -> Rejected:
    if found:
        first = found[0]
        return _wrong(
            "import/no-engine",
            f"{first.name} starts no engine with a command that can be read",
            "import reads vllm serve, llama-server and llama_cpp.server, started by subprocess",
            shown,
            first.line,
        )
    if any(getattr(value, "name", "") == "modal.App" for value in reader.names.values()):
        message = "the app has no server: nothing in it gets a URL"
        hint = "import reads @app.server, and @modal.web_server functions"
        return _wrong("import/no-server", message, hint, shown)
    hint = "name the file with app = modal.App(…) and its server"
    return _wrong("import/no-app", "there is no Modal app in this file", hint, shown)


def _wrong(code: str, message: str, hint: str, shown: str, line: int = 1) -> Rejected:
    return Rejected([error(code, message, hint=hint, place=Place(shown, line))])
