"""What do the codes mean that speak of a file's text, its fields and which specs are chosen?"""

from __future__ import annotations

from collections.abc import Mapping

PAGES: Mapping[str, str] = {
    "spec/duplicate-name": (
        "`name` is the Modal app's name, so two specs of one environment with the same name would "
        "take turns in replacing each other. Give one of them another, or say with `only: [prod]` "
        "and `only: [staging]` that they never meet."
    ),
    "spec/missing": (
        "Two things have no default: what the app is called and what it serves. The least spec is "
        "`name: qwen3-8b` and `model: hf://Qwen/Qwen3-8B`."
    ),
    "spec/name": (
        "A name becomes a part of a URL, a tag or a variable, and each takes some letters only: "
        "lower-case letters, digits and dashes for an app. `name: qwen3-8b` is one, `Qwen3_8B` is "
        "none; the hint has the nearest that is."
    ),
    "spec/none-chosen": (
        "The paths, names and labels of the command line mean no spec, or not the one that the "
        "command takes. `modelctl validate` without a word reads all of specs/; `-l team=search` "
        "chooses those with that label; `only` may keep a spec out of the environment of --env."
    ),
    "spec/not-found": (
        "A word of the command line is a path, or the name of a spec under specs/. Nothing is at "
        "that path and no spec has that name: `modelctl validate specs/a.yaml`, or "
        "`modelctl validate a`."
    ),
    "spec/selector": (
        "Labels are chosen as they are written, key=value: `-l team=search`. Several are joined "
        "with commas or given one after another, and a spec needs all of them."
    ),
    "spec/template-syntax": (
        "A spec is read as it stands: nothing replaces {{ … }} or ${…} in it, so the value would "
        "be those very characters. Write the value. What differs by environment goes under "
        "`environments: {prod: {keep_warm: 1}}`, and what is secret into a Modal Secret."
    ),
    "spec/type": (
        "The field takes another kind of value: a number where a text stands, a mapping where a "
        "list does. YAML reads `keep_warm: two` as a text, `keep_warm: 2` as a number; quotes make "
        'a text of anything: `env: {DEBUG: "1"}`.'
    ),
    "spec/undeclared-environment": (
        "Environments are declared in modelctl.yaml, so that a typing error makes no new one: "
        "`environments: {prod: {}, staging: {}}`. Those names can stand in a spec's `environments` "
        "and `only`, and after --env. `local` needs no declaration."
    ),
    "spec/unknown-field": (
        "Nothing reads a field of that name, so what it says would be lost. `did you mean` names "
        "the field where a similar one exists, also one that other tools call so: `max_model_len` "
        "is `context` here. A flag that has no field goes under "
        "`backend: {name: vllm, args: {seed: 7}}`."
    ),
    "spec/value": (
        "The value is of the right kind and not one that the field can have: a word that is not "
        "among its words, a number outside its bounds, a duration or a size without its unit. "
        "Durations are written `90s`, `5m` or `2h`, sizes `16GiB`. `modelctl schema` prints what "
        "every field takes."
    ),
    "yaml/alias-bomb": (
        "An alias (`*a`) stands for all that its anchor (`&a`) holds. A few of them inside each "
        "other grow past any memory, so they may stand for 5,000 values in all. Write out what is "
        "meant, or put what specs share under `defaults` in modelctl.yaml."
    ),
    "yaml/ambiguous": (
        "YAML 1.1 and 1.2 read such a word differently: `no` is false or a text, `0755` is 493 or "
        "755, `12:30` is 750 or a text. Quotes make a text of it for every reader, "
        '`env: {COUNTRY: "no"}`; true and false are written so.'
    ),
    "yaml/control-character": (
        "A character that no editor shows stands in the text, mostly copied along from elsewhere. "
        'Take it away; where it is meant, write it in double quotes as an escape: `"\\x07"`.'
    ),
    "yaml/duplicate-key": (
        "A key stands twice in one mapping. YAML readers keep the last and drop the first in "
        "silence, which is a lost line of a spec: keep one of them."
    ),
    "yaml/empty": (
        "The file holds nothing, or comments only. A spec begins with `name: qwen3-8b` and "
        "`model: hf://Qwen/Qwen3-8B`."
    ),
    "yaml/encoding": (
        "Specs are UTF-8 text. The file is in another encoding (UTF-16 from Windows, Latin-1), or "
        "no text at all: save it as UTF-8, or leave it out of specs/."
    ),
    "yaml/key": (
        "A key is a plain text: `context: 8192`. A list, a mapping or nothing before the colon "
        "cannot be a field's name."
    ),
    "yaml/merge-key": (
        "`<<: *base` copies one mapping into another, in some YAML readers and not in others. "
        "What several specs share goes under `defaults` in modelctl.yaml, what one engine's specs "
        "share under its `backends`."
    ),
    "yaml/not-a-mapping": (
        "A spec is a mapping of fields, one a line: `name: qwen3-8b`. A list, or a text alone, is "
        "none."
    ),
    "yaml/number": (
        "YAML reads this as a number, and it is one that cannot be kept as it is written: too "
        'many digits, infinite, or no number after all. Quotes make a text of it: `"1e999"`.'
    ),
    "yaml/recursive-alias": (
        "An alias stands inside its own anchor, `a: &a [*a]`, so it has no end. Write out what is "
        "meant."
    ),
    "yaml/several-documents": (
        "`---` begins another document, and one file is one spec. Put each into a file of its own: "
        "`modelctl validate` reads all files under specs/."
    ),
    "yaml/syntax": (
        "The text cannot be read as YAML. Most often a quote or a bracket is not closed, a colon "
        "has no space after it, or a line is indented by one space more than its neighbours. The "
        "caret stands where reading stopped, which may be a line after the mistake."
    ),
    "yaml/tab": (
        "YAML allows no tab before the text of a line. Indent with spaces, two a level; most "
        "editors do so when they know that a file is YAML."
    ),
    "yaml/tag": (
        "A tag such as `!!python/object` or `!Ref` asks the reader to make something else of a "
        "value, or to run code. Nothing in a spec is run. Take the tag away; quotes make a value a "
        "text."
    ),
    "yaml/too-deep": (
        "Brackets stand inside each other deeper than any field of a spec does. A file that was "
        "generated may have lost its closing brackets."
    ),
    "yaml/too-large": (
        "A spec has some dozens of lines, and files beyond 1 MB are not read. Long texts have "
        "files of their own: `chat_template: ./chat.jinja`, `image: {dockerfile: ./Dockerfile}`."
    ),
    "yaml/too-many": (
        "The file holds more values than any spec has, and was not read to its end. What is it? "
        "Only specs belong into specs/."
    ),
    "yaml/unreadable": (
        "The file is there and cannot be read: a folder, a pipe, or one that this user may not "
        "open. The sentence has the system's own word for it. A link below the project that leads "
        "out of it is not read either: on somebody else's branch it could show any file of this "
        "machine. A path outside that is typed on the command line is read."
    ),
}
