"""What does the Hub say about a repository? Its commit, its files, its config: asked, with bounds.

Whatever stands in the way is a HubProblem: a sentence with the way out.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from msgspec import Struct

from modelctl.resolved import RemoteFile, Selection
from modelctl.weights import config as configs
from modelctl.weights import hub_ranges
from modelctl.weights.headers import BrokenWeights, Headers, Open, read_headers
from modelctl.weights.lock import Locked
from modelctl.weights.sources import is_plain, parse
from modelctl.weights.tensors import Read

if TYPE_CHECKING:
    import httpx2
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoSibling

TRIES = 3
TIMEOUT = 20.0
MAX_READ = 4 * 2**20
PAUSE = 1.0
_AGAIN = {408, 425, 429, 500, 502, 503, 504}
_LEFT_OUT = re.compile(
    r"(^|/)(\.git[^/]*|readme[^/]*|license[^/]*|notice[^/]*|use_policy[^/]*)$"
    r"|\.(md|png|jpe?g|gif|webp|svg|pdf|mp4|ipynb|onnx|onnx_data|msgpack|h5|ot|tflite|pb|mlmodel)$"
    r"|^(onnx|openvino|coreml|assets|figures|images|original|metal)/",
    re.IGNORECASE,
)

_T = TypeVar("_T")


class HubProblem(Exception):
    """Why there is no answer. `kind` says whose turn it is: the spec's, a token's, or time's."""

    def __init__(
        self, kind: Literal["wrong", "access", "broken", "again"], message: str, hint: str
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.hint = hint


class Found(Struct, frozen=True):
    """What the Hub has. `name` is the repository's name now, where it was renamed."""

    locked: Locked
    name: str


def endpoint() -> str:
    """The Hub that is asked: HF_ENDPOINT, as the Hub's own client reads it."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"


def look_up(source: str, revision: str | None, selections: Iterable[Selection] = ()) -> Found:
    """Ask for the commit and the files of `hf://org/repo`. Raises HubProblem.

    Of the weights that the selections mean, the headers are read. The token is the one that the
    Hub's own client finds: HF_TOKEN, or that of `hf auth login`.
    """
    from huggingface_hub import HfApi

    repo = parse(source).where
    api = HfApi(endpoint=endpoint())
    asking = _Asking(source, repo, revision)
    info = asking.bounded(
        lambda: api.model_info(repo, revision=revision, files_metadata=True, timeout=TIMEOUT)
    )
    if not info.sha:
        raise HubProblem("again", f"{endpoint()} gave {source} no commit", "is HF_ENDPOINT a Hub?")
    files = tuple(
        _file(sibling, repo)
        for sibling in info.siblings or ()
        if is_plain(sibling.rfilename) and not _LEFT_OUT.search(sibling.rfilename)
    )
    if not files:
        raise HubProblem(
            "wrong",
            f"{repo} holds no file that an engine could read",
            f"a repository with a model's files; what it has is at {endpoint()}/{repo}",
        )
    access = "gated" if info.gated else "private" if info.private else ""
    config = _config(api, asking, info.id, info.sha, files, probe=bool(access))

    def open_(file: RemoteFile) -> Read:
        url = hub_ranges.address(api, info.id, commit, file.path)
        return lambda start, end: asking.bounded(lambda: hub_ranges.read(url, start, end))

    commit = info.sha
    headers = read_headers_of(source, files, selections, open_)
    locked = Locked(commit, files, revision, config, access, headers.tensors, headers.gguf)
    return Found(locked, info.id)


def read_headers_of(
    source: str, files: tuple[RemoteFile, ...], selections: Iterable[Selection], open_: Open
) -> Headers:
    """The headers; a HubProblem where a file is one that no engine could load."""
    try:
        return read_headers(files, selections, open_)
    except BrokenWeights as problem:
        raise HubProblem(
            "broken",
            f"{source}: {problem}",
            "it was put there so: put it there again, or name a revision where it is whole",
        ) from problem


def _config(
    api: HfApi,
    asking: _Asking,
    repo: str,
    commit: str,
    files: tuple[RemoteFile, ...],
    *,
    probe: bool,
) -> dict[str, Any]:
    """The plain values of config.json, and of others beside it.

    With `probe` a file is read whatever there is: a listing may be open where the files are not.
    """
    there = {file.path: file for file in files}

    def read(path: str) -> Any:
        if path not in there or there[path].size > MAX_READ:
            return None
        text = asking.bounded(lambda: _text(api, repo, commit, path))
        try:
            return json.loads(text)
        except ValueError:
            return None  # the engine will say what is wrong with it; here it only tells nothing

    found = configs.gathered(there, read)
    if probe and "config.json" not in there and files:
        smallest = min(files, key=lambda file: file.size)
        asking.bounded(lambda: _text(api, repo, commit, smallest.path, head=True))
    return found


def _text(api: HfApi, repo: str, commit: str, path: str, *, head: bool = False) -> str:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    url = hf_hub_url(repo, path, revision=commit, endpoint=api.endpoint)
    if head:
        get_hf_file_metadata(url, timeout=TIMEOUT, endpoint=api.endpoint)
        return ""
    answer = get_session().get(url, headers=build_hf_headers(), timeout=TIMEOUT)
    hf_raise_for_status(answer)
    return answer.text


def _file(sibling: RepoSibling, repo: str) -> RemoteFile:
    if sibling.lfs is not None:
        return RemoteFile(sibling.rfilename, sibling.lfs.size, sha256=sibling.lfs.sha256)
    if sibling.size is None or not sibling.blob_id:
        raise HubProblem(
            "again",
            f"{endpoint()} lists the files of {repo} without their sizes and hashes",
            "a Hub gives them where ?blobs=true asks: does a mirror or a redirect drop that?",
        )
    return RemoteFile(sibling.rfilename, sibling.size, git_sha1=sibling.blob_id)


class _Asking(Struct, frozen=True):
    """One source that is asked about: what its failures are called."""

    source: str
    repo: str
    revision: str | None

    def bounded(self, ask: Callable[[], _T]) -> _T:
        """The answer, after a few tries where the Hub or the network is not well."""
        import httpx2
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError

        for number in range(1, TRIES + 1):
            try:
                return ask()
            except HfHubHTTPError as refusal:
                problem = self.refused(refusal.response)
            except HFValidationError as error:
                raise HubProblem(
                    "wrong", f"{self.source} names no repository", "hf://org/repo"
                ) from error
            except httpx2.TimeoutException:
                problem = self.unreachable(f"did not answer within {TIMEOUT:.0f} s")
            except hub_ranges.TooSlow as slow:
                problem = self.unreachable(str(slow))
            except (httpx2.HTTPError, OSError) as error:
                problem = self.unreachable(f"cannot be reached: {error}")
            except (ValueError, TypeError, KeyError) as error:
                problem = HubProblem(
                    "again",
                    f"{endpoint()} answered nothing that a Hub would, about {self.repo}",
                    f"is HF_ENDPOINT a Hub? ({type(error).__name__})",
                )
            if problem.kind != "again" or number == TRIES:
                raise problem
            time.sleep(PAUSE * 2 ** (number - 1))
        raise AssertionError

    def unreachable(self, how: str) -> HubProblem:
        return HubProblem(
            "again",
            f"{endpoint()} {how}",
            "try again; what modelctl.lock has needs no Hub, and neither does what was fetched",
        )

    def refused(self, answer: httpx2.Response) -> HubProblem:
        status, code = answer.status_code, answer.headers.get("X-Error-Code", "")
        said = answer.headers.get("X-Error-Message", "")
        page = f"{endpoint()}/{self.repo}"
        if code == "GatedRepo":
            return HubProblem(
                "access",
                f"{self.repo} is gated: its files are for those who accepted its terms",
                f"accept them at {page}, then set HF_TOKEN; {for_the_deployment()}",
            )
        if "credentials" in said:
            return HubProblem(
                "access", "the Hub does not take this HF_TOKEN", "make another one, or unset it"
            )
        if code == "RevisionNotFound":
            revision = self.revision or "main"
            return HubProblem(
                "wrong",
                f"{self.repo} has no revision {revision}",
                f"its branches and tags are at {page}/tree/main; a commit has 40 digits",
            )
        if status in (401, 403, 404):
            if has_token():
                why = f"there is no repository {self.repo} on the Hub that this HF_TOKEN may see"
                return HubProblem("wrong", why, f"see {page}")
            return HubProblem(
                "wrong",
                f"there is no repository {self.repo} on the Hub, or it is private",
                f"see {page}; for a private one set HF_TOKEN; {for_the_deployment()}",
            )
        if status in _AGAIN:
            return self.unreachable(f"answered {status}")
        return HubProblem("wrong", f"the Hub refused {self.repo}: {status} {said}".strip(), page)


def for_the_deployment(secret: str = "huggingface") -> str:  # noqa: S107 - a Secret's name
    """How the app that fetches gets a token."""
    return (
        f"for the deployment: modal secret create {secret} HF_TOKEN=…, "
        f"and model: {{secret: {secret}}}"
    )


def has_token() -> bool:
    from huggingface_hub import get_token

    return bool(get_token())
