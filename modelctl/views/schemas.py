"""What may a program count on in each JSON output? A JSON Schema, with words for each field.

A later version may add fields; it takes none away and changes none without another `format`.
"""

from __future__ import annotations

from collections.abc import Mapping

from modelctl.apply import Failure
from modelctl.apply import Result as Ended
from modelctl.diagnostics import Severity
from modelctl.plan import Action
from modelctl.views.findings import MARKS
from modelctl.views.machine import FORMAT
from modelctl.views.schema_words import (
    Schema,
    list_of,
    maybe,
    number,
    object_of,
    one_of,
    ref,
    text,
    texts,
    whole,
    yes,
)

DIALECT = "https://json-schema.org/draft/2020-12/schema"


_PAID = yes(
    "Whether it is on Modal's bill; false: it runs here and costs nothing, and the figures say "
    "what it would cost on Modal."
)
_ENVIRONMENT = text("What Modal calls the environment; with --base its name in the project.")
_VERSION = maybe(whole("Modal's number of the version that lives; null where none does."))
_URL = maybe(text("Where its endpoint is, without /v1."))
_ANY: Schema = {"description": "The value in the spec's own words; null: nothing was, or is, said."}

_DIAGNOSTIC = object_of(
    {
        "severity": one_of(tuple(Severity), "How much it matters."),
        "code": text("The stable code: modelctl explain CODE says more."),
        "message": text("The sentence."),
        "hint": text('The way out, or "".'),
        "detail": text('The arithmetic behind it, or "".'),
        "file": maybe(text("The file, relative to the working folder; null: no file's fault.")),
        "line": maybe(whole("Counts from 1.")),
        "column": maybe(whole("Counts from 1, in characters.")),
        "path": text("The field in the spec's own words: gpu[1]."),
        "environments": texts("Where it shows; empty: in all that were checked."),
    },
    "One problem.",
)
_HOLD = object_of(
    {
        "keeps": one_of(("version", "scaling"), "What apply leaves as it is."),
        "who": text("Who holds it."),
        "why": text("The reason that was given."),
        "at": text("Since when, ISO 8601 in UTC."),
        "until": maybe(text("Until when; null: until released.")),
        "did": text("What was done by hand."),
    },
    "What a person did by hand, and apply leaves.",
)
_FIELD = object_of(
    {"path": text("The field."), "before": _ANY, "after": _ANY},
    "A field of the spec that changes.",
)
_LIMITS = object_of(
    {
        "usd_per_hour": maybe(number("What keep-warm may cost an hour.")),
        "usd_per_month": maybe(number("What keep-warm may cost a month.")),
        "usd_per_hour_at_max": maybe(number("What every container at once may cost an hour.")),
    },
    "What may be spent, USD; null: no limit.",
)
_SPREAD = object_of(
    {
        "value": number("On the first GPU of each list."),
        "low": number("On the cheapest of each list."),
        "high": number("On the dearest of each list."),
    },
    "USD an hour.",
)
_ESTIMATE = object_of(
    {
        "value": number("The estimate."),
        "low": number("Its lower end."),
        "high": number("Its upper end."),
    },
    "An estimate with its ends.",
)
_CHANGE = object_of(
    {
        "name": text("The app's name."),
        "action": one_of(tuple(Action), "What apply does to it."),
        "does": one_of(tuple(Action), "The same; of drift, what brings the app back."),
        "reasons": texts("Why."),
        "impact": texts("What it means to those who use the app."),
        "hold": maybe(ref("hold")),
        "fields": list_of(ref("field"), "What changes in the spec."),
        "cost": object_of(
            {
                "usd_per_hour_before": maybe(number("Null: not recorded.")),
                "usd_per_hour_after": maybe(number("Null: no price is known.")),
                "usd_per_hour_on_dearest": maybe(number("After, on the dearest GPU of the list.")),
                "usd_per_hour_at_max": maybe(
                    number("With every container that may run; null: there is no max.")
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
    "changes": list_of(ref("change"), "Every app that was looked at, also the unchanged ones."),
    "summary": object_of(
        {action.value: whole(f"How many apps: {action.value}.") for action in Action},
        "How many apps have each action.",
    ),
    "cost": object_of(
        {
            "paid": _PAID,
            "prices": text("Whose prices these are."),
            "usd_per_hour_before": maybe(number("Null: not recorded of every app.")),
            "usd_per_hour_after": number("What keep-warm of all apps costs after it."),
            "usd_per_month_after": number("The same for 730 hours."),
            "usd_per_hour_of_other_apps": number("The part of apps that are not in this plan."),
            "usd_per_hour_at_max": maybe(
                number("With every container that may run, of apps with a max; null: none has one.")
            ),
            "apps_without_max": list_of(text("An app."), "Whose containers nothing limits."),
            "budget": ref("limits"),
        },
        "What keep-warm of all apps costs, USD.",
    ),
    "denied": texts("What would cost more than may be spent; then nothing is applied."),
    "notes": texts("What is to be known before the changes are read: what was not compared."),
    "diagnostics": list_of(
        ref("diagnostic"),
        "Warnings of the specs, and what they name and the environment does not have.",
    ),
}
_OUTCOME = object_of(
    {
        "name": text("The app's name."),
        "action": one_of(tuple(Action), "What was to be done to it."),
        "result": one_of(tuple(Ended), "How it ended."),
        "version": _VERSION,
        "tried": maybe(whole("The version that failed, where another one lives.")),
        "failure": maybe(text(f"Why it failed: {', '.join(Failure)}.")),
        "needs_person": yes("Whether nothing serves that should."),
        "url": _URL,
        "detail": text("The sentence."),
        "lines": texts("The log lines that matter."),
        "seconds": number("How long it took."),
    },
    "What became of one app.",
)
_ROW = object_of(
    {
        "name": text("The app's name."),
        "sync": text(
            "Against its spec: in sync, out of date, drifted, held, blocked, foreign, "
            "not deployed, not proven, no spec, spec is wrong, not known."
        ),
        "health": text("healthy, asleep, starting, waiting …, HTTP status, no answer, or -."),
        "live": text("Containers now, of least and most, and what they got: 1 of 1..4 H100."),
        "version": _VERSION,
        "url": _URL,
        "gpus": texts("What it asks for."),
        "container_ids": texts("Modal's names of its containers."),
        "again": maybe(whole("The version whose text the live one is, where it came back.")),
        "commit": text('Of the specs that it was deployed from; "" where nobody knows.'),
        "usd_per_hour": maybe(number("What runs now costs; null: no price is known.")),
        "waiting_for": text('What is not free, or "".'),
        "waiting_since": maybe(text("Since when, ISO 8601.")),
        "reasons": texts("Why it is not in sync."),
        "hold": maybe(ref("hold")),
    },
    "One app.",
)
_BILL = object_of(
    {
        "environment": text("Its name in the project."),
        "paid": _PAID,
        "prices": text("Whose prices these are."),
        "keep_warm_usd_per_hour": ref("spread", "What is kept warm."),
        "at_max_usd_per_hour": ref("spread", "Every container that may run."),
        "no_max": texts("Specs without scaling.max, which the second leaves out."),
        "no_price": texts("Specs on a GPU without a price, which both leave out."),
        "budget": ref("limits"),
    },
    "What all specs of an environment cost together, USD.",
)
_FIT_ROW = object_of(
    {
        "key": text("The entry of the list: L40S:2."),
        "gpu": maybe(text("The GPU; null: the CPU.")),
        "count": whole("How many of it."),
        "verdict": one_of(("fits", "may fit", "does not fit", "unknown"), "Whether it fits."),
        "reason": text("Why, where it is not known or does not fit."),
        "measured": yes("Whether a boot that worked stands behind it."),
        "boot": maybe(text("Which boot.")),
        "usable_gib": maybe(number("Memory that an engine may use, of one GPU.")),
        "budget_gib": maybe(number("What the engine takes of it.")),
        "weights_gib": maybe(ref("estimate")),
        "kv_gib": maybe(ref("estimate")),
        "other_gib": {
            "type": "object",
            "description": "What else fills it, by name.",
            "additionalProperties": maybe(ref("estimate")),
        },
        "kv_tokens": maybe(ref("estimate", "Tokens that the cache holds.")),
        "max_sequences": maybe(ref("estimate", "Requests of the whole context at once.")),
        "max_sequences_typical": maybe(ref("estimate", "Requests of usual length at once.")),
        "largest_context": maybe(whole("The longest request that fits.")),
        "tokens_per_second": object_of(
            {
                "predicted": ref("estimate"),
                "bound": maybe(number("What the memory's bandwidth allows.")),
                "single": ref("estimate", "Of one request alone."),
                "requests": number("At so many requests at once."),
                "prompt_tokens": whole("Of each."),
                "output_tokens": whole("Of each."),
            },
            "Output of all requests together.",
        ),
        "usd_per_hour": maybe(number("One container; null: no price is known.")),
        "usd_per_million_tokens": maybe(number("Of output, at that speed.")),
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
_ENDS = object_of(
    {"low": number("On the cheapest GPU."), "high": number("On the dearest.")}, "USD an hour."
)
_SPENT = object_of(
    {
        "name": text("The app's name."),
        "usd": number("What it did cost, by Modal's own bill."),
        "planned_usd": maybe(
            number("What keep_warm costs as plan says it, while it lived; null: nobody knows.")
        ),
        "warm_usd_per_hour": maybe(number("What plan says that keep_warm costs.")),
        "hours": maybe(number("How long it lived in the span; null: nobody knows.")),
        "note": text('Why there is no plan, or what is not as planned; "" for nothing.'),
    },
    "One app.",
)
_SPENDING = object_of(
    {
        "environment": text('Its name in the project; "" for none.'),
        "where": text("The same in words."),
        "paid": _PAID,
        "not_asked": maybe(text("Why there are no figures; null: there are.")),
        "usd": number("What this project's apps did cost together."),
        "others_usd": number("What other apps did cost there."),
        "apps": list_of(ref("spent"), "The project's apps that lived or were billed."),
    },
    "One environment.",
)
_FINDING = object_of(
    {
        "area": text("What it is about: this machine, project, Modal, Hugging Face."),
        "state": one_of(tuple(MARKS), "missing: something does not work without it."),
        "message": text("The sentence."),
        "hint": text('The way out, or "".'),
    },
    "What was found.",
)
_STOPPED = object_of(
    {
        "format": {"const": FORMAT},
        "environment": text('As the command line and the project say it; "" for none.'),
        "exit_code": whole("What the command exits with."),
        "error": maybe(
            object_of(
                {"message": text("The sentence."), "hint": text('The way out, or "".')},
                "Why; null where the diagnostics say it.",
            )
        ),
        "diagnostics": list_of(ref("diagnostic"), "What is wrong with the specs."),
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
    "spent": _SPENT,
    "spending": _SPENDING,
    "finding": _FINDING,
}
_MAIN: Mapping[str, Mapping[str, Schema]] = {
    "validate": {
        "diagnostics": list_of(ref("diagnostic"), "Every problem of every spec."),
        "cost": list_of(ref("bill"), "An environment each."),
    },
    "fit": {
        "name": text("The spec's name."),
        "model": text("Its model."),
        "environment": text("As --env says it."),
        "context": maybe(whole("Tokens of one request.")),
        "rows": list_of(ref("row"), "A GPU of the list each."),
        "ways": texts("What could be done instead."),
        "cheapest": maybe(
            object_of({"gpu": text("The entry."), "usd_per_hour": number("USD.")}, "That fits.")
        ),
        "break_even": maybe(
            number("The share of an hour that is busy from which one warm is cheaper.")
        ),
        "boot_seconds_assumed": maybe(number("What that is computed with.")),
        "prices": text("Whose prices these are."),
        "keep_warm_usd_per_hour": maybe(_ENDS),
        "at_max_usd_per_hour": maybe(_ENDS),
    },
    "plan": _PLAN,
    "apply": {**_PLAN, "outcomes": list_of(ref("outcome"), "An app each; empty: nothing to do.")},
    "status": {
        "environment": text("What Modal calls it."),
        "paid": _PAID,
        "apps": list_of(ref("app"), "Every app of the project, and every spec."),
    },
    "history": {
        "name": text("The app's name."),
        "environment": text("What Modal calls it."),
        "hold": maybe(ref("hold")),
        "events": list_of(
            object_of(
                {
                    "at": text('ISO 8601 in UTC; "" where nobody knows.'),
                    "who": text("Who did it."),
                    "commit": text("Of the specs."),
                    "did": text("What."),
                    "version": maybe(whole("That it made; null: none.")),
                    "is": maybe(whole("Whose text it is, where that is an earlier one.")),
                    "lives": yes("Whether it is what lives."),
                    "result": text("How it ended."),
                    "why": text("The reason."),
                    "fields": list_of(ref("field"), "What changed in the spec."),
                }
            ),
            "The newest first.",
        ),
    },
    "weights": {
        "weights": list_of(
            object_of(
                {
                    "source": text("The model."),
                    "commit": text("Its commit."),
                    "path": text("Where it lies in the Volume."),
                    "files": whole("How many."),
                    "bytes": whole("How large they are together."),
                    "complete": yes("Whether all of it is there."),
                    "changed_at": text("ISO 8601."),
                    "apps": texts("Whose live or earlier versions need it."),
                    "named": yes("Whether a spec names it."),
                }
            ),
            "A folder of the Volume each.",
        )
    },
    "cost": {
        "since": text("When the span begins, ISO 8601 in UTC."),
        "until": text("When it ends."),
        "environments": list_of(ref("spending"), "Those that were meant."),
    },
    "doctor": {
        "ready": yes("Whether nothing is missing."),
        "findings": list_of(ref("finding"), "In the order in which they are read."),
    },
}
_DIFFERENCE = object_of(
    {
        "format": {"const": FORMAT},
        "name": text("The app's name."),
        "from": whole("The one version."),
        "to": whole("The other."),
        "fields": list_of(ref("field"), "What differs in their specs."),
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
    main = object_of({**first, **_MAIN[command]})
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
