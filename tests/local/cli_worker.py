"""Runs the modal CLI, one JSON line a command: `main` of the unchanged package, in a fork each.

A line is the command's words, or those and the variables that it has beside ours.

Importing the CLI takes half a second; a fork of a process that has done so takes none.
"""

import json
import os
import sys
import tempfile

import modal.__main__ as cli


def run(arguments: list[str], variables: dict[str, str]) -> tuple[int, str]:
    """Exit code, and what it printed on both outputs."""
    with tempfile.TemporaryFile() as output:
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.dup2(output.fileno(), 1)
                os.dup2(output.fileno(), 2)
                sys.stdout = os.fdopen(1, "w")
                sys.argv = ["modal", *arguments]
                os.environ.update(variables)
                cli.main()
                code = 0
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else int(end.code is not None)
            except BaseException as error:
                sys.excepthook(type(error), error, error.__traceback__)
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        _, status = os.waitpid(child, 0)
        output.seek(0)
        return os.waitstatus_to_exitcode(status), output.read().decode("utf-8", "replace")


def main() -> None:
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        said = json.loads(line)
        words, variables = said if said and isinstance(said[0], list) else (said, {})
        print(json.dumps(run(words, variables)), file=channel, flush=True)


if __name__ == "__main__":
    main()
