"""What does a code mean? One paragraph each: why it is said, and what to do."""

from __future__ import annotations

from collections.abc import Mapping

CATALOGUE: Mapping[str, str] = {
    "allow/no-date": (
        "`until` is the last day of a pardon, written 2027-01-31. What cannot be read as a date "
        "ends never, which is seldom what was meant."
    ),
    "allow/no-reason": (
        "A diagnostic may be allowed, but not silently: whoever reads the spec next year must see "
        "why. Give `reason`, and `until` if it is for a time only."
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
        "for, at the prices of the fact tables."
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
    "context/of-entry": (
        "Clients see one limit whatever GPU answers them, and it must be the smallest: a request "
        "that is longer works on one container and fails on the next."
    ),
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
    "endpoint/api-key": (
        "With auth: api-key the engine asks for a key, which it gets from a Modal Secret. Name the "
        "Secret and the key inside it; the value stays in Modal."
    ),
    "endpoint/api-key-unused": (
        "An api_key is only asked for with auth: api-key. Modal's proxy token (auth: proxy) uses "
        "the same header, so that there can be only one of the two."
    ),
    "endpoint/cloud": (
        "Modal's client takes any word for a cloud, and a container that asks for one that Modal "
        "has not waits for ever."
    ),
    "endpoint/region": "A server's URL is in one region: its name is part of the address.",
    "endpoint/auth-none": (
        "The URL can be guessed from the workspace's and the app's name, and each request may "
        "start a GPU that you pay for. Where it is meant (a gateway of your own in front), allow "
        "it with a reason."
    ),
    "endpoint/region-price": (
        "Modal multiplies the price of GPU, cores and memory where containers may not run "
        "anywhere: for an area (us), and more for a part of one (us-east). Where a policy asks for "
        "regions this is not said."
    ),
    "endpoint/unknown-region": (
        "Modal's client takes any word for a region, and a container that asks for one that Modal "
        "has not waits for ever. The list is not complete: allow what is known to be right."
    ),
    "engine/adapters-mix": (
        "llama-server keeps what it computed of a prompt and uses it again for the next one that "
        "begins alike. It looks at the adapters only where a request names some, so a plain "
        "request after an adapted one gets a mixture. With adapters nothing is kept, unless "
        "prefix_caching: true asks for it."
    ),
    "engine/always-adapted": (
        "llama-cpp-python's server loads one adapter and puts it on every answer. llama-server "
        "loads any number and answers without one, until a request asks: `lora: [{id: 0, scale: "
        "1}]`, where ids follow the order of the spec."
    ),
    "engine/one-at-a-time": (
        "llama-cpp-python's server has one lock: requests are answered whole, one after another. "
        "With a larger target the autoscaler adds containers late, and clients wait."
    ),
    "engine/flag-value": (
        "The flag exists and takes another kind of value: each version's list says whether it is a "
        "switch, takes one value or several, a number or a text, or one of a few words. "
        "Mappings are written as JSON, for flags that take it."
    ),
    "engine/quantization": (
        "`quantization` is what the file is, or one that the engine can apply while it loads. "
        "llama.cpp serves a file as it is: auto says so."
    ),
    "engine/adapter-rank": (
        "vLLM reserves room for adapters up to a rank, and refuses one of a larger rank. The rank "
        "stands in the adapter's adapter_config.json; modelctl lock reads it there."
    ),
    "engine/missing-package": (
        "What the spec asks for needs a Python package that the engine's image is not known to "
        "have: the start would fail."
    ),
    "engine/removed-flag": (
        "Engines rename and drop flags, and refuse to start with one that they do not know. The "
        "tables know which version lost which flag, and what replaced it."
    ),
    "engine/reserved-flag": (
        "Some flags hold the deployment together (address, model, key) or have a field that is "
        "checked against the GPU and the model. The field says it once, for both engines."
    ),
    "engine/short-flag": (
        "`args` takes a flag's long name without dashes, so that a reader and the tables know "
        "which one is meant. `batch-size: 512` becomes --batch-size 512, `true` a bare flag, "
        "`false` its --no- form, a list several values, and a mapping JSON."
    ),
    "engine/unknown-flag": (
        "The list of the version's own flags has none of that name, and an engine refuses to start "
        "with one that it does not know. Underscores mean dashes, and short and other spellings "
        "that the engine has are known; a short form of one's own is not."
    ),
    "engine/unknown-version": (
        "This version is not in the tables of this modelctl. It is deployed as it is named, from "
        "the image tag that follows from it, but its flags are not checked."
    ),
    "engine/unlisted-flag": (
        "The engine itself decides about this flag when it starts: nothing here knows it, neither "
        "as right nor as wrong."
    ),
    "engine/unsupported-field": (
        "The engine has nothing that this field could be turned into. It is an error rather than "
        "ignored: a spec must not say what is not so."
    ),
    "engine/wrong-format": (
        "llama.cpp reads GGUF files, vLLM reads safetensors (GGUF left it in 0.24). The backend "
        "and the model do not go together."
    ),
    "engine/wrong-option": (
        "The field exists for this engine, its value does not. The hint lists those that do."
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
    "env/not-read": (
        "The engine reads no variable of this name: it was renamed or removed, or is another "
        "engine's. It would change nothing, without a word."
    ),
    "env/replaces": (
        "A variable of a container takes the place of the image's own. These hold what engine and "
        "CUDA are found by, and an engine that is not found is seen only when a GPU is paid for."
    ),
    "env/name": (
        "Variables have letters, digits and underscores. Those that begin with MODELCTL_ are how "
        "a container is told its port and folders."
    ),
    "env/value": "The operating system ends a variable at a zero byte: no container would start.",
    "gpu/ambiguous": (
        "A100 without a size is the 40 GB one to Modal, and many mean the other. modelctl always "
        "writes the size into the app; write it into the spec too."
    ),
    "gpu/count": "A container gets GPUs of one host: up to 8, of an A10 up to 4.",
    "gpu/duplicate": (
        "The list is an order of fallbacks. The same GPU in the same number cannot be tried twice, "
        "and what the second entry says (a context, say) could never be told from the first's."
    ),
    "gpu/kv-cache": (
        "Types of KV cache need a GPU that can compute with them: the first attention kernels that "
        "take fp8 run from compute capability 8.0 on. vLLM refuses to start on others."
    ),
    "gpu/missing": (
        "vLLM's official image is built for CUDA. Without a GPU it ends as soon as it starts."
    ),
    "gpu/no-bfloat16": (
        "bfloat16 needs compute capability 8.0. vLLM takes float16 instead, whose largest number "
        "is 65,504, and answers may differ, or be nonsense; models that it refuses in float16 run "
        "in float32 and take twice the memory."
    ),
    "gpu/none-in-list": (
        "Modal waits for one of the GPUs in the list, for ever if need be; it does not fall back "
        "to a CPU. gpu: none alone asks for a CPU."
    ),
    "gpu/not-native": (
        "The GPU cannot multiply in this format. vLLM keeps the weights in it and widens them "
        "before it computes (Marlin): they take as little memory, and no less time than at 16 bit."
    ),
    "gpu/quantization": (
        "Each method has a smallest compute capability, below which vLLM refuses to start: the "
        "kernels are not there."
    ),
    "gpu/unknown": (
        "Modal's client takes any string for a GPU, and the app then waits for one that does not "
        "exist. The tables hold what Modal documents."
    ),
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
    "hub/no-access": (
        "The Hub has the repository, but not for everybody: its terms have to be accepted, or it "
        "is private. `modelctl lock` reads with HF_TOKEN; the app that fetches the files for a "
        "deployment takes it from the Modal Secret that model.secret names."
    ),
    "hub/not-found": (
        "The Hub knows no such repository or revision, or shows it to nobody without the right "
        "token; it does not say which. See the address in a browser."
    ),
    "lock/unreadable": (
        "modelctl.lock is written by `modelctl lock` and read by everything else. It is JSON: "
        "after a merge with conflicts take either side and run `modelctl lock` again."
    ),
    "model/chat-template": (
        "The chat template's text becomes part of the app. The file must be in the project, UTF-8, "
        "and at most 256 KiB."
    ),
    "model/broken": (
        "Weights begin with a header that says how long the file has to be, and this one is "
        "shorter, or is no such file: half a download, a full disk, a Git LFS pointer. Engines "
        "refuse it after minutes; here only the header is read."
    ),
    "model/context": (
        "The model was made for less. vLLM refuses to start; llama.cpp answers nonsense beyond its "
        "length. Where args change what the model says of itself, such as hf-overrides or a rope "
        "flag, this is not checked."
    ),
    "model/endpoint": (
        "S3-compatible buckets that are not Amazon's or Google's are told apart by the host that "
        "serves them: for Cloudflare's R2 it has the account's id in it."
    ),
    "model/empty": "There is nothing to serve: a download was probably interrupted.",
    "model/malformed-revision": (
        "A revision names a commit of the Hub's repository, and git would take no branch or tag of "
        "this name. It is also part of the path that the files get."
    ),
    "model/malformed-source": "The source's form is right up to `://`, and what follows is not.",
    "model/no-source": "A spec is one model behind one URL; this one has no model.",
    "model/not-found": (
        "Paths in a spec start at the spec's own folder, wherever modelctl is called from."
    ),
    "model/not-gguf": (
        "The file's name ends in .gguf and its content is something else: often a Git LFS pointer, "
        "an error page, or the first half of a download."
    ),
    "model/outside-project": (
        "What is deployed must be the same from every checkout, so a local model lies in the "
        "project. Links that lead out of it count as outside."
    ),
    "model/no-secret": (
        "The Hub lists a gated or private repository's files and gives them only to a token. The "
        "app that fetches them takes HF_TOKEN from the Modal Secret that model.secret names: "
        "modal secret create huggingface HF_TOKEN=… makes one."
    ),
    "model/no-weights": (
        "Engines read safetensors or .bin files at the top of a folder, and an adapter's "
        "adapter_config.json beside them. A repository that has them in folders of their own, or "
        "only in another format, starts none: take one that was made for it, or convert it."
    ),
    "model/remote-code": (
        "trust_remote_code runs Python from the model's repository in your container. With a "
        "commit it is the code that somebody read; with a branch it is whatever is pushed next."
    ),
    "model/served-as": (
        "Clients send this name as `model`, and it goes through command lines and URLs unharmed "
        "only if it is made of letters, digits and a few signs. An adapter's name is one too."
    ),
    "model/unknown-source": "modelctl cannot fetch from there; the hint lists where it can.",
    "model/unlocked": (
        "What is not in modelctl.lock has no known size, context or format: fit and context are "
        "not checked. Without a commit it also changes by itself, between one container and the "
        "next."
    ),
    "model/unreadable": "The disk refused; usually the file belongs to somebody else.",
    "model/which-file": (
        "llama.cpp is given one GGUF file (or the first of its numbered parts). A folder or a "
        "repository with several leaves open which: model.file is a glob that only one matches."
    ),
    "model/unused": (
        "A field that this kind of source has no use for. It is an error rather than ignored: a "
        "spec must not say what is not so."
    ),
    "later/project": (
        "The field is part of the project file, and this version does nothing with it: it is said "
        "so that nobody relies on it."
    ),
    "later/renamed": (
        "An app of the new name is created beside the old one, which has no spec any more: plan "
        "shows it as one to delete."
    ),
    "later/rollout": (
        "The field is part of the spec, and this version does nothing with it: it is said so that "
        "nobody relies on it."
    ),
    "mounts/bucket": (
        "A bucket is named as its own tools name it: s3://name, gs://name or r2://name, with a "
        "part of it behind the name or in `prefix`."
    ),
    "mounts/endpoint": (
        "Amazon's and Google's buckets are found by their names. Those of Cloudflare R2 and of "
        "other services with the same protocol are found at an address."
    ),
    "metrics/interval": "No lines are asked for with `enabled: false`; an interval has a length.",
    "mounts/object-name": "Modal's client refuses other names of Volumes and Secrets at deploy.",
    "mounts/name": "A mount needs the name of what is mounted.",
    "mounts/path": "A mount path is absolute and inside the container.",
    "mounts/same-path": "One path of a container shows one Volume or bucket.",
    "mounts/taken": "/models holds the weights, /cache what engines keep between starts.",
    "mounts/volume-twice": "Modal refuses to mount one Volume at two paths of a container.",
    "parallel/does-not-match-count": (
        "tensor × pipeline × data is how many GPUs the engine takes. More than the container has, "
        "and it does not start; fewer, and you pay for GPUs that idle."
    ),
    "parallel/heads": (
        "With tensor parallelism each GPU gets a part of the attention heads, of the KV heads (or "
        "a copy of one) and of the vocabulary, which vLLM pads to a multiple of 64. All parts must "
        "be equal. Pipeline parallelism shares out layers instead."
    ),
    "parallel/layers": "Each group of a pipeline has one layer at least.",
    "parallel/no-experts": "Expert parallelism puts the experts of a mixture on different GPUs.",
    "parallel/nodes": (
        "The hosts that serve one copy together must be whole ones, and the same number of copies "
        "must lie on each."
    ),
    "policy/auth": "The project's policy says how endpoints may be protected.",
    "policy/budget": (
        "The project's policy says what one endpoint may cost, at the prices of the fact tables. "
        "What has no price, or no most, is not within it."
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
    "snapshot/cpu-with-gpu": (
        "Modal takes a CPU snapshot before the container gets its GPU. An engine that needs one "
        "cannot have started by then: the snapshot holds Python and its imports, and the engine "
        "starts after each restore."
    ),
    "snapshot/gpu-without-gpu": "A GPU snapshot holds a GPU's memory, and here is no GPU.",
    "snapshot/hardware": (
        "A snapshot only comes back on the hardware that it was taken on. H100 may become an H200; "
        "H100! may not."
    ),
    "snapshot/multi-gpu": (
        "Bringing back the memory of several GPUs fails in NVIDIA's cuda-checkpoint. Such an app "
        "would start slower, or not at all."
    ),
    "snapshot/open-routes": (
        "Sleeping and waking need vLLM's development mode, whose other routes can change the "
        "weights and are not covered by an API key. Only Modal's proxy keeps strangers out."
    ),
}
