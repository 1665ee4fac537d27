"""How large is what an engine reads beside the model: adapters, a draft model, a projector?"""

from __future__ import annotations

from fnmatch import fnmatchcase

from modelctl.engines.base import Setting
from modelctl.resolved import Unknown, Weights
from modelctl.spec.models import Model
from modelctl.weights.local import files_of

_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".gguf")
_NO_MODEL = Model.model_construct()


def size_of(setting: Setting, source: str | None) -> int | None:
    """The weights of one source in bytes; None where nothing says how large they are."""
    for weights in setting.sources.beside:
        if source and weights.source == source:
            listed = _listed(weights)
            if listed is not None:
                return sum(size for path, size in listed if path.endswith(_WEIGHTS))
    facts = setting.model.beside.get(source or "")
    return None if facts is None or isinstance(facts.size, Unknown) else facts.size


def adapters_size(setting: Setting) -> int | None:
    """All adapters together; None where one of them is not known."""
    adapters = (setting.spec.model or _NO_MODEL).adapters or {}
    sizes = [size_of(setting, adapter.source) for adapter in adapters.values()]
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None


def projector_size(setting: Setting) -> int | None:
    """The file that `model.mmproj` matches; 0 without one, None where it is not known."""
    glob = (setting.spec.model or _NO_MODEL).mmproj
    if glob is None:
        return 0
    listed = _listed(setting.weights)
    if listed is None:
        root = setting.model.root
        if root is None or setting.model.problem or not root.exists():
            return None
        folder = root if root.is_dir() else root.parent
        listed = [
            (file.relative_to(folder).as_posix(), file.stat().st_size) for file in files_of(root)
        ]
    found = [size for path, size in listed if fnmatchcase(path, glob)]
    return found[0] if len(found) == 1 else None


def _listed(weights: Weights) -> list[tuple[str, int]] | None:
    if weights.upload is not None:
        return [(file.path, file.size) for file in weights.upload.files]
    if weights.fetch is not None and not isinstance(weights.fetch.files, Unknown):
        return [(file.path, file.size) for file in weights.fetch.files]
    return None
