"""How do remote files get into a Volume? What is there is seen; what is not, an app fetches."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from modelctl.platform.types import (
    CouldNotFetch,
    CredentialsRefused,
    NotThere,
    PlatformError,
    Progress,
    Refused,
    StoredWeights,
    Unreachable,
)
from modelctl.resolved import Fetch, RemoteFile, Unknown

if TYPE_CHECKING:
    import modal

MANIFEST = ".modelctl.json"
_HASH_NAME = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


class Manifest(Struct, frozen=True):
    """What an earlier fetch left whole: the hash of each file, and which files a purpose needs."""

    source: str
    commit: str
    files: Mapping[str, tuple[int, str]]
    selections: Mapping[str, tuple[str, ...]]


def decode_manifest(content: bytes | None) -> Manifest | None:
    """None where there is none, or nothing that can be understood: then it is fetched again."""
    if content is None:
        return None
    try:
        data = json.loads(content)
        return Manifest(
            str(data["source"]),
            str(data["commit"]),
            {path: (int(size), str(digest)) for path, (size, digest) in data["files"].items()},
            {key: tuple(paths) for key, paths in data["selections"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def folders(entries: Iterable[Any]) -> dict[str, list[Any]]:
    """The files of the weights' Volume by the folder of one commit or one content.

    Such a folder ends in its hash: `/org/repo/<40 digits>/`, `/<64 digits>/`. What lies elsewhere
    is nobody's.
    """
    found: dict[str, list[Any]] = {}
    for entry in entries:
        *parents, _ = entry.path.strip("/").split("/")
        for depth, part in enumerate(parents, 1):
            if _HASH_NAME.fullmatch(part):
                found.setdefault("/" + "/".join(parents[:depth]) + "/", []).append(entry)
                break
    return found


def stored(prefix: str, entries: Sequence[Any], manifest: Manifest | None) -> StoredWeights:
    """One such folder. A local model has no manifest: it was put there in one commit."""
    sizes = {entry.path.strip("/").removeprefix(prefix[1:]): entry.size for entry in entries}
    whole = manifest is not None and all(
        sizes.get(path) == size for path, (size, _) in manifest.files.items()
    )
    local = len(prefix.strip("/").split("/")) == 1
    name = prefix.strip("/").rpartition("/")
    return StoredWeights(
        prefix=prefix,
        source=manifest.source if manifest else "local" if local else f"hf://{name[0]}",
        commit=manifest.commit if manifest else name[2],
        files=sum(not path.endswith(MANIFEST) for path in sizes),
        size=sum(sizes.values()),
        complete=whole or local,
        newest=datetime.fromtimestamp(max(entry.mtime for entry in entries), UTC),
    )


def covers(manifest: Manifest | None, sizes: Mapping[str, int], fetch: Fetch) -> bool:
    """Whether all that the fetch is for is there. `sizes` are of the files below its prefix."""
    if manifest is None:
        return False
    if isinstance(fetch.files, Unknown):
        paths = manifest.selections.get(fetch.selection.key)
        wanted = {path: manifest.files.get(path) for path in paths or ()}
        if not paths:
            return False
    else:
        wanted = {file.path: (file.size, _hash(file)) for file in fetch.files}
    return all(
        entry is not None and manifest.files.get(path) == entry and sizes.get(path) == entry[0]
        for path, entry in wanted.items()
    )


async def run_app(
    module: Any, environment: str, total: int, many: str, progress: Progress
) -> Mapping[str, object]:
    """Run the app that `module` holds to its end, and give what it answered."""
    import modal.exception
    from grpclib import GRPCError

    async with (
        modal.Queue.ephemeral(environment_name=environment) as queue,
        module.app.run(environment_name=environment),
    ):
        watching = asyncio.create_task(_watch(queue, total, many, progress))
        try:
            answer: Mapping[str, object] = await module.fetch.remote.aio(queue)
        except (modal.exception.Error, GRPCError):
            raise
        except Exception as error:
            # What the app raised is raised here, whatever it is.
            raise Refused(f"it failed: {type(error).__name__}: {error}", "try again") from error
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
    return answer


async def _watch(queue: modal.Queue, total: int, many: str, progress: Progress) -> None:
    """Say how far it is. That nobody can tell for a while is no reason to fail."""
    begin, at_first = time.monotonic(), None
    while True:
        try:
            told = await queue.get_many.aio(1000, timeout=60.0)
        except Exception:  # noqa: BLE001 - the fetch itself says what is wrong
            await asyncio.sleep(5.0)
            continue
        if not told:
            continue
        done = int(told[-1])
        if at_first is None:
            begin, at_first = time.monotonic(), done
        seconds = time.monotonic() - begin
        speed = f", {(done - at_first) / seconds / 1e6:,.0f} MB/s" if seconds > 1.0 else ""
        progress(f"fetching {many}, {amount(done, total)} of {amount(total)}{speed}")


def amount(count: int, scale: int | None = None) -> str:
    """`16.4 GB`; without its unit where `scale` is what it is a part of."""
    whole = count if scale is None else scale
    unit, divisor = ("GB", 1e9) if whole >= 1e9 else ("MB", 1e6)
    number = f"{count / divisor:,.1f}"
    return number if scale is not None else f"{number} {unit}"


def files_of(fetch: Fetch) -> tuple[RemoteFile, ...]:
    """The files, which are known by the time that anything is fetched."""
    assert isinstance(fetch.files, tuple), fetch.files
    return fetch.files


def not_fetched(fetch: Fetch, problem: PlatformError) -> PlatformError:
    """What a failure of Modal's means for one fetch."""
    if isinstance(problem, Unreachable | CredentialsRefused):
        return problem
    hint = problem.hint
    if isinstance(problem, NotThere) and fetch.secret and fetch.secret in problem.message:
        hint = f"modal secret create {fetch.secret} HF_TOKEN=…"
    return CouldNotFetch(f"could not fetch {fetch.source}: {problem.message}", hint)


