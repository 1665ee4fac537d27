"""Does a vLLM server with a key answer anything without it?"""

from __future__ import annotations

import ast
import asyncio
from pathlib import Path
from typing import Any

import pytest

GOLDEN = Path(__file__).parent / "golden"
KEY = "very-secret"


@pytest.fixture
def guard(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The guard that stands in a rendered app, in front of an app that answers 200."""
    tree = ast.parse((GOLDEN / "specs" / "llama_3_1_8b_eagle3.py").read_text(encoding="utf-8"))
    (text,) = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "GUARD"
    ]
    monkeypatch.setenv("VLLM_API_KEY", KEY)
    names: dict[str, Any] = {}
    exec(text, names)

    async def engine(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})

    return names["Guard"](engine)


def status(guard: Any, path: str, key: str | None = None, **scope: Any) -> int:
    headers = [] if key is None else [(b"authorization", key.encode())]
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asked = {"type": "http", "method": "POST", "path": path, "headers": headers, **scope}
    asyncio.run(guard(asked, None, send))
    found: int = sent[0].get("status") or sent[0]["code"]
    return found


@pytest.mark.parametrize(
    "path", ["/v1/models", "/invocations", "/metrics", "/tokenize", "/health/"]
)
def test_nothing_answers_without_the_key(guard: Any, path: str) -> None:
    assert status(guard, path) == 401
    assert status(guard, path, "Bearer wrong") == 401
    assert status(guard, path, KEY) == 401
    assert status(guard, path, f"Bearer {KEY} ") == 401
    assert status(guard, path, f"Bearer {KEY}") == 200


def test_health_and_what_browsers_ask_first_are_open(guard: Any) -> None:
    assert status(guard, "/health") == 200
    assert status(guard, "/v1/chat/completions", method="OPTIONS") == 200
    assert status(guard, "", type="lifespan") == 200


def test_a_websocket_without_the_key_is_closed(guard: Any) -> None:
    policy_violation = 1008
    assert status(guard, "/v1/realtime", type="websocket") == policy_violation
    assert status(guard, "/v1/realtime", f"Bearer {KEY}", type="websocket") == 200


def test_only_an_app_with_a_key_has_the_guard() -> None:
    with_guard = {
        path.stem
        for path in GOLDEN.rglob("*.py")
        if "modelctl_guard" in path.read_text(encoding="utf-8")
    }
    assert with_guard == {"llama_3_1_8b_eagle3"}
