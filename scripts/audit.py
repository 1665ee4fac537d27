"""Has a pinned package a known vulnerability? What could not be asked is said, never passed over.

    python scripts/audit.py [--strict] FILE...

Each FILE is a requirements file with hashes. Exits with 1 where a vulnerability is known, and with
--strict also where a package could not be asked about.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

WAIT = 300  # seconds


def answers(files: Sequence[str]) -> list[dict[str, Any]] | None:
    """What pip-audit says of each package, None if it could not ask at all."""
    asked = [
        *(sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes"),
        *("--progress-spinner", "off", "--format", "json", "--desc", "off"),
        *(word for file in files for word in ("--requirement", file)),
    ]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=WAIT, check=False)
    try:
        found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        return None
    return found


def verdict(found: Sequence[dict[str, Any]] | None, *, strict: bool) -> tuple[list[str], int]:
    """What to say of these answers, and what to exit with."""
    if found is None:
        return ["audit: NOT DONE: the service that knows vulnerabilities was not reached"], strict
    known = {
        f"  {one['name']} {one['version']}: {flaw['id']}"
        + (f", fixed in {', '.join(flaw['fix_versions'])}" if flaw["fix_versions"] else "")
        for one in found
        for flaw in one.get("vulns", ())
    }
    names = {one["name"] for one in found}
    unasked = {one["name"] for one in found if "skip_reason" in one}
    lines = []
    if known:
        lines += [f"audit: {len(known)} known to be vulnerable", *sorted(known)]
    if unasked:
        lines.append(
            f"audit: NOT DONE for {len(unasked)} of {len(names)} packages: "
            "the service that knows vulnerabilities had no answer"
        )
    if not known and not unasked:
        lines.append(f"audit: {len(names)} packages, none known to be vulnerable")
    return lines, int(bool(known) or (strict and bool(unasked)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--strict", action="store_true")
    parser.add_argument("files", nargs="+")
    chosen = parser.parse_args()
    lines, code = verdict(answers(chosen.files), strict=chosen.strict)
    print("\n".join(lines))
    return code


if __name__ == "__main__":
    sys.exit(main())
