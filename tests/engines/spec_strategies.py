"""What may a spec say to an engine? Strategies over fields, and over a version's own flags."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from modelctl.checks.reserved import reserved
from modelctl.facts.flags import FlagFact, FlagTable

Specs = SearchStrategy[dict[str, Any]]

COMMITS = st.sampled_from(["main", "b968826d9c46dd6066d109eabc6255188de91218"])
NAMES = st.sampled_from(["a", "qwen3-8b", "Team/Model.v2", "model:latest", "x_y"])
MOST = {"T4": 8, "L4": 8, "A10": 4, "L40S": 8, "A100-80GB": 8, "H100": 8, "H100!": 8, "H200": 8}
COUNTS = st.sampled_from([1, 1, 2, 4, 8])
WORDS = st.sampled_from(["x", "one two", "a,b", "-x", "--x", "", "é", '{"a": 1}', "/data/x", "0"])
INTEGERS = st.integers(1, 1024)
FLOATS = st.floats(0.01, 1.0, allow_nan=False).map(lambda value: round(value, 3))


def some(**fields: SearchStrategy[Any]) -> Specs:
    """A mapping with any of the fields."""
    return st.fixed_dictionaries({}, optional=fields)


def gpus(args: Specs, *, whole: bool = False, **more: SearchStrategy[Any]) -> Any:
    """The fallback list; with `whole`, each entry is a whole host."""
    return st.lists(
        st.tuples(st.sampled_from(sorted(MOST)), COUNTS).flatmap(
            lambda said: _entry(said[0], MOST[said[0]] if whole else said[1], args, more)
        ),
        min_size=1,
        max_size=3,
    )


def _entry(name: str, count: int, args: Specs, more: dict[str, SearchStrategy[Any]]) -> Specs:
    count = min(count, MOST[name])
    written = name if count == 1 else f"{name}:{count}"
    optional = {
        "context": st.integers(16, 131072),
        "max_sequences": st.integers(1, 512),
        "args": args,
        **more,
    }
    if "parallel" in more:
        optional["parallel"] = parallel(count)
    return st.fixed_dictionaries({"type": st.just(written)}, optional=optional)


def parallel(count: int) -> Specs:
    """Ways to spread a model over so many GPUs."""
    ways = [
        {"tensor": tensor, "pipeline": pipeline, "data": count // (tensor * pipeline)}
        for tensor in (1, 2, 4, 8)
        for pipeline in (1, 2, 4, 8)
        if count % (tensor * pipeline) == 0
    ]
    return st.sampled_from(ways).flatmap(
        lambda way: st.sampled_from([way, {**way, "expert": True}, {**way, "expert": False}])
    )


def arguments(table: FlagTable, leave: frozenset[str] = frozenset(), most: int = 3) -> Specs:
    """`args` of flags that the table has, each with a value that it says the flag takes."""
    free = [fact for fact in table.flags if is_free(table, fact) and fact.name not in leave]
    pairs = st.sampled_from(free).flatmap(
        lambda fact: st.tuples(st.sampled_from(spellings(fact)), values(fact))
    )
    return st.lists(pairs, max_size=most).map(dict)


def is_free(table: FlagTable, fact: FlagFact) -> bool:
    """Whether a person may say it in args."""
    known = fact.kind not in ("removed", "exits")
    return known and reserved(table.server, fact.spellings) is None


def spellings(fact: FlagFact) -> list[str]:
    return [fact.name, fact.name.replace("-", "_"), *(word.lstrip("-") for word in fact.aliases)]


def values(fact: FlagFact) -> SearchStrategy[Any]:
    """What the table says that the flag takes."""
    if fact.kind in ("switch", "boolean"):
        return st.booleans()
    if fact.kind == "json":
        return st.just({}) | st.just("{}")
    one = _one(fact)
    if fact.kind == "value":
        return one | st.just(True) if fact.bare else one
    return one | st.lists(one.filter(lambda item: not str(item).startswith("-")), min_size=1)


def _one(fact: FlagFact) -> SearchStrategy[Any]:
    if fact.choices:
        listed = st.sampled_from(fact.choices)
        return listed | st.booleans() if fact.turns else listed
    if fact.words:
        return st.sampled_from(fact.words) | INTEGERS
    if fact.type in ("int", "size"):
        return INTEGERS | INTEGERS.map(str)
    if fact.type in ("float", "number"):
        return FLOATS | st.integers(1, 8)
    return st.booleans() if fact.type == "bool" else WORDS
