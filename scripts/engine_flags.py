"""Which flags does an installed engine have? Asked of its own parser, written as a table of facts.

    python scripts/engine_flags.py vllm .engines/vllm/bin/python
    python scripts/engine_flags.py llama-server .engines/llama.cpp/llama-server
    python scripts/engine_flags.py llama-cpp-python .engines/llama-cpp-python/bin/python

writes modelctl/facts/data/flags/SERVER-VERSION.json. `--package FOLDER` reads vLLM's Python sources
from a folder in place of the installed ones: of a version that has no build for this machine, in
the environment of one that has. Standard library only, since a part of it runs inside the engine's
environment.

A row is one flag: `name` without dashes, `aliases` (other spellings, with theirs), `off` (spellings
that say no), `kind` and, where it takes a value, `type` (int, number, float, size, str, bool) and
`choices`.

- switch: alone, or left out
- boolean: alone, or one of `off`
- value: one value, or one of `words`; `bare` where it may also stand alone; `loose` where case and
  dashes do not count
- values: several; words of their own, or joined by the table's `separator`
- repeated: one value, and the flag as often as there are values
- json: a JSON document; with type str any other text too
- exits: prints something and ends

A number has the bounds of the field that vLLM's own configuration puts it into: `least`, `above`,
`most` and `below`. `when` says of which part of it that is, where a start may do without the part:
adapters or media.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

TABLES = Path(__file__).resolve().parent.parent / "modelctl" / "facts" / "data" / "flags"
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("server", choices=["vllm", "llama-server", "llama-cpp-python"])
    parser.add_argument("engine", help="the environment's python, or the llama-server binary")
    parser.add_argument("--package", help="a folder with vLLM's Python sources")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    said = parser.parse_args()
    engine = str(Path(said.engine).absolute())
    if said.inside:
        print(json.dumps(INSIDE[said.server]()))
        return
    if said.server == "llama-server":
        table = llama_server(engine)
    else:
        table = from_inside(said.server, engine, said.package)
    TABLES.mkdir(exist_ok=True)
    target = TABLES / f"{said.server}-{table['version']}.json"
    target.write_text(written(table), encoding="utf-8")
    print(f"{target}: {len(table['flags'])} flags")


def from_inside(server: str, python: str, package: str | None) -> Row:
    done = subprocess.run(
        [python, __file__, server, python, "--inside"],
        env={**os.environ, **({"PYTHONPATH": package} if package else {})},
        check=True,
        stdout=subprocess.PIPE,
    )
    table: Row = json.loads(done.stdout.decode().splitlines()[-1])
    if package:
        table["source"] += ", its Python sources in the environment of another version's CPU build"
    return table


def written(table: Row) -> str:
    """JSON with one flag a line, so that two versions can be compared line by line."""
    head = {key: value for key, value in table.items() if key != "flags"}
    head.setdefault("date", datetime.now(UTC).date().isoformat())
    rows = sorted(table["flags"], key=lambda row: row["name"])
    lines = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
    flags = ",\n".join(f"  {json.dumps(row)}" for row in rows)
    return "{\n" + ",\n".join(lines) + ',\n "flags": [\n' + flags + "\n ]\n}\n"


# vLLM


def vllm() -> Row:
    utils = importlib.import_module("vllm.utils.argparse_utils")
    parser = _vllm_arguments()(utils.FlexibleArgumentParser())
    spellings: dict[argparse.Action, list[str]] = {}
    # Hidden spellings are not among an action's own, and the parser takes them all the same.
    for spelling, action in parser._option_string_actions.items():
        spellings.setdefault(action, []).append(spelling)
    version = importlib.import_module("vllm._version").__version__.removesuffix("+cpu")
    groups = {
        action: group.title or ""
        for group in parser._action_groups
        for action in group._group_actions
    }
    return {
        "server": "vllm",
        "version": version,
        "source": "the argument parser of `vllm serve`, asked for its actions, and the fields of "
        "its configuration for their bounds",
        "separator": None,
        "flags": [
            {**_vllm_row(action, names), **_vllm_bounds(action, groups.get(action, ""))}
            for action, names in spellings.items()
        ],
    }


def _vllm_arguments() -> Callable[[argparse.ArgumentParser], argparse.ArgumentParser]:
    for module in ("vllm.entrypoints.common.cli_args", "vllm.entrypoints.launchers.cli_args"):
        try:
            found: Callable[[argparse.ArgumentParser], argparse.ArgumentParser]
            found = importlib.import_module(module).make_arg_parser
            return found
        except ModuleNotFoundError:
            continue
    raise SystemExit("this vLLM keeps make_arg_parser where no known version had it")


def _vllm_row(action: argparse.Action, names: list[str]) -> Row:
    name = next(word for word in action.option_strings if word.startswith("--"))
    off: list[str] = []
    if isinstance(action, argparse.BooleanOptionalAction):
        stem = name.removeprefix("--enable-").removeprefix("--disable-")
        opposite = {
            f"--enable-{stem}": f"--disable-{stem}",
            f"--disable-{stem}": f"--enable-{stem}",
        }
        off = [word for word in names if word.startswith("--no-") or word == opposite.get(name)]
    row = {
        "name": name.removeprefix("--"),
        "aliases": [word for word in names if word != name and word not in off],
        "off": off,
        **_vllm_kind(action),
    }
    return {key: value for key, value in row.items() if value not in ([], None)}


def _vllm_kind(action: argparse.Action) -> Row:
    if isinstance(action, argparse._HelpAction):
        return {"kind": "exits"}
    if isinstance(action, argparse.BooleanOptionalAction):
        return {"kind": "boolean"}
    if action.nargs == 0:
        return {"kind": "switch"}
    kind = _vllm_type(action.type)
    if kind == "json":
        return {"kind": "json"}
    if kind == "json or text":
        return {"kind": "json", "type": "str"}
    row: Row = {"kind": "value", "type": kind.removeprefix("loose ")}
    if isinstance(action, argparse._AppendAction):
        row["kind"] = "repeated"
    elif action.nargs in ("+", "*"):
        row["kind"] = "values"
    elif action.nargs == "?":
        row["bare"] = True
    # A list of devices is that of this machine's platform.
    if action.choices is not None and "cpu" not in action.choices:
        row["choices"] = [choice for choice in action.choices if choice is not None]
    if kind.startswith("loose "):
        row["loose"] = True
    return row


_BOUNDS = {"ge": "least", "gt": "above", "le": "most", "lt": "below"}
_WHEN = {"LoRAConfig": "adapters", "MultiModalConfig": "media"}
# Flags with another name than their field's, by what argparse calls them.
_OTHER_FIELDS = {"spec_tokens": ("SpeculativeConfig", "num_speculative_tokens")}


def _vllm_bounds(action: argparse.Action, group: str) -> Row:
    """Groups of the parser are named for the class that their flags are the fields of."""
    config = importlib.import_module("vllm.config")
    name, wanted = _OTHER_FIELDS.get(action.dest, (group, action.dest))
    found = _field(getattr(config, name, getattr(config, "VllmConfig", None)), wanted)
    bounds = {
        row: getattr(part, bound)
        for part in getattr(found, "metadata", ())
        for bound, row in _BOUNDS.items()
        if getattr(part, bound, None) is not None
    }
    return {**bounds, "when": _WHEN[group]} if bounds and group in _WHEN else bounds


def _field(config: Any, name: str) -> Any:
    """The field of that name, of the class itself or of one that is a field of it."""
    fields = getattr(config, "__pydantic_fields__", {})
    if name in fields:
        return fields[name]
    parts = (_field(field.annotation, name) for field in fields.values())
    return next((found for found in parts if found is not None), None)


def _vllm_type(kind: Any) -> str:
    while getattr(kind, "__name__", "") in ("_optional_type", "_parse_type"):
        (kind,) = (cell.cell_contents for cell in kind.__closure__)
    name = getattr(kind, "__name__", str(kind))
    known = {
        "None": "str",
        "str": "str",
        "int": "int",
        "float": "float",
        "loads": "json",
        "parse_dataclass": "json",
        "union_dict_and_str": "json or text",
        "human_readable_int": "size",
        # auto and -1 besides: modelctl sets the one flag that has it.
        "human_readable_int_or_auto": "str",
        "parse_reasoning_parser": "str",
        "<lambda>": "loose str",
    }
    if name not in known:
        raise SystemExit(f"a type of argument that is not known here: {name}")
    return known[name]


# llama-cpp-python


def llama_cpp_python() -> Row:
    cli = importlib.import_module("llama_cpp.server.cli")
    settings = importlib.import_module("llama_cpp.server.settings")
    parser = argparse.ArgumentParser(add_help=False)
    cli.add_args_from_model(parser, settings.Settings)
    parser.add_argument("--config_file", type=str)
    return {
        "server": "llama-cpp-python",
        "version": importlib.import_module("llama_cpp").__version__,
        "source": "the settings of llama_cpp.server, through its own argument parser",
        "separator": None,
        "flags": [
            _setting_row(action, settings.Settings.model_fields) for action in parser._actions
        ],
    }


def _setting_row(action: argparse.Action, fields: Any) -> Row:
    kind = getattr(action.type, "__name__", "str")
    row: Row = {"name": action.option_strings[0].lstrip("-")}
    if kind == "_parse_json_object_arg":
        return {**row, "kind": "json"}
    field = fields.get(row["name"])
    listed = re.search(r"Literal\[([^\]]*)\]", str(field.annotation)) if field else None
    if listed:
        row["choices"] = [word.strip(" '") for word in listed[1].split(",")]
    known = {"_parse_bool_arg": "bool", "int": "int", "float": "float", "str": "str"}
    several = "values" if action.nargs == "*" else "value"
    return {"name": row.pop("name"), "kind": several, "type": known[kind], **row}


INSIDE: dict[str, Callable[[], Row]] = {"vllm": vllm, "llama-cpp-python": llama_cpp_python}


# llama-server


def llama_server(binary: str) -> Row:
    said = _run(binary, "--version")[1]
    build = re.search(r"build (\d+)", said)
    if build is None or build[1] == "0":
        raise SystemExit(f"{binary} does not say which build it is:\n{said}")
    shown = subprocess.run([binary, "--help"], check=True, capture_output=True).stdout.decode()
    rows = [_server_row(binary, spellings, hint, text) for spellings, hint, text in _entries(shown)]
    return {
        "server": "llama-server",
        "version": f"b{build[1]}",
        "source": "llama-server --help, and what the parser answers to values of each kind",
        "separator": ",",
        "flags": rows,
    }


def _run(binary: str, *words: str) -> tuple[bool, str]:
    """Whether the parser took all words, in order, and what it said."""
    with tempfile.TemporaryDirectory() as folder:  # some flags make the file that they name
        done = subprocess.run(
            [binary, *words], capture_output=True, check=False, timeout=20, cwd=folder
        )
    return done.returncode == 0, (done.stdout + done.stderr).decode(errors="replace")


def _entries(shown: str) -> Iterator[tuple[list[str], str, str]]:
    """The help as (spellings, what stands for the value, text)."""
    head, text = "", ""
    for line in [*shown.splitlines(), "-"]:
        if line.startswith("---") and line.endswith("---"):
            continue
        if line.startswith("-"):
            if head:
                yield *_spellings(head), text
            head, text = line[:40].strip(), line[40:].strip()
            if len(line) > 40 and line[39] != " ":  # too long for its column, and alone on its line
                head, text = line.strip(), ""
        else:
            text += " " + line.strip()


def _spellings(head: str) -> tuple[list[str], str]:
    spellings = []
    while match := re.match(r"(-{1,2}[A-Za-z][A-Za-z0-9.-]*)(,\s*|\s+|$)", head):
        spellings.append(match[1])
        head = head[match.end() :]
    return spellings, head


def _server_row(binary: str, spellings: list[str], hint: str, text: str) -> Row:
    off: list[str] = []
    if not hint and any(word.startswith("--no-") for word in spellings[1:]):
        first = next(
            i for i, word in enumerate(spellings) if i and word.startswith(("-n", "--no-"))
        )
        spellings, off = spellings[:first], spellings[first:]
    name = next(word for word in spellings if word.startswith("--"))
    row: Row = {
        "name": name.removeprefix("--"),
        "aliases": [word for word in spellings if word != name],
        "off": off,
    }
    if "argument has been removed" in text:
        row |= {"kind": "removed", "instead": _instead(text)}
    elif re.search(r"\band exit\b|show list of|show version|print source-able", text):
        row["kind"] = "exits"
    elif not hint:
        row["kind"] = "boolean" if off else "switch"
    else:
        row |= _server_value(binary, name, hint, text)
    return {key: value for key, value in row.items() if value not in ([], None)}


def _instead(text: str) -> str:
    found = re.search(r"removed\.? use (.*?)(?: \(env:|$)", " ".join(text.split()))
    return found[1] if found else "leave it out"


def _server_value(binary: str, name: str, hint: str, text: str) -> Row:
    def takes(value: str) -> bool:
        return _run(binary, name, value, "--version")[0]

    if name == "--control-vector-layer-range":  # the one with two values, each a word
        return {"kind": "value", "type": "str"}
    several = "comma-separated" in text or ",..." in hint
    row: Row = {"kind": "values" if several else "value", "type": "str"}
    if takes("x"):
        return row
    if not several and "json" in (text + hint).lower() and takes("{}") and not takes("{"):
        return {"kind": "json"}
    if takes("1") and not ({"on", "off"} & set(_words(hint, text))):
        if takes("ff"):
            return row  # a mask
        if not takes("7"):
            return {**row, "choices": [str(n) for n in range(-1, 7) if takes(str(n))]}
        words = [word for word in re.findall(r"'([a-z]+)'", text) if takes(word)]
        # A number of layers is also `auto` or `all`.
        return {**row, "type": "number" if takes("0.5") else "int", "words": words}
    choices = [word for word in _words(hint, text) if takes(word)]
    if choices:
        row["choices"] = choices
    return row


def _words(hint: str, text: str) -> list[str]:
    """Everything in the help that looks like a value, for the parser to judge."""
    listed = re.findall(r"[A-Za-z0-9_+-]+", hint)
    listed += re.findall(r"(?:^| )- ([a-z0-9+_-]+)(?: \(default\))?:", text)
    allowed = re.search(r"allowed values: ([^()]*)", text)
    listed += re.split(r",\s*", allowed[1].strip()) if allowed else []
    listed += re.findall(r"'([a-z0-9_-]+)'", text)
    listed += re.findall(r"\(default: '?([a-z0-9_-]+)", text)
    if "on" in listed:
        listed += ["true", "false", "enabled", "disabled", "1", "0", "-1"]
    return list(dict.fromkeys(listed))


if __name__ == "__main__":
    main()
