"""How do problems read to code scanning? SARIF 2.1.0: each with its rule's page and its line.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/sarif-v2.1.0-errata01-os-complete.html
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from modelctl.diagnostics import Diagnostic, Severity
from modelctl.views.escaped import dumped
from modelctl.views.human.problems import sentence
from modelctl.views.results import Result, Stopped, Validated

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_LEVELS: Mapping[Severity, str] = {
    Severity.ERROR: "error",
    Severity.WARNING: "warning",
    Severity.NOT_CHECKED: "note",
}
_PROJECT = "modelctl.yaml"
"""Where a problem is shown that belongs to no line: each result needs a file."""


def written(result: Result, pages: Mapping[str, str], version: str) -> str:
    """`pages` are what `explain` says of each code; `version` is this program's."""
    found = result.diagnostics if isinstance(result, Validated | Stopped) else ()
    codes = sorted({d.code for d in found})
    run: dict[str, object] = {
        "tool": {
            "driver": {
                "name": "modelctl",
                "version": version,
                "semanticVersion": version,
                "rules": [_rule(code, pages.get(code, ""), found) for code in codes],
            }
        },
        "columnKind": "unicodeCodePoints",
        "invocations": [_invocation(result)],
        "results": _results(found, codes),
    }
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return dumped(log, indent=2)


def _rule(code: str, page: str, found: Sequence[Diagnostic]) -> dict[str, object]:
    """The page's first sentence is the short description."""
    levels = [_LEVELS[d.severity] for d in found if d.code == code]
    worst = min(levels, key=list(_LEVELS.values()).index)
    first = re.split(r"(?<=[.!?])\s", page, maxsplit=1)[0] or code
    page = page or code
    more = f"modelctl explain {code}"
    return {
        "id": code,
        "name": "".join(part.capitalize() for part in re.split(r"\W+", code)),
        "shortDescription": {"text": first},
        "fullDescription": {"text": page},
        "help": {"text": f"{page}\n\n{more}", "markdown": f"{page}\n\n`{more}`"},
        "defaultConfiguration": {"level": worst},
        "properties": {"tags": [code.partition("/")[0]]},
    }


def _invocation(result: Result) -> dict[str, object]:
    """Whether the check itself could be made."""
    if not isinstance(result, Stopped):
        return {"executionSuccessful": True}
    said = "\n".join(filter(None, (result.message, result.hint)))
    notes = [{"level": "error", "message": {"text": said}}] if said else []
    return {
        "executionSuccessful": False,
        "exitCode": result.code,
        "toolExecutionNotifications": notes,
    }


def _results(found: Sequence[Diagnostic], codes: Sequence[str]) -> list[dict[str, object]]:
    seen: Counter[str] = Counter()
    results = []
    for one in found:
        key = _fingerprint(one)
        seen[key] += 1
        message = "\n".join(
            part
            for part in (sentence(one), one.detail, f"Help: {one.hint}" if one.hint else "")
            if part
        )
        results.append(
            {
                "ruleId": one.code,
                "ruleIndex": codes.index(one.code),
                "level": _LEVELS[one.severity],
                "message": {"text": message},
                "locations": [_location(one)],
                "partialFingerprints": {
                    "primaryLocationLineHash": f"{key}:{seen[key]}",
                    "modelctlProblem/v1": f"{key}:{seen[key]}",
                },
                "properties": {"path": one.path, "environments": list(one.environments)},
            }
        )
    return results


def _location(found: Diagnostic) -> dict[str, object]:
    place = found.place
    if place is None:
        return {"physicalLocation": _file(_PROJECT, {"startLine": 1})}
    region = {
        "startLine": place.line,
        "startColumn": place.column,
        "endColumn": place.column + max(1, place.width),
    }
    return {"physicalLocation": _file(place.file, region)}


def _file(name: str, region: Mapping[str, int]) -> dict[str, object]:
    """Relative to the repository; a file outside of it by its whole path."""
    uri = quote(name.encode("utf-8", "replace"), safe="/")
    if name.startswith("/"):
        return {"artifactLocation": {"uri": f"file://{uri}"}, "region": region}
    return {"artifactLocation": {"uri": uri, "uriBaseId": "%SRCROOT%"}, "region": region}


def _fingerprint(found: Diagnostic) -> str:
    """What makes it the same problem when lines above it come and go: not its line, no figure."""
    words = re.sub(r"\d+", "0", found.message) if not found.path else ""
    file = found.place.file if found.place else ""
    parts = (found.code, file, found.path, words, *found.environments)
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:16]
