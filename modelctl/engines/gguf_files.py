"""Which other GGUF file of a model's source does a spec mean, and where is it in the container?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from modelctl.engines.base import Setting
from modelctl.resolved import Rooted, Unknown, Word
from modelctl.spec.models import Model

_NO_MODEL = Model.model_construct()


def projector(setting: Setting) -> Word:
    """The multimodal projector, as a word of the command line."""
    path = projector_path(setting)
    if isinstance(path, Unknown):
        # Such an app is checked, never rendered.
        return str((setting.spec.model or _NO_MODEL).mmproj)
    return Rooted(path)


def projector_path(setting: Setting) -> str | Unknown:
    """Where the one file is that `model.mmproj` matches; Unknown with the reason otherwise."""
    weights, said = setting.weights, setting.spec.model or _NO_MODEL
    glob = said.mmproj or ""
    if isinstance(weights.argument, Unknown):
        return weights.argument
    listed: Sequence[str] | None = None
    if weights.upload is not None:
        folder, listed = weights.upload.prefix, [file.path for file in weights.upload.files]
    elif weights.fetch is not None:
        folder = weights.fetch.prefix
        if not isinstance(weights.fetch.files, Unknown):
            listed = [file.path for file in weights.fetch.files]
    else:
        # Read in place: relative to what `file` is relative to, or beside the file that is named.
        inside = said.file or PurePosixPath(weights.argument).name
        folder = weights.argument.removesuffix(inside)
    if listed is None:
        if re.search(r"[*?\[]", glob):
            return Unknown(f"nothing lists the files that {glob} may match")
        found = [glob]
    else:
        found = [path for path in listed if fnmatchcase(path, glob)]
    if len(found) != 1:
        return Unknown(f"{len(found) or 'no'} files match {glob}")
    root = weights.argument[: weights.argument.index(folder) + len(folder)]
    return str(PurePosixPath(root, found[0]))
