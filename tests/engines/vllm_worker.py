"""What does vLLM say to a command line? Runs inside vLLM's environment, one JSON line a question.

A question: {"argv": ["vllm", "serve", …], "env": {…}, "depth": "parsed" | "engine" | "config"}.
The answer: null where it was taken, or what vLLM said. `parsed` is the parser and the validation
that follows it, `engine` the engine's arguments too, `config` the whole configuration, for which
the model's folder has to be there.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from typing import Any

from vllm import AsyncEngineArgs
from vllm.entrypoints.cli.serve import ServeSubcommand
from vllm.usage.usage_lib import UsageContext
from vllm.utils.argparse_utils import FlexibleArgumentParser


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what vLLM prints goes to the log
    serve = ServeSubcommand()
    parser = FlexibleArgumentParser(prog="vllm")
    serve.subparser_init(parser.add_subparsers(required=True, dest="subparser"))
    answers.write("ready\n")
    answers.flush()
    for line in sys.stdin:
        asked = json.loads(line)
        # A whole configuration changes defaults that the next one would get.
        child = os.fork() if asked["depth"] == "config" else None
        if not child:
            answers.write(json.dumps(answer(serve, parser, asked)) + "\n")
            answers.flush()
        if child == 0:
            os._exit(0)
        if child:
            os.waitpid(child, 0)


def answer(serve: ServeSubcommand, parser: FlexibleArgumentParser, asked: dict[str, Any]) -> Any:
    said, before = io.StringIO(), dict(os.environ)
    os.environ.update(asked["env"])
    try:
        with contextlib.redirect_stderr(said):
            args = parser.parse_args(asked["argv"][1:])
            serve.validate(args)
            args.model = args.model_tag
            if asked["depth"] != "parsed":
                engine = AsyncEngineArgs.from_cli_args(args)
                if asked["depth"] == "config":
                    engine.create_engine_config(UsageContext.OPENAI_API_SERVER)
    except SystemExit as ended:
        return said.getvalue().strip().splitlines()[-1:] or [f"exit {ended.code}"]
    except Exception as refused:
        return [f"{type(refused).__name__}: {refused}"]
    finally:
        os.environ.clear()
        os.environ.update(before)
    return None


if __name__ == "__main__":
    main()
