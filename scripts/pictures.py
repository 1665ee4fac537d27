"""What do commands look like on a terminal? docs/images/*.svg, drawn from what they really print.

    python -m scripts.pictures

Nothing is asked of anybody: the specs are validated, and planned against an earlier commit.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from tests.views import sample

IMAGES = Path(__file__).parent.parent / "docs" / "images"
WIDTH = 88
PICTURES = {
    "plan": (("validate",), ("plan", "--env", "prod", "--base", "main")),
    "fit": (("fit", "chat-8b"),),
}
"""The picture → the commands whose output it shows, one below the other."""

_THEME = TerminalTheme(
    (13, 17, 23),
    (230, 237, 243),
    [(72, 79, 88), (255, 123, 114), (63, 185, 80), (210, 153, 34), (88, 166, 255),
     (188, 140, 255), (57, 197, 207), (177, 186, 196)],
    [(110, 118, 129), (255, 161, 152), (86, 211, 100), (227, 179, 65), (121, 192, 255),
     (210, 168, 255), (86, 212, 221), (240, 246, 252)],
)  # fmt: skip
_FRAME = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" \
role="img" aria-label="modelctl on a terminal">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, \
"Liberation Mono", monospace; font-size: {char_height}px; line-height: {line_height}px; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" \
height="{terminal_height}"/></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def project(root: Path) -> None:
    """Specs as they were, as a commit, and as somebody changes them now."""
    sample.write(root)
    now = dict(sample.SPECS)
    before = {
        "chat-8b": now["chat-8b"].replace("keep_warm: 2", "keep_warm: 1"),
        "chat-70b": now["chat-70b"]
        .replace("context: 32768", "context: 16384")
        .replace(", A100-80GB:2", ""),
        "legacy-4b": now["drafts-4b"],
    }
    del now["chat-70b"]
    for name, text in before.items():
        (root / "specs" / f"{name}.yaml").write_text(f"name: {name}\n{text}", encoding="utf-8")
    (root / "specs" / "drafts-4b.yaml").unlink()
    _git(root, "init", "-q", "-b", "main")
    _git(root, "add", ".")
    _git(root, "commit", "-qm", "specs")
    now["chat-70b"] = sample.SPECS["chat-70b"]
    for name, text in now.items():
        (root / "specs" / f"{name}.yaml").write_text(f"name: {name}\n{text}", encoding="utf-8")
    (root / "specs" / "legacy-4b.yaml").unlink()


def _git(root: Path, *arguments: str) -> None:
    """The same commit on every machine and on every day."""
    at = "2026-11-20T12:00:00+0000"
    roles, person = ("AUTHOR", "COMMITTER"), {"NAME": "ana", "EMAIL": "ana@example.com", "DATE": at}
    who = {f"GIT_{role}_{what}": value for role in roles for what, value in person.items()}
    who |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    subprocess.run(
        ["git", "-c", "core.autocrlf=false", *arguments],
        cwd=root, env={**os.environ, **who}, check=True, capture_output=True,
    )  # fmt: skip


def said(root: Path, command: tuple[str, ...]) -> str:
    """What a command prints on a terminal, in colour."""
    kept = {k: v for k, v in os.environ.items() if k not in {"NO_COLOR", "GITHUB_ACTIONS"}}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "modelctl", *command],
        cwd=root, env={**kept, "FORCE_COLOR": "1", "COLUMNS": str(WIDTH), "TERM": "xterm"},
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    return done.stdout.decode().rstrip("\n")


def screen(commands: tuple[tuple[str, ...], ...]) -> Text:
    """The commands as they are typed, and what each prints."""
    shown = Text()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        project(root)
        for number, command in enumerate(commands):
            shown.append("\n\n" if number else "")
            shown.append("$ ", style="green")
            shown.append(f"modelctl {' '.join(command)}\n", style="bold")
            shown.append(Text.from_ansi(said(root, command)))
    return shown


def drawn(shown: Text) -> str:
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(shown, soft_wrap=False)
    svg = console.export_svg(
        title="modelctl", theme=_THEME, code_format=_FRAME, unique_id="modelctl"
    )
    return re.sub(r"[ \t]+$", "", svg, flags=re.M)


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    for name, commands in PICTURES.items():
        (IMAGES / f"{name}.svg").write_text(drawn(screen(commands)), encoding="utf-8")


if __name__ == "__main__":
    main()
