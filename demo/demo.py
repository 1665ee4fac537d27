"""How does a spec become a live endpoint? The whole way on this machine, each command shown."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from openai import OpenAI

ROOT = Path(__file__).resolve().parent.parent
MODELCTL = Path(sys.executable).with_name("modelctl")
SPEC = "specs/smollm2-135m.yaml"
NAME = "smollm2-135m"
QUESTION = "What is the capital of France?"


def main() -> int:
    shown("local", "up")
    if shown("apply", SPEC, "--local", "--yes"):
        print("the endpoint did not come up; see: modelctl logs --local " + NAME)
        return 1
    url = endpoint()
    token = variables()
    client = OpenAI(
        base_url=f"{url}/v1",
        # Modal's proxy takes its token as a bearer too, so any OpenAI client can call it.
        api_key=f"{token['MODELCTL_PROXY_TOKEN_ID']}.{token['MODELCTL_PROXY_TOKEN_SECRET']}",
    )
    answer = client.chat.completions.create(
        model=client.models.list().data[0].id,
        messages=[
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": QUESTION},
        ],
        temperature=0,
        max_tokens=48,
    )
    print(f"\n  {QUESTION}\n  {answer.choices[0].message.content}\n")
    if answer.usage:
        print(
            f"  {answer.usage.prompt_tokens} tokens read, {answer.usage.completion_tokens} written"
        )
    print(f"  endpoint   {url}/v1")
    print(f"  talk       .venv/bin/modelctl chat --local {NAME}")
    print("  stop       make demo-stop")
    return 0 if "Paris" in (answer.choices[0].message.content or "") else 1


def shown(*arguments: str) -> int:
    """Run modelctl as a person would, with the command above its output."""
    print(f"\n$ modelctl {' '.join(arguments)}", flush=True)
    return subprocess.run([MODELCTL, *arguments], cwd=ROOT, check=False).returncode


def answered(*arguments: str) -> str:
    done = subprocess.run([MODELCTL, *arguments], cwd=ROOT, check=True, stdout=subprocess.PIPE)
    return done.stdout.decode()


def endpoint() -> str:
    status = json.loads(answered("status", SPEC, "--local", "--output", "json"))
    return str(status["apps"][0]["url"])


def variables() -> dict[str, str]:
    lines = answered("local", "env").splitlines()
    pairs = (line.removeprefix("export ").partition("=") for line in lines)
    return {name: value.strip("'") for name, _, value in pairs}


if __name__ == "__main__":
    sys.exit(main())
