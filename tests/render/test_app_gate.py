"""Does a version prove itself inside, once, before it is ready? With a stub engine."""

from __future__ import annotations

from typing import Any

import pytest

from tests.render.conftest import Running, Start

PARIS = {
    "name": "knows-paris",
    "messages": [{"role": "user", "content": "What is the capital of France?"}],
    "max_tokens": 24,
    "within": 60,
}


def chats(app: Running) -> list[Any]:
    return [body for path, body, _ in app.asked if path == "/v1/chat/completions"]


def checking(start: Start, mode: str = "", **expect: object) -> Running:
    app = start(mode)
    app.module.CHECKS = [{**PARIS, **expect}]
    return app


def test_the_first_container_of_a_version_asks_the_checks_and_the_next_one_does_not(
    start: Start, capfd: pytest.CaptureFixture[str]
) -> None:
    first = start()
    first.hook("start")
    question = {
        "model": "smollm2-135m",
        "messages": [{"role": "user", "content": "What is the capital of France?"}],
        "max_tokens": 24,
        "temperature": 0,
    }
    assert chats(first) == [question]
    first.hook("stop")
    assert "modelctl INFO answered right: 1 of 1 checks\n" in capfd.readouterr().out
    digest = first.module.TAGS["modelctl-digest"]
    assert first.kept == {f"smollm2-135m {digest}": True}
    second = start()
    second.hook("start")
    assert chats(second) == [question]
    assert len(second.asked) == 3  # a warm-up each, and the first one's check


@pytest.mark.parametrize(
    ("expect", "answer"),
    [
        ({"contains": "Paris"}, "It is Paris."),
        ({"matches": "^Par.s$"}, "Paris"),
        ({"json": ["city"]}, '{"city": "Paris"}'),
        ({}, "anything"),
    ],
)
def test_a_right_answer_passes(
    start: Start, monkeypatch: pytest.MonkeyPatch, expect: dict[str, object], answer: str
) -> None:
    monkeypatch.setenv("ANSWER", answer)
    app = checking(start, **expect)
    app.hook("start")
    assert list(app.kept.values()) == [True]


@pytest.mark.parametrize(
    ("mode", "expect", "answer", "why"),
    [
        ("", {"contains": "Paris"}, "Lyon,\n  I think",
         'expected "Paris" in the answer; got "Lyon, I think"'),
        ("", {"matches": "Par.s"}, "Lyon", 'expected /Par.s/; got "Lyon"'),
        ("", {"json": ["city"]}, "Lyon", 'expected JSON; got "Lyon"'),
        ("", {"json": ["city"]}, "[]", 'expected JSON with city; got "[]"'),
        ("no chat", {}, "", "expected an answer; got HTTP 404: no such route"),
        ("slow", {"within": 1}, "", "expected an answer within 1 s; got none"),
    ],
)  # fmt: skip
def test_a_wrong_answer_is_one_line_and_no_start(
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    mode: str,
    expect: dict[str, object],
    answer: str,
    why: str,
) -> None:
    monkeypatch.setenv("ANSWER", answer)
    app = checking(start, mode, **expect)
    with pytest.raises(app.module.WrongAnswer):
        app.hook("start")
    last = capfd.readouterr().out.splitlines()[-1]
    assert last == f'modelctl: answered wrong: check "knows-paris" {why}'
    assert app.server.engine.poll() is not None
    assert app.kept == {}


def test_a_dict_that_is_not_there_stops_no_start(
    start: Start, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    app = start()

    def unreachable(*_: object) -> object:
        raise ConnectionError("no route to Modal")

    monkeypatch.setattr(type(app.kept), "get", unreachable)
    app.hook("start")
    assert len(chats(app)) == 1
    said = capfd.readouterr().out
    assert "modelctl WARNING Modal did not answer: no route to Modal\n" in said


def test_an_app_whose_gate_is_not_checks_asks_none(start: Start) -> None:
    app = start(app="llama_from_volume", gpus=["NVIDIA L4"])
    assert not hasattr(app.module, "CHECKS")
    app.hook("start")
    assert [path for path, *_ in app.asked] == ["/v1/completions"]
