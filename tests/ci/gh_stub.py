"""A stub of GitHub's `gh api`: records each call, and keeps comments and issues in a folder.

It knows the calls that the action makes and nothing else; a token of the owner of a fork's run is
refused with GitHub's own words.
"""

import json
import os
import re
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

STORE = Path(os.environ["GH_STUB"])
ME = "github-actions[bot]"


def kept(*path: str) -> Path:
    file = STORE.joinpath(*path).with_suffix(".json")
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


def load(*path: str) -> list:
    file = kept(*path)
    return json.loads(file.read_text()) if file.exists() else []


def refuse(sentence: str, status: int) -> int:
    print(json.dumps({"message": sentence}))
    print(f"gh: {sentence} (HTTP {status})", file=sys.stderr)
    return 1


def graphql(body: dict) -> dict:
    given = body["variables"]
    if "pullRequest(" in body["query"]:
        found = load("comments", str(given["number"]))
    else:
        found = [one for one in load("issues") if one["state"] == "open"]
    first = int(given["after"] or 0)
    page = [
        {"id": one["id"], "body": one["body"], "viewerDidAuthor": one["author"] == ME}
        for one in found[first : first + 2]  # small pages: whoever reads them has to turn them
    ]
    more = {"hasNextPage": first + 2 < len(found), "endCursor": str(first + 2)}
    inner = {"found": {"nodes": page, "pageInfo": more}}
    inside = {"pullRequest": inner} if "pullRequest(" in body["query"] else inner
    return {"data": {"repository": inside}}


def answered(method: str, path: str, body: dict) -> object:
    parts = urlsplit(path)
    if path == "graphql":
        return graphql(body)
    if found := re.fullmatch(r"repos/[^/]+/[^/]+/issues/(\d+)/comments", path):
        all_of_it = load("comments", found[1])
        all_of_it.append({"id": 1000 + len(all_of_it), "author": ME, **body})
        kept("comments", found[1]).write_text(json.dumps(all_of_it))
        return all_of_it[-1]
    if found := re.fullmatch(r"repos/[^/]+/[^/]+/issues/comments/(\d+)", path):
        for file in (STORE / "comments").glob("*.json"):
            all_of_it = json.loads(file.read_text())
            for one in all_of_it:
                if one["id"] == int(found[1]):
                    one |= body
            file.write_text(json.dumps(all_of_it))
        return body
    if re.fullmatch(r"repos/[^/]+/[^/]+/issues", path) and method == "POST":
        issues = load("issues")
        issues.append({"id": 1 + len(issues), "author": ME, "state": "open", **body})
        kept("issues").write_text(json.dumps(issues))
        return issues[-1]
    if (found := re.fullmatch(r"repos/[^/]+/[^/]+/issues/(\d+)", path)) and method == "PATCH":
        issues = load("issues")
        issues[int(found[1]) - 1] |= body
        kept("issues").write_text(json.dumps(issues))
        return body
    if re.fullmatch(r"repos/[^/]+/[^/]+/pulls", parts.path) and method == "GET":
        asked = parse_qs(parts.query)
        return [one for one in load("pulls") if asked["head"] == [one["label"]]]
    raise SystemExit(f"the stub of gh does not know {method} {path}")


def main() -> int:
    words = sys.argv[1:]
    if words[:2] != ["api", "--method"]:
        raise SystemExit(f"the stub of gh does not know {words}")
    method, path = words[2], words[3]
    body = json.load(sys.stdin) if words[4:] == ["--input", "-"] else {}
    call = {"method": method, "path": path, "body": body, "token": os.environ.get("GH_TOKEN")}
    STORE.mkdir(parents=True, exist_ok=True)
    with (STORE / "calls.jsonl").open("a") as file:
        file.write(json.dumps(call) + "\n")
    reads = method == "GET" or path == "graphql"
    if os.environ.get("GH_TOKEN") == "token-that-may-only-read" and not reads:
        return refuse("Resource not accessible by integration", 403)
    print(json.dumps(answered(method, path, body)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
