"""Is every package that development, CI and the Action run with pinned, by version and hash?"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scripts.audit import verdict

ROOT = Path(__file__).resolve().parent.parent
FILES = {"modelctl.txt": [], "development.txt": ["local", "dev"]}


def entries(file: str) -> Iterator[tuple[Requirement, list[str]]]:
    """Each pinned package with its hashes."""
    text = (ROOT / "requirements" / file).read_text().replace("\\\n", " ")
    for line in text.splitlines():
        if line and not line.startswith("#"):
            words, *hashes = line.split(" --hash=")
            yield Requirement(words), [found.strip() for found in hashes]


@pytest.mark.parametrize("file", FILES)
def test_everything_that_pyproject_asks_for_is_pinned(file: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"]]
    for extra in FILES[file]:
        asked += project["optional-dependencies"][extra]
    pinned = {canonicalize_name(one.name): one for one, _ in entries(file)}
    for wanted in map(Requirement, asked):
        found = pinned.get(canonicalize_name(wanted.name))
        assert found is not None, f"{wanted} is not in requirements/{file}: make pins"
        (exactly,) = found.specifier
        assert exactly.operator == "=="
        assert wanted.specifier.contains(exactly.version), f"{found} is not {wanted}: make pins"


@pytest.mark.parametrize("file", [*FILES, "publish.txt"])
def test_a_pin_holds_hashes_and_no_address(file: str) -> None:
    for pinned, hashes in entries(file):
        assert hashes, pinned
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", one) for one in hashes), pinned
    text = (ROOT / "requirements" / file).read_text()
    assert "://" not in text and "--index" not in text and "--find-links" not in text


def test_what_runs_in_ci_is_what_users_of_the_action_get() -> None:
    of_users, of_ci = ({one.name: str(one.specifier) for one, _ in entries(file)} for file in FILES)
    assert of_users.items() <= of_ci.items()


CLEAN = {"name": "yarl", "version": "1.0", "vulns": []}
KNOWN = {"id": "PYSEC-1", "fix_versions": ["1.1"]}
UNASKED = {"name": "tqdm", "skip_reason": "no answer"}


@pytest.mark.parametrize("strict", [False, True])
def test_the_audit_says_what_is_vulnerable(strict: bool) -> None:
    assert verdict([CLEAN], strict=strict) == (
        ["audit: 1 packages, none known to be vulnerable"],
        0,
    )
    assert verdict([{**CLEAN, "vulns": [KNOWN]}], strict=strict) == (
        ["audit: 1 known to be vulnerable", "  yarl 1.0: PYSEC-1, fixed in 1.1"],
        1,
    )


@pytest.mark.parametrize("strict", [False, True])
def test_the_audit_says_aloud_what_it_could_not_ask(strict: bool) -> None:
    assert verdict([CLEAN, UNASKED], strict=strict) == (
        [
            "audit: NOT DONE for 1 of 2 packages: "
            "the service that knows vulnerabilities had no answer"
        ],
        int(strict),
    )
    assert verdict(None, strict=strict) == (
        ["audit: NOT DONE: the service that knows vulnerabilities was not reached"],
        int(strict),
    )
