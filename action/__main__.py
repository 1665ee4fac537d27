"""Which part of the GitHub Action is asked for? `python -I action install|run|comment|…`."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - the runner's Python is what it is
    sys.exit("::error::modelctl needs Python 3.11 or later; the input `python` names one")

from github import Failed, Refused, escaped

PARTS = ("install", "run", "comment", "issue", "fork")


def main() -> int:
    if len(sys.argv) != 2 or sys.argv[1] not in PARTS:
        print(f"::error::usage: python -I action {'|'.join(PARTS)}")
        return 64
    # Each part is imported when it is asked for: to install needs nothing of what comments.
    if sys.argv[1] == "install":
        from install import main as part
    elif sys.argv[1] == "run":
        from running import main as part
    else:
        from speaking import comment, fork, issue

        part = {"comment": comment, "fork": fork, "issue": issue}[sys.argv[1]]
    try:
        part()
    except Failed as failed:
        print(failed.line())
        return failed.code
    except Refused as refused:
        print(f"::error::{escaped(f'GitHub refused: {refused}')}")
        return 1
    return 0


sys.exit(main())
