"""Can vLLM read the chat template? Jinja's own parser says, with the tags of Transformers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from modelctl.checks.case import Case, Rule, wrong
from modelctl.engines.base import Finding

if TYPE_CHECKING:
    from jinja2 import nodes
    from jinja2.parser import Parser


def syntax(case: Case) -> Iterator[Finding]:
    """llama.cpp has a Jinja of its own, whose mistakes are others."""
    text = case.facts.chat_template
    if case.engine.name != "vllm" or not isinstance(text, str):
        return
    problem = _problem(text)
    if problem is not None:
        line, why = problem
        yield wrong(
            ("chat_template",),
            "model/template-syntax",
            f"{case.spec.chat_template}, line {line}: {why}",
            "correct that line; vLLM reads the file with Jinja",
        )


def _problem(text: str) -> tuple[int, str] | None:
    """(the line, what Jinja says of it), None where it can be read."""
    from jinja2 import Environment, TemplateSyntaxError  # only few specs have a template
    from jinja2.ext import Extension

    class Generation(Extension):
        """`{% generation %}`, with which Transformers marks what the model wrote."""

        tags = {"generation"}  # noqa: RUF012 - as the base class has it

        def parse(self, parser: Parser) -> list[nodes.Node]:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    environment = Environment(  # noqa: S701 - nothing is rendered
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", Generation]
    )
    try:
        environment.parse(text)
    except TemplateSyntaxError as problem:
        return problem.lineno, (problem.message or "no Jinja").rstrip(".")
    except RecursionError:
        return 1, "nested too deeply"
    except ValueError:
        return 1, "it holds a number of thousands of digits"
    return None


RULES: tuple[Rule, ...] = (syntax,)