def refusal(fetch: Fetch, answer: Mapping[str, object]) -> CouldNotFetch | None:
    """The sentence for what the app could not do; None where it did it."""
    if "problem" not in answer:
        return None
    file, why = answer.get("file"), ""
    hint = "apply again: what is whole is kept, and the rest goes on where it ended"
    match answer["problem"]:
        case "wrong-hash":
            why = (
                f"{file} is not what was locked: its hash should be {answer['expected']} and is "
                f"{answer['got']}; it was deleted"
            )
            hint = "apply again; if it stays so, look at the repository and run modelctl lock"
        case "wrong-size":
            why = (
                f"{file} is not what was locked: it should have {answer['expected']} bytes and has "
                f"{answer['got']}"
            )
            why += "" if fetch.bucket else "; it was deleted"
            hint = "apply again; if it stays so, look at the repository and run modelctl lock"
        case "unreachable":
            host = "the bucket" if fetch.bucket else "the Hub"
            why = f"{host} does not give {file}: {answer['why']}"
        case "missing":
            why = f"{file} is in the bucket no more, or its Secret may not read it"
            hint = "modelctl lock --upgrade writes down what is there now"
        case "full":
            why = f"no space is left for {file}"
            hint = "modelctl weights gc removes what nothing needs"
        case "busy":
            why = f"somebody else is fetching {file} at this moment"
            hint = "apply again when that is done"
        case "refused":
            why, hint = _refused(fetch, answer)
        case other:
            why = f"the app that fetches it says {other}"
    return CouldNotFetch(f"could not fetch {fetch.source}: {why}", hint)


def _refused(fetch: Fetch, answer: Mapping[str, object]) -> tuple[str, str]:
    status, code, said = answer.get("status"), answer.get("code"), str(answer.get("said") or "")
    repository = fetch.source.partition("://")[2]
    make = "modal secret create huggingface HF_TOKEN=…, and model: {secret: huggingface}"
    if code == "GatedRepo":
        if fetch.secret:
            return (
                f"{repository} is gated, and the token in the Secret {fetch.secret} is of nobody "
                "who accepted its terms",
                "accept them on its page on the Hub with that account, then apply again",
            )
        return f"{repository} is gated", f"accept its terms on its page on the Hub, then {make}"
    if "credentials" in said:
        return (
            f"the Hub does not take the token in the Secret {fetch.secret}",
            f"modal secret create {fetch.secret} HF_TOKEN=… --force, then apply again",
        )
    if code == "EntryNotFound":
        return (
            f"{repository} has no {answer.get('file')} at {fetch.commit}",
            "its history may have been rewritten: modelctl lock --upgrade",
        )
    if code == "RevisionNotFound":
        return (
            f"{repository} has no commit {fetch.commit} any more",
            "its history was rewritten: modelctl lock --upgrade",
        )
    if status in (401, 403, 404):
        if fetch.secret:
            return (
                f"there is no repository {repository} that the token in the Secret {fetch.secret} "
                "may see",
                "give that account the right to read it, then apply again",
            )
        return f"there is no repository {repository}, or it is private", make
    return f"the Hub answered {status} for {answer.get('file')} {said}".strip(), "try again"


def _hash(file: RemoteFile) -> str:
    if file.sha256 is not None:
        return f"sha256:{file.sha256}"
    return f"git:{file.git_sha1}" if file.git_sha1 is not None else ""
