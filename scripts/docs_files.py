"""What becomes of a link to a file outside docs/, such as an example? It is part of the site.

A hook of MkDocs: pages keep links that work in the repository.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
_LINK = re.compile(r"\]\((?P<up>(?:\.\./)+)(?P<path>[^)#]+)(?P<anchor>#[^)]*)?\)")


def _outside(page: str, up: str, path: str) -> Path | None:
    """The file of the repository that a link of a page means; None where it is one of docs/."""
    target = (ROOT / "docs" / page).parent.joinpath(up + path).resolve()
    inside = target.is_relative_to(ROOT / "docs")
    return None if inside or not target.is_relative_to(ROOT) else target


def on_files(files: Files, config: Any) -> Files:
    """Every file outside that a page links to becomes one of the site, below source/."""
    for page in list(files.documentation_pages()):
        for link in _LINK.finditer(page.content_string):
            target = _outside(page.src_uri, link["up"], link["path"])
            if target is not None and target.is_file():
                uri = f"source/{target.relative_to(ROOT)}.txt"
                if files.get_file_from_path(uri) is None:
                    text = target.read_text(encoding="utf-8")
                    files.append(File.generated(config, uri, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:  # noqa: ARG001
    """Links to such files point there; of a folder outside only its name is left."""
    depth = page.file.src_uri.count("/")

    def moved(link: re.Match[str]) -> str:
        target = _outside(page.file.src_uri, link["up"], link["path"])
        if target is None:
            return link[0]
        if target.is_dir():
            return "]"
        return f"]({'../' * depth}source/{target.relative_to(ROOT)}.txt)"

    return _LINK.sub(moved, markdown)
