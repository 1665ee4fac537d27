"""What may a program count on in each JSON output? A JSON Schema, with words for each field.

A later version may add fields; it takes none away and changes none without another `format`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelctl.apply import Failure
from modelctl.apply import Result as Ended
from modelctl.diagnostics import Severity
from modelctl.plan import Action
from modelctl.views.machine import FORMAT

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def _text(says: str) -> Schema:
    return {"type": "string", "description": says}


def _maybe(what: Schema) -> Schema:
    """The same, or null."""
    if "type" in what:
        return {**what, "type": [what["type"], "null"]}
    said = {key: what[key] for key in ("description",) if key in what}
    return {**said, "anyOf": [what, {"type": "null"}]}


def _number(says: str) -> Schema:
    return {"type": "number", "description": says}


def _whole(says: str) -> Schema:
    return {"type": "integer", "description": says}


def _yes(says: str) -> Schema:
    return {"type": "boolean", "description": says}


def _one_of(words: tuple[str, ...], says: str) -> Schema:
    return {"enum": list(words), "description": says}


def _list(items: Schema, says: str) -> Schema:
    return {"type": "array", "items": items, "description": says}


def _texts(says: str) -> Schema:
    return _list({"type": "string"}, says)


def _object(fields: Mapping[str, Schema], says: str = "", optional: tuple[str, ...] = ()) -> Schema:
    """Every field is there, but for the `optional` ones."""
    return {
        "type": "object",
        **({"description": says} if says else {}),
        "properties": dict(fields),
        "required": [name for name in fields if name not in optional],
    }


def _ref(name: str, says: str = "") -> Schema:
    return {"$ref": f"#/$defs/{name}", **({"description": says} if says else {})}


_PAID = _yes(
    "Whether it is on Modal's bill; false: it runs here and costs nothing, and the figures say "
    "what it would cost on Modal."
)
_ENVIRONMENT = _text("What Modal calls the environment; with --base its name in the project.")
_VERSION = _maybe(_whole("Modal's number of the version that lives; null where none does."))
_URL = _maybe(_text("Where its endpoint is, without /v1."))
_ANY: Schema = {"description": "The value in the spec's own words; null: nothing was, or is, said."}

_DIAGNOSTIC = _object(
    {
        "severity": _one_of(tuple(Severity), "How much it matters."),
        "code": _text("The stable code: modelctl explain CODE says more."),
        "message": _text("The sentence."),
        "hint": _text('The way out, or "".'),
        "detail": _text('The arithmetic behind it, or "".'),
        "file": _maybe(_text("The file, relative to the working folder; null: no file's fault.")),
        "line": _maybe(_whole("Counts from 1.")),
        "column": _maybe(_whole("Counts from 1, in characters.")),
        "path": _text("The field in the spec's own words: gpu[1]."),
        "environments": _texts("Where it shows; empty: in all that were checked."),
    },
    "One problem.",
)
_HOLD = _object(
    {
        "keeps": _one_of(("version", "scaling"), "What apply leaves as it is."),
        "who": _text("Who holds it."),
        "why": _text("The reason that was given."),
        "at": _text("Since when, ISO 8601 in UTC."),
        "until": _maybe(_text("Until when; null: until released.")),
        "did": _text("What was done by hand."),
    },
    "What a person did by hand, and apply leaves.",
)
_FIELD = _object(
    {"path": _text("The field."), "before": _ANY, "after": _ANY},
    "A field of the spec that changes.",
)
_LIMITS = _object(
    {
        "usd_per_hour": _maybe(_number("What keep-warm may cost an hour.")),
        "usd_per_month": _maybe(_number("What keep-warm may cost a month.")),
        "usd_per_hour_at_max": _maybe(_number("What every container at once may cost an hour.")),
    },
    "What may be spent, USD; null: no limit.",
)
_SPREAD = _object(
    {
        "value": _number("On the first GPU of each list."),
        "low": _number("On the cheapest of each list."),
        "high": _number("On the dearest of each list."),
    },
    "USD an hour.",
)
_ESTIMATE = _object(
    {
        "value": _number("The estimate."),
        "low": _number("Its lower end."),
        "high": _number("Its upper end."),
    },
    "An estimate with its ends.",
)
_CHANGE = _object(
    {
        "name": _text("The app's name."),
        "action": _one_of(tuple(Action), "What apply does to it."),
        "does": _one_of(tuple(Action), "The same; of drift, what brings the app back."),
        "reasons": _texts("Why."),
        "impact": _texts("What it means to those who use the app."),
        "hold": _maybe(_ref("hold")),
        "fields": _list(_ref("field"), "What changes in the spec."),
        "cost": _object(
            {
                "usd_per_hour_before": _maybe(_number("Null: not recorded.")),
                "usd_per_hour_after": _maybe(_number("Null: no price is known.")),
                "usd_per_hour_on_dearest": _maybe(
                    _number("After, on the dearest GPU of the list.")
                ),
                "usd_per_hour_at_max": _maybe(
                    _number("With every container that may run; null: there is no max.")
                ),
            },
            "What keep-warm costs, on the first GPU of the list.",
        ),
        "version": _VERSION,
        "url": _URL,
    },
    "An app, and what apply does to it.",
)
_PLAN: Mapping[str, Schema] = {
    "environment": _ENVIRONMENT,
    "changes": _list(_ref("change"), "Every app that was looked at, also the unchanged ones."),
    "summary": _object(
        {action.value: _whole(f"How many apps: {action.value}.") for action in Action},
        "How many apps have each action.",
    ),
    "cost": _object(
        {
            "paid": _PAID,
            "prices": _text("Whose prices these are."),
            "usd_per_hour_before": _maybe(_number("Null: not recorded of every app.")),
            "usd_per_hour_after": _number("What keep-warm of all apps costs after it."),
            "usd_per_month_after": _number("The same for 730 hours."),
            "usd_per_hour_of_other_apps": _number("The part of apps that are not in this plan."),
            "usd_per_hour_at_max": _number("With every container that may run."),
            "budget": _ref("limits"),
        },
        "What keep-warm of all apps costs, USD.",
    ),
    "denied": _texts("What would cost more than may be spent; then nothing is applied."),
    "notes": _texts("What is to be known before the changes are read: what was not compared."),
    "diagnostics": _list(
        _ref("diagnostic"),
        "Warnings of the specs, and what they name and the environment does not have.",
    ),
}
_OUTCOME = _object(
    {
        "name": _text("The app's name."),
        "action": _one_of(tuple(Action), "What was to be done to it."),
        "result": _one_of(tuple(Ended), "How it ended."),
        "version": _VERSION,
        "tried": _maybe(_whole("The version that failed, where another one lives.")),
        "failure": _maybe(_text(f"Why it failed: {', '.join(Failure)}.")),
        "needs_person": _yes("Whether nothing serves that should."),
        "url": _URL,
        "detail": _text("The sentence."),
        "lines": _texts("The log lines that matter."),
        "seconds": _number("How long it took."),
    },
    "What became of one app.",
)
_ROW = _object(
    {
        "name": _text("The app's name."),
        "sync": _text(
            "Against its spec: in sync, out of date, drifted, held, blocked, foreign, "
            "not deployed, not proven, no spec, spec is wrong, not known."
        ),
        "health": _text("healthy, asleep, starting, waiting …, HTTP status, no answer, or -."),
        "live": _text("Containers now, of least and most, and what they got: 1 of 1..4 H100."),
        "version": _VERSION,
        "url": _URL,
        "gpus": _texts("What it asks for."),
        "container_ids": _texts("Modal's names of its containers."),
        "again": _maybe(_whole("The version whose text the live one is, where it came back.")),
        "commit": _text('Of the specs that it was deployed from; "" where nobody knows.'),
        "usd_per_hour": _maybe(_number("What runs now costs; null: no price is known.")),
        "waiting_for": _text('What is not free, or "".'),
        "waiting_since": _maybe(_text("Since when, ISO 8601.")),
        "reasons": _texts("Why it is not in sync."),
        "hold": _maybe(_ref("hold")),
    },
    "One app.",
)
_BILL = _object(
    {
        "environment": _text("Its name in the project."),
        "paid": _PAID,
        "prices": _text("Whose prices these are."),
        "keep_warm_usd_per_hour": _ref("spread", "What is kept warm."),
        "at_max_usd_per_hour": _ref("spread", "Every container that may run."),
        "no_max": _texts("Specs without scaling.max, which the second leaves out."),
        "no_price": _texts("Specs on a GPU without a price, which both leave out."),
        "budget": _ref("limits"),
    },
    "What all specs of an environment cost together, USD.",
)
_FIT_ROW = _object(
    {
        "key": _text("The entry of the list: L40S:2."),
        "gpu": _maybe(_text("The GPU; null: the CPU.")),
        "count": _whole("How many of it."),
        "verdict": _one_of(("fits", "may fit", "does not fit", "unknown"), "Whether it fits."),
        "reason": _text("Why, where it is not known or does not fit."),
        "measured": _yes("Whether a boot that worked stands behind it."),
        "boot": _maybe(_text("Which boot.")),
        "usable_gib": _maybe(_number("Memory that an engine may use, of one GPU.")),
        "budget_gib": _maybe(_number("What the engine takes of it.")),
        "weights_gib": _maybe(_ref("estimate")),
        "kv_gib": _maybe(_ref("estimate")),
        "other_gib": {
            "type": "object",
            "description": "What else fills it, by name.",
            "additionalProperties": _maybe(_ref("estimate")),
        },
        "kv_tokens": _maybe(_ref("estimate", "Tokens that the cache holds.")),
        "max_sequences": _maybe(_ref("estimate", "Requests of the whole context at once.")),
        "max_sequences_typical": _maybe(_ref("estimate", "Requests of usual length at once.")),
        "largest_context": _maybe(_whole("The longest request that fits.")),
        "tokens_per_second": _object(
            {
                "predicted": _ref("estimate"),
                "bound": _maybe(_number("What the memory's bandwidth allows.")),
                "single": _ref("estimate", "Of one request alone."),
                "requests": _number("At so many requests at once."),
                "prompt_tokens": _whole("Of each."),
                "output_tokens": _whole("Of each."),
            },
            "Output of all requests together.",
        ),
        "usd_per_hour": _maybe(_number("One container; null: no price is known.")),
        "usd_per_million_tokens": _maybe(_number("Of output, at that speed.")),
    },
    "A GPU of the list.",
    optional=(
        "measured",
        "boot",
        "usable_gib",
        "budget_gib",
        "other_gib",
        "max_sequences_typical",
        "largest_context",
        "tokens_per_second",
    ),
)
_ENDS = _object(
    {"low": _number("On the cheapest GPU."), "high": _number("On the dearest.")}, "USD an hour."
)
_STOPPED = _object(
    {
        "format": {"const": FORMAT},
        "environment": _text('As the command line and the project say it; "" for none.'),
        "exit_code": _whole("What the command exits with."),
        "error": _maybe(
            _object(
                {"message": _text("The sentence."), "hint": _text('The way out, or "".')},
                "Why; null where the diagnostics say it.",
            )
        ),
        "diagnostics": _list(_ref("diagnostic"), "What is wrong with the specs."),
    },
    "The command could not go on: instead of what it is asked for.",
)

_DEFS: Mapping[str, Schema] = {
    "diagnostic": _DIAGNOSTIC,
    "hold": _HOLD,
    "field": _FIELD,
    "limits": _LIMITS,
    "spread": _SPREAD,
    "estimate": _ESTIMATE,
    "change": _CHANGE,
    "outcome": _OUTCOME,
    "app": _ROW,
    "bill": _BILL,
    "row": _FIT_ROW,
}
_MAIN: Mapping[str, Mapping[str, Schema]] = {
    "validate": {
        "diagnostics": _list(_ref("diagnostic"), "Every problem of every spec."),
        "cost": _list(_ref("bill"), "An environment each."),
    },
    "fit": {
        "name": _text("The spec's name."),
        "model": _text("Its model."),
        "environment": _text("As --env says it."),
        "context": _maybe(_whole("Tokens of one request.")),
        "rows": _list(_ref("row"), "A GPU of the list each."),
        "ways": _texts("What could be done instead."),
        "cheapest": _maybe(
            _object({"gpu": _text("The entry."), "usd_per_hour": _number("USD.")}, "That fits.")
        ),
        "break_even": _maybe(
            _number("The share of an hour that is busy from which one warm is cheaper.")
        ),
        "boot_seconds_assumed": _maybe(_number("What that is computed with.")),
        "prices": _text("Whose prices these are."),
        "keep_warm_usd_per_hour": _maybe(_ENDS),
        "at_max_usd_per_hour": _maybe(_ENDS),
    },
    "plan": _PLAN,
    "apply": {**_PLAN, "outcomes": _list(_ref("outcome"), "An app each; empty: nothing to do.")},
    "status": {
        "environment": _text("What Modal calls it."),
        "paid": _PAID,
        "apps": _list(_ref("app"), "Every app of the project, and every spec."),
    },
    "history": {
        "name": _text("The app's name."),
        "environment": _text("What Modal calls it."),
        "hold": _maybe(_ref("hold")),
        "events": _list(
            _object(
                {
                    "at": _text('ISO 8601 in UTC; "" where nobody knows.'),
                    "who": _text("Who did it."),
                    "commit": _text("Of the specs."),
                    "did": _text("What."),
                    "version": _maybe(_whole("That it made; null: none.")),
                    "is": _maybe(_whole("Whose text it is, where that is an earlier one.")),
                    "lives": _yes("Whether it is what lives."),
                    "result": _text("How it ended."),
                    "why": _text("The reason."),
                    "fields": _list(_ref("field"), "What changed in the spec."),
                }
            ),
            "The newest first.",
        ),
    },
    "weights": {
        "weights": _list(
            _object(
                {
                    "source": _text("The model."),
                    "commit": _text("Its commit."),
                    "path": _text("Where it lies in the Volume."),
                    "files": _whole("How many."),
                    "bytes": _whole("How large they are together."),
                    "complete": _yes("Whether all of it is there."),
                    "changed_at": _text("ISO 8601."),
                    "apps": _texts("Whose live or earlier versions need it."),
                    "named": _yes("Whether a spec names it."),
                }
            ),
            "A folder of the Volume each.",
        )
    },
}
_DIFFERENCE = _object(
    {
        "format": {"const": FORMAT},
        "name": _text("The app's name."),
        "from": _whole("The one version."),
        "to": _whole("The other."),
        "fields": _list(_ref("field"), "What differs in their specs."),
    },
    "What --diff prints.",
)
_OTHERWISE: Mapping[str, tuple[Schema, ...]] = {
    "validate": (_STOPPED,),
    "plan": (_STOPPED,),
    "apply": (_STOPPED,),
    "status": (_STOPPED,),
    "history": (_DIFFERENCE,),
}

COMMANDS = tuple(_MAIN)


def schema_of(command: str) -> Schema:
    """The schema of what the command prints with --output json."""
    first = {"format": {"const": FORMAT, "description": "The version of this format."}}
    main = _object({**first, **_MAIN[command]})
    others = _OTHERWISE.get(command, ())
    body: Schema = {"anyOf": [main, *others]} if others else main
    used = _used(body)
    return {
        "$schema": DIALECT,
        "title": f"modelctl {command} --output json",
        **body,
        "$defs": {name: schema for name, schema in _DEFS.items() if name in used},
    }


def _used(schema: object) -> set[str]:
    """The definitions that a schema needs, those of its definitions included."""
    if isinstance(schema, Mapping):
        found = {name for value in schema.values() for name in _used(value)}
        if isinstance(ref := schema.get("$ref"), str):
            name = ref.removeprefix("#/$defs/")
            found |= {name} | _used(_DEFS[name])
        return found
    if isinstance(schema, list):
        return {name for item in schema for name in _used(item)}
    return set()
