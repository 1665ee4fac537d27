"""Is the lock the same everywhere, whole after a round trip, and never a traceback?"""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.diagnostics import Rejected
from modelctl.resolved import RemoteFile, Unknown
from modelctl.weights.lock import Lock, Locked, dump, key, parse, read, write
from modelctl.weights.read import model_facts

COMMIT, SHA256, SHA1 = "c" * 40, "a" * 64, "b" * 40
LLAMA = {"architectures": ["LlamaForCausalLM"], "max_position_embeddings": 2048, "vocab_size": 512}
LOCK = Lock(
    {
        "hf://org/m@v1": Locked(
            COMMIT,
            (
                RemoteFile("model.safetensors", 1000, sha256=SHA256),
                RemoteFile("config.json", 20, git_sha1=SHA1),
            ),
            "v1",
            LLAMA,
            "gated",
        )
    }
)
TEXT = f"""\
{{
 "format": 1,
 "sources": {{
  "hf://org/m@v1": {{
   "commit": "{COMMIT}",
   "revision": "v1",
   "access": "gated",
   "config": {{
    "architectures": ["LlamaForCausalLM"],
    "max_position_embeddings": 2048,
    "vocab_size": 512
   }},
   "files": [
    ["config.json", 20, "git:{SHA1}"],
    ["model.safetensors", 1000, "sha256:{SHA256}"]
   ]
  }}
 }}
}}
"""


def wrong(text: str) -> list[str]:
    with pytest.raises(Rejected) as rejected:
        parse(text)
    return [
        f"{d.place.line if d.place else '-'} {d.code}: {d.message} | {d.hint}"
        for d in rejected.value.diagnostics
    ]


def test_a_file_of_a_model_has_a_line_of_its_own_in_order() -> None:
    assert dump(LOCK) == TEXT
    assert dump(parse(TEXT)) == TEXT
    assert dump(Lock()) == '{\n "format": 1,\n "sources": {}\n}\n'


paths = st.text(st.characters(codec="utf-8", exclude_characters="/"), min_size=1).filter(
    lambda text: text not in (".", "..")
)
files = st.builds(
    RemoteFile,
    paths,
    st.integers(0, 2**50),
    sha256=st.none() | st.just(SHA256),
    git_sha1=st.none(),
)
locked = st.builds(
    Locked,
    st.just(COMMIT),
    st.lists(files, max_size=4, unique_by=lambda f: f.path).map(
        lambda found: tuple(sorted(found, key=lambda f: f.path))
    ),
    st.none() | st.text(st.characters(codec="utf-8")),
    st.dictionaries(st.text(st.characters(codec="utf-8")), st.integers() | st.booleans()),
    st.sampled_from(["", "gated", "private"]),
)


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), locked, max_size=3))
def test_whatever_is_locked_is_read_back(sources: dict[str, Locked]) -> None:
    lock = Lock(sources)
    assert parse(dump(lock)) == lock
    shuffled = Lock(dict(reversed(sources.items())))
    assert dump(shuffled) == dump(lock)


@given(st.text() | st.integers(0, len(TEXT)).map(lambda n: TEXT[:n] + "}" + TEXT[n:]))
def test_anything_else_is_a_diagnostic_and_never_a_traceback(text: str) -> None:
    try:
        parse(text)
    except Rejected as rejected:
        assert all(d.code == "lock/unreadable" and d.place for d in rejected.diagnostics)


AGAIN = "take it from version control, or delete it and run modelctl lock"


def test_what_is_wrong_is_said_at_its_line() -> None:
    assert wrong(TEXT.replace('"revision": "v1",', '"revision": "v1"')) == [
        "7 lock/unreadable: modelctl.lock cannot be understood: no JSON: Expecting ',' delimiter "
        f"| {AGAIN}"
    ]
    assert wrong(TEXT.replace(COMMIT, "main")) == [
        "4 lock/unreadable: modelctl.lock cannot be understood: hf://org/m@v1 is not as modelctl "
        f"lock writes it: its commit has not 40 digits | {AGAIN}"
    ]
    assert wrong(TEXT.replace("config.json", "../../etc/passwd")) == [
        "4 lock/unreadable: modelctl.lock cannot be understood: hf://org/m@v1 is not as modelctl "
        f"lock writes it: '../../etc/passwd' is no file of a repository | {AGAIN}"
    ]
    assert wrong(TEXT.replace('"format": 1', '"format": 2')) == [
        "2 lock/unreadable: modelctl.lock cannot be understood: its format is 2, and this modelctl "
        "reads 1 | install the modelctl that wrote it"
    ]
    assert wrong("<<<<<<< ours\n" + TEXT) == [
        "1 lock/unreadable: modelctl.lock cannot be understood: a merge left its conflict markers "
        "in it | take either side, then run modelctl lock"
    ]
    assert wrong("[]") == [
        f"1 lock/unreadable: modelctl.lock cannot be understood: it has no sources | {AGAIN}"
    ]


def test_a_missing_lock_is_none_and_an_unreadable_one_says_so(tmp_path: Path) -> None:
    assert read(tmp_path) is None
    (tmp_path / "modelctl.lock").write_bytes(b"\xff\xfe")
    with pytest.raises(Rejected, match="it is not UTF-8"):
        read(tmp_path)
    (tmp_path / "modelctl.lock").unlink()
    (tmp_path / "modelctl.lock").mkdir()
    with pytest.raises(Rejected, match=r"modelctl\.lock cannot be read: Is a directory"):
        read(tmp_path)


def test_a_key_is_what_the_spec_says() -> None:
    assert key("hf://org/m") == "hf://org/m"
    assert key("hf://org/m", "v1") == "hf://org/m@v1"


def test_facts_come_from_the_lock_for_the_revision_that_was_asked_for(tmp_path: Path) -> None:
    found = model_facts("hf://org/m", tmp_path, tmp_path, hashed=False, revision="v1", lock=LOCK)
    assert (found.commit, found.format, found.access) == (COMMIT, "safetensors", "gated")
    assert (found.architecture, found.context_length) == ("LlamaForCausalLM", 2048)
    assert [file.path for file in found.remote] == ["model.safetensors", "config.json"]
    other = model_facts("hf://org/m", tmp_path, tmp_path, hashed=False, lock=LOCK)
    assert other.commit == Unknown("not in modelctl.lock")
    named = model_facts("hf://org/m", tmp_path, tmp_path, hashed=False, revision="d" * 40)
    assert named.commit == "d" * 40
    assert named.remote == ()


@pytest.mark.parametrize(
    "problem", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")]
)
def test_a_lock_is_written_whole_or_not_at_all(
    tmp_path: Path, problem: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, LOCK)

    def half(self: Path, text: str, **_: object) -> None:
        self.write_bytes(text[: len(text) // 2].encode())
        raise problem

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", half)
        with pytest.raises(type(problem)) as caught:
            write(tmp_path, Lock())
    assert (tmp_path / "modelctl.lock").read_text() == TEXT
    assert [file.name for file in tmp_path.iterdir()] == ["modelctl.lock"]
    if isinstance(caught.value, OSError):
        assert caught.value.filename == str(tmp_path / "modelctl.lock")
