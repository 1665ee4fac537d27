"""What do the codes mean that speak of a model, its engine and its GPUs?"""

from __future__ import annotations

from collections.abc import Mapping

PAGES: Mapping[str, str] = {
    "engine/adapter-rank": (
        "vLLM reserves room for adapters up to a rank, and refuses one of a larger rank. The rank "
        "stands in the adapter's adapter_config.json; modelctl lock reads it there."
    ),
    "engine/no-pooling": (
        "A model gives a vector for each token, and pooling makes one of them. Models that were "
        "made for embeddings name theirs in the GGUF header. Of any other, and with pooling: none, "
        "llama-server answers /v1/embeddings with 400: Pooling type 'none' is not OAI compatible."
    ),
    "engine/no-text": (
        "BERT and its kin, and models that sentence-transformers made for vectors, cannot write: "
        "vLLM starts them for /v1/embeddings or /score, without a route for a chat, and "
        "llama-server answers each request with 500. task: generate is the default, so that such a "
        "model needs its own: `model: {source: hf://BAAI/bge-m3, task: embed}`, and rerank for a "
        "cross-encoder."
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
    "engine/flag-value": (
        "The flag exists and takes another kind of value: each version's list says whether it is a "
        "switch, takes one value or several, a number or a text, or one of a few words. Of vLLM's "
        "numbers the bounds of its configuration are known too. Mappings are written "
        "as JSON, for flags that take it."
    ),
    "engine/generate-only": (
        "A model that embeds or ranks writes no text: there are no tool calls, no reasoning and no "
        "tokens to guess. The engine ignores such a field, and who reads the spec is misled."
    ),
    "engine/missing-package": (
        "What the spec asks for needs a Python package that the engine's image is not known to "
        "have: the start would fail."
    ),
    "engine/one-at-a-time": (
        "llama-cpp-python's server has one lock: requests are answered whole, one after another. "
        "With a larger target the autoscaler adds containers late, and clients wait."
    ),
    "engine/quantization": (
        "`quantization` is what the file is, or one that the engine can apply while it loads. "
        "llama.cpp serves a file as it is: auto says so."
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
        "The field exists for this engine, its value does not, or not beside the others: an engine "
        "reads all of its flags before it starts, and refuses what they ask for together, of this "
        "model or on these GPUs. The hint says what it takes."
    ),
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
        "after a merge with conflicts take either side and run `modelctl lock` again. A link that "
        "leads out of the project is not read."
    ),
    "model/broken": (
        "Weights begin with a header that says how long the file has to be, and this one is "
        "shorter, or is no such file: half a download, a full disk, a Git LFS pointer. Engines "
        "refuse it after minutes; here only the header is read."
    ),
    "model/chat-template": (
        "The chat template's text becomes part of the app. The file must be in the project, UTF-8, "
        "and at most 256 KiB."
    ),
    "model/code-elsewhere": (
        "config.json can name code of another repository. That code is in no lock and is not "
        "fetched with the model, and a container asks the Hub for nothing: the start fails, "
        "unless vLLM has the architecture itself."
    ),
    "model/context": (
        "The model was made for less. vLLM refuses to start; llama.cpp answers nonsense beyond its "
        "length. Where args change what the model says of itself, such as hf-overrides or a rope "
        "flag, this is not checked."
    ),
    "model/empty": "There is nothing to serve: a download was probably interrupted.",
    "model/endpoint": (
        "S3-compatible buckets that are not Amazon's or Google's are told apart by the host that "
        "serves them: for Cloudflare's R2 it has the account's id in it."
    ),
    "model/malformed-revision": (
        "A revision names a commit of the Hub's repository, and git would take no branch or tag of "
        "this name. It is also part of the path that the files get."
    ),
    "model/malformed-source": "The source's form is right up to `://`, and what follows is not.",
    "model/no-secret": (
        "The Hub lists a gated or private repository's files and gives them only to a token. The "
        "app that fetches them takes HF_TOKEN from the Modal Secret that model.secret names: "
        "modal secret create huggingface HF_TOKEN=… makes one."
    ),
    "model/no-source": "A spec is one model behind one URL; this one has no model.",
    "model/no-weights": (
        "Engines read safetensors or .bin files at the top of a folder, and an adapter's "
        "adapter_config.json beside them. A repository that has them in folders of their own, or "
        "only in another format, starts none: take one that was made for it, or convert it."
    ),
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
    "model/remote-code": (
        "trust_remote_code runs Python from the model's repository in your container. With a "
        "commit it is the code that somebody read; with a branch it is whatever is pushed next."
    ),
    "model/served-as": (
        "Clients send this name as `model`, and it goes through command lines and URLs unharmed "
        "only if it is made of letters, digits and a few signs. An adapter's name is one too."
    ),
    "model/template-syntax": (
        "The template is read when vLLM starts, with Jinja and the tags that Transformers adds "
        "(break, continue, generation). A mistake in it is a server that answers no chat "
        "request."
    ),
    "model/unknown-source": "modelctl cannot fetch from there; the hint lists where it can.",
    "model/unlocked": (
        "What is not in modelctl.lock has no known size, context or format: fit and context are "
        "not checked. Without a commit it also changes by itself, between one container and the "
        "next."
    ),
    "model/unreadable": "The disk refused; usually the file belongs to somebody else.",
    "model/unused": (
        "A field that this kind of source has no use for. It is an error rather than ignored: a "
        "spec must not say what is not so."
    ),
    "model/which-file": (
        "llama.cpp is given one GGUF file (or the first of its numbered parts). A folder or a "
        "repository with several leaves open which: model.file is a glob that only one matches."
    ),
    "parallel/does-not-match-count": (
        "tensor × pipeline × data is how many GPUs the engine takes. More than the container has, "
        "and it does not start; fewer, and you pay for GPUs that idle."
    ),
    "parallel/heads": (
        "With tensor parallelism each GPU gets a part of the attention heads, of the KV heads (or "
        "a copy of one) and of the vocabulary, which vLLM pads to a multiple of 64. All parts must "
        "be equal. Weights in FP8 with a scale for each block are cut between blocks; those of "
        "experts within them too, into no less than 32 columns. Pipeline parallelism shares out "
        "layers instead."
    ),
    "parallel/layers": "Each group of a pipeline has one layer at least.",
    "parallel/no-experts": "Expert parallelism puts the experts of a mixture on different GPUs.",
    "parallel/nodes": (
        "The hosts that serve one copy together must be whole ones, and the same number of copies "
        "must lie on each."
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
