"""Where does a result stand for people? In one comment or one issue, kept current."""

from __future__ import annotations

import re
import urllib.parse
from pathlib import Path
from typing import Any

from github import Failed, Refused, api, asked, event, given, graphql, notice

LIMIT = 60_000
"""Characters; GitHub takes 65,536 of a comment or an issue."""

MAY_NOT = (401, 403, 404)
"""What GitHub answers to a token that may not."""

COMMENTS = """
query($owner: String!, $name: String!, $number: Int!, $after: String) {
  repository(owner: $owner, name: $name) {
    pullRequest(number: $number) {
      found: comments(first: 100, after: $after) {
        nodes { id: databaseId body viewerDidAuthor }
        pageInfo { hasNextPage endCursor }
      }
    }
  }
}"""

ISSUES = """
query($owner: String!, $name: String!, $after: String) {
  repository(owner: $owner, name: $name) {
    found: issues(states: OPEN, first: 100, after: $after) {
      nodes { id: number body viewerDidAuthor }
      pageInfo { hasNextPage endCursor }
    }
  }
}"""

_STEERS = re.compile(r"(@|!|\]|(?<!<)/|www|#)(?=[\w\[(:/.])", re.IGNORECASE)
"""What begins a mention, a picture, a link or a reference, followed by what makes it one."""

_DETAILS = re.compile(r"<details>.*?</details>\n*", re.DOTALL)


def comment() -> None:
    """Say the result on the pull request that this run is for, if it is for one."""
    if not (pull := event().get("pull_request")):
        return
    head = (pull["head"]["repo"] or {}).get("full_name")
    if head != given("GITHUB_REPOSITORY"):
        notice(
            "no comment: the pull request comes from a fork, whose token may not write. "
            "The summary of this run has the plan; docs/ci.md says how it becomes a comment."
        )
        return
    _say(pull["number"], Path(given("MARKDOWN")).read_text("utf-8"))


def fork() -> None:
    """Say what the run of a fork's pull request left, on the pull request that it was for.

    What a run of foreign code left is foreign: the pull request is found from what GitHub says of
    that run, never from what the run wrote, and the words name nobody and are no page of ours.
    """
    run = event().get("workflow_run")
    if not run:
        raise Failed("this runs in a workflow that begins on: workflow_run")
    if not run.get("head_repository"):
        notice("no comment: the fork is gone")
        return
    branch = f"{run['head_repository']['owner']['login']}:{run['head_branch']}"
    query = urllib.parse.urlencode({"state": "open", "head": branch})
    pulls = api(f"repos/{given('GITHUB_REPOSITORY')}/pulls?{query}")
    numbers = [one["number"] for one in pulls if one["head"]["sha"] == run["head_sha"]]
    if not numbers:
        notice("no comment: no open pull request has the commit that was planned")
        return
    file = Path(given("MARKDOWN"))
    if not file.is_file():
        notice("no comment: the run left no plan")
        return
    text = file.read_bytes()[: 4 * LIMIT].decode("utf-8", "replace")
    lead = "_From a fork: the run of the pull request itself wrote what follows._\n\n"
    for number in numbers:
        _say(number, lead + foreign(text))


def foreign(text: str) -> str:
    """Markdown that others wrote: it calls nobody, shows no picture, leads nowhere else.

    Marks of ours in it are dropped, so that it cannot stand for another comment.
    """
    text = re.sub(r"<!--.*?(-->|\Z)", "", text, flags=re.DOTALL)
    text = re.sub(r"<(?!/?(details|summary|b|br|code|sub)>)", "&lt;", text)
    text = re.sub(r"&(?!(amp|lt|gt|quot|nbsp|#124);)", "&amp;", text)
    return _STEERS.sub("\\1\u200b", text).strip()


def issue() -> None:
    """Keep one open issue while there is something to do or the look itself failed."""
    key = _key("issue")
    place = f"repos/{given('GITHUB_REPOSITORY')}/issues"
    wrong = asked("CHANGES") == "true" or asked("CODE", "0") != "0"
    said = {"body": _whole(Path(given("MARKDOWN")).read_text("utf-8"), key)}
    try:
        number = _ours(ISSUES, key)
        if wrong and number is None:
            api(place, "POST", {"title": asked("TITLE"), **said})
        elif wrong:
            api(f"{place}/{number}", "PATCH", {"title": asked("TITLE"), **said})
        elif number is not None:
            done = {"state": "closed", "state_reason": "completed"}
            api(f"{place}/{number}", "PATCH", {**done, **said})
    except Refused as refused:
        if refused.status not in MAY_NOT:
            raise
        raise Failed(
            f"the job needs `permissions: issues: write`. GitHub says: {refused}", 1
        ) from None


def _say(number: int, markdown: str) -> None:
    """One comment: a first one only where something is to do or is wrong, later ones always."""
    key = _key("comment")
    repository = given("GITHUB_REPOSITORY")
    failed = asked("CODE", "0") != "0"
    if asked("WHEN") == "failures" and not failed:
        return
    needed = failed or asked("CHANGES", "true") == "true"
    text = _whole(markdown, key)
    try:
        existing = _ours(COMMENTS, key, number=number)
        if existing is not None:
            api(f"repos/{repository}/issues/comments/{existing}", "PATCH", {"body": text})
        elif needed:
            api(f"repos/{repository}/issues/{number}/comments", "POST", {"body": text})
    except Refused as refused:
        if refused.status not in MAY_NOT:
            raise
        notice(
            "no comment: the token may not write on pull requests; the job needs "
            f"`permissions: pull-requests: write`. GitHub says: {refused}"
        )


def _key(kind: str) -> str:
    """What the comment or issue is found by: one for each folder of specs."""
    about = f"{kind} {asked('FOLDER', '.')}"
    about = re.sub(r"-{2,}", "-", re.sub(r"[^A-Za-z0-9 ._/-]", "_", about))
    return f"<!-- modelctl: {about} -->"


def _ours(query: str, key: str, **more: object) -> int | None:
    """The comment or issue that begins with the key and that this token wrote."""
    owner, _, name = given("GITHUB_REPOSITORY").partition("/")
    after = None
    while True:
        found = graphql(query, owner=owner, name=name, after=after, **more)["repository"]
        page: dict[str, Any] = found.get("pullRequest", found)["found"]
        for node in page["nodes"]:
            if node["viewerDidAuthor"] and node["body"].startswith(key):
                return int(node["id"])
        if not page["pageInfo"]["hasNextPage"]:
            return None
        after = page["pageInfo"]["endCursor"]


def _whole(markdown: str, key: str) -> str:
    """The key, then as much of the text as GitHub takes; folded parts go first."""
    rest = "\n\n_What is left out here is in the summary of the run and in its artifact._\n"
    if len(markdown) > LIMIT:
        markdown = _DETAILS.sub("", markdown) + rest
    if len(markdown) > LIMIT:
        markdown = markdown[:LIMIT].rpartition("\n")[0] + rest
    return f"{key}\n{markdown}"
