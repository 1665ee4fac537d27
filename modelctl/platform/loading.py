"""How does generated text become a module that the SDK deploys? From a file of its own, meanwhile.

The SDK uploads the file that defines what it runs, so there must be one, and the code must say
that it is from there.
"""

from __future__ import annotations

import atexit
import importlib.util
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import CodeType
from typing import Any

from modelctl.platform.types import Refused
from modelctl.rendered import compiled


@contextmanager
def as_module(name: str, text: str) -> Iterator[Any]:
    """The text as a module called `name`, as the container will import it.

    Raises Refused where the text raises.
    """
    file = _folder() / f"{name}.py"
    new = file.open("x", encoding="utf-8")  # never the file of another that is being deployed
    try:
        with new:
            new.write(text)
        yield _load(name, file, text)
    finally:
        file.unlink(missing_ok=True)


@cache
def _folder() -> Path:
    """One for the process, gone with it: to make and remove one for each app costs more than the
    file does.
    """
    made = tempfile.TemporaryDirectory(prefix="modelctl-")
    atexit.register(made.cleanup)
    return Path(made.name)


def _load(name: str, file: Path, text: str) -> Any:
    """What an import does, but for compiling: the text was compiled when it was rendered, and a
    compiled file would be of use to nobody.
    """
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        exec(_from_file(compiled(name, text), str(file)), module.__dict__)  # noqa: S102 - ours
    except Exception as error:
        del sys.modules[name]
        raise Refused(
            f"the rendered app could not be loaded: {error}",
            "look at it with modelctl render",
        ) from error
    return module


def _from_file(code: CodeType, file: str) -> CodeType:
    inner = tuple(_from_file(c, file) if isinstance(c, CodeType) else c for c in code.co_consts)
    return code.replace(co_filename=file, co_consts=inner)
