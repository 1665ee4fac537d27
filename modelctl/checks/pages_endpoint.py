"""What do the codes mean that speak of an endpoint, its container and the project?"""

from __future__ import annotations

from collections.abc import Mapping

PAGES: Mapping[str, str] = {
    "allow/no-date": (
        "`until` is the last day of a pardon, written 2027-01-31. With a day that no month has, as "
        "2027-02-30, nobody knows when the pardon ends."
    ),
    "allow/no-reason": (
        "A diagnostic may be allowed, but not silently: whoever reads the spec next year must see "
        "why. Give `reason`, and `until` if it is for a time only."
    ),
    "allow/unknown-code": (
        "A pardon is for one code, as a diagnostic shows it: `allow: {endpoint/auth-none: a "
        "gateway is in front}`. No diagnostic has this one, so nothing is allowed by it. A code "
        "that a newer version of modelctl no longer has can be taken out."
    ),
    "args/looks-like-a-secret": (
        "`args` stand in the rendered file, on the engine's command line, in the plan and in git. "
        "What is named like a secret, or begins as known tokens do, belongs into a Modal Secret. "
        "The value is shown nowhere, not even in this diagnostic."
    ),
    "budget/at-max": (
        "`budget.usd_per_hour_at_max` limits what the endpoint costs when every container that it "
        "may have is running, on the first GPU of the list. It needs scaling.max, since without "
        "one there is no most."
    ),
    "budget/keep-warm": (
        "`budget.usd_per_hour` and `usd_per_month` (730 hours) limit what the containers cost that "
        "keep_warm keeps running, on the first GPU of the list, with the cores and memory asked "
        "for, at Modal's list prices or, where a command is given `--prices workspace`, the "
        "workspace's own."
    ),
    "budget/may-exceed": (
        "What keep_warm costs is counted with the first GPU of the list, which is what Modal tries "
        "first. Where none of it is free, containers run on a later one, and the budget would not "
        "be kept then."
    ),
    "checks/no-question": (
        "A check asks the model its `prompt` or its `messages`. With neither, there is nothing to "
        "ask, and a new version could not pass."
    ),
    "checks/pattern": (
        "`matches` is a regular expression in Python's syntax, searched for in the answer. What is "
        "none would only be seen after a whole start of the engine, as a failed one."
    ),
    "checks/task": "The gate's checks are chat requests; embeddings and rankings have no words.",
    "concurrency/of-entry": (
        "Modal has one hard limit an endpoint, whichever GPU a container got. How many requests "
        "the engine runs at once may differ: max_sequences of that entry."
    ),
    "concurrency/target-above-max": (
        "The autoscaler aims at `target` requests a container; above `max` a container answers "
        "429. A target that is never reached never adds a container, and Modal refuses it."
    ),
    "concurrency/target-above-sequences": (
        "The autoscaler adds containers when more than `target` requests are in one. Where the "
        "engine runs fewer at once, the rest wait in it although another container would help."
    ),
    "context/of-entry": (
        "Clients see one limit whatever GPU answers them, and it must be the smallest: a request "
        "that is longer works on one container and fails on the next."
    ),
    "endpoint/api-key": (
        "With auth: api-key the engine asks for a key, which it gets from a Modal Secret. Name the "
        "Secret and the key inside it; the value stays in Modal."
    ),
    "endpoint/api-key-unused": (
        "An api_key is only asked for with auth: api-key. Modal's proxy token (auth: proxy) uses "
        "the same header, so that there can be only one of the two."
    ),
    "endpoint/auth-none": (
        "The URL can be guessed from the workspace's and the app's name, and each request may "
        "start a GPU that you pay for. Where it is meant (a gateway of your own in front), allow "
        "it with a reason."
    ),
    "endpoint/cloud": (
        "Modal's client takes any word for a cloud, and a container that asks for one that Modal "
        "has not waits for ever."
    ),
    "endpoint/region": "A server's URL is in one region: its name is part of the address.",
    "endpoint/region-price": (
        "Modal multiplies the price of GPU, cores and memory where containers may not run "
        "anywhere: for an area (us), and more for a part of one (us-east). Where a policy asks for "
        "regions this is not said."
    ),
    "endpoint/unknown-region": (
        "Modal's client takes any word for a region, and a container that asks for one that Modal "
        "has not waits for ever. The list is not complete: allow what is known to be right."
    ),
    "env/engine-setting": (
        "llama-server reads flags from variables too. What is set there is seen by no rule, and "
        "loses against the command line, where modelctl writes its own."
    ),
    "env/looks-like-a-secret": (
        "`env` stands in the rendered file, in the plan and in git. What is named like a secret, "
        "or begins as known tokens do, belongs into a Modal Secret, which `secrets` names. The "
        "value is shown nowhere, not even in this diagnostic."
    ),
    "env/name": (
        "Variables have letters, digits and underscores. Those that begin with MODELCTL_ are how "
        "a container is told its port and folders."
    ),
    "env/not-read": (
        "The engine reads no variable of this name: it was renamed or removed, or is another "
        "engine's. It would change nothing, without a word."
    ),
    "env/replaces": (
        "A variable of a container takes the place of the image's own. These hold what engine and "
        "CUDA are found by, and an engine that is not found is seen only when a GPU is paid for."
    ),
    "env/value": "The operating system ends a variable at a zero byte: no container would start.",
    "image/base": (
        "`image.base` is what stands behind FROM: registry, repository and tag. Anything else "
        "would be read as another instruction."
    ),
    "image/build-context": (
        "A generated app stands alone: it carries the Dockerfile's text and no folder beside it, "
        "so that the same bytes are deployed from any machine. Files come from another image or "
        "stage (COPY --from), from the network, from a here-document, or with a base image."
    ),
    "image/dockerfile": (
        "The Dockerfile's text becomes part of the app. The file must be in the project, UTF-8, at "
        "most 256 KiB, and begin with an image."
    ),
    "image/install": (
        "`official` is the engine's own image, `pip` a build of its package. llama-server is no "
        "Python package, and llama-cpp-python has no image of its own with CUDA."
    ),
    "image/moving-base": (
        "Modal builds an image once and keeps it under its text. A tag that moves makes two "
        "workspaces differ, and a rebuild bring something that nobody has tried."
    ),
    "image/python": (
        "Modal adds a Python of one of these series to an image that has none. Patch versions are "
        "Modal's own."
    ),
    "image/second-python": (
        "vLLM is installed in its image's own Python. A second one would come first on the PATH, "
        "and get what `packages` names, where vLLM does not look."
    ),
    "image/secret-stages": (
        "Modal uses the Secret of a private registry for a Dockerfile with one FROM only, and "
        "refuses the others."
    ),
    "image/two-beginnings": (
        "An image begins with the engine's own, with `base`, or with a `dockerfile`. "
        "`install: pip` puts the engine onto any of them."
    ),
    "image/words": (
        "Each entry of `packages`, `apt` and `run` is one requirement, one Debian package, one "
        "command; options and several lines would become something else in the image's text."
    ),
    "labels/invalid-tag": (
        "Labels become tags of the Modal App, so that cost can be allocated by them. Modal's tags "
        "have 1 to 63 characters of A-Z a-z 0-9 . _ - in key and value."
    ),
    "labels/reserved": "modelctl-project and modelctl-digest are how modelctl knows its own apps.",
    "metrics/interval": "No lines are asked for with `enabled: false`; an interval has a length.",
    "mounts/bucket": (
        "A bucket is named as its own tools name it: s3://name, gs://name or r2://name, with a "
        "part of it behind the name or in `prefix`."
    ),
    "mounts/endpoint": (
        "Amazon's and Google's buckets are found by their names. Those of Cloudflare R2 and of "
        "other services with the same protocol are found at an address."
    ),
    "mounts/name": "A mount needs the name of what is mounted.",
    "mounts/object-name": "Modal's client refuses other names of Volumes and Secrets at deploy.",
    "mounts/path": "A mount path is absolute and inside the container.",
    "mounts/same-path": "One path of a container shows one Volume or bucket.",
    "mounts/taken": "/models holds the weights, /cache what engines keep between starts.",
    "mounts/volume-twice": "Modal refuses to mount one Volume at two paths of a container.",
    "name/reserved": (
        "modelctl deploys an app of this name itself, and would take one for the other."
    ),
    "policy/auth": "The project's policy says how endpoints may be protected.",
    "policy/budget": (
        "A policy's `budget` says what all specs of an environment may cost together, on the first "
        "GPU of each list. A spec that exceeds it alone is told so; where only all of them do, the "
        "policy's own line is shown. A plan of some of the specs counts the other apps of the "
        "project too, as they were recorded. What has no price, or no most, is not within it."
    ),
    "policy/gpu": "The project's policy says which GPUs may be used.",
    "policy/image": (
        "The project's policy says which images may be used, as patterns: vllm/vllm-openai:*"
    ),
    "policy/region": (
        "The project's policy says where containers and routing may be. Without compute_regions "
        "Modal is free to choose, so they must be said."
    ),
    "resources/too-much": (
        "A container gets the cores, memory and disk of one host. Modal refuses what no host has "
        "when it is deployed, and waits without end for what none has free."
    ),
    "rules/unknown-code": (
        "`rules` in modelctl.yaml gives one code its severity, or turns it off: `rules: "
        "{endpoint/auth-none: error}`. No diagnostic has this one, so that what was meant to be "
        "stricter is not. A code that a newer version no longer has can be taken out."
    ),
    "rollout/renamed": (
        "With `renamed_from` an app takes the place of one of another name: it is created, and "
        "when it serves the old one is deleted. Under its own name there is nothing to take over."
    ),
    "rollout/wave": (
        "Waves are declared for an environment in modelctl.yaml, as label selectors "
        "(`tier=canary`) or as names that specs say in `rollout.wave`. An app that no wave names "
        "comes last."
    ),
    "scaling/keep-warm-above-max": "Modal refuses more kept-warm containers than it may run.",
    "scaling/startup-timeout": (
        "A start ends when its time is over, and begins again: a container that needs longer to "
        "read its weights never serves, and is paid for all the time. The speeds are those at "
        "which Modal's Volumes are read."
    ),
    "scaling/window": "Modal takes these durations only within bounds.",
    "secrets/in-the-open": (
        "A spec stands in git, and most of it in the rendered file and in the plan. What begins as "
        "known tokens do, or is a password in an address, belongs into a Modal Secret. The value "
        "is shown nowhere, not even in this diagnostic."
    ),
    "secrets/missing": (
        "Values never stand in a spec, so a Secret is made by a person, with Modal's own command, "
        "in the same Modal environment. `plan` and `apply` ask once which there are, and apply "
        "begins nothing while one is missing; `validate` asks nobody. Of an app that is not "
        "deployed anew it is a warning: containers that run go on, new ones do not start. So is "
        "the one that only fetches weights, which may be in their Volume already. Which keys a "
        "Secret has, Modal tells nobody: of `secrets: {name: [KEY]}` Modal compares them at the "
        "deploy, which fails and names those that are missing, before any container starts."
    ),
    "volumes/missing": (
        "A Volume that a spec mounts or serves a model from is made by a person; those of the "
        "weights and of modelctl's own records are made by apply. Asked for as Secrets are."
    ),
}
