"""What does vLLM take beside weights and cache? Each part as an interval, in GiB of one GPU.

The sizes are from vLLM's profiling run; the factors are the table's, fitted to logged start-ups.
"""

from __future__ import annotations

from msgspec.structs import replace

from modelctl.facts import memory
from modelctl.fit.captured import graphs
from modelctl.fit.types import GIB, Interval, VllmInputs
from modelctl.fit.weights import local_kv_heads, parts_of
from modelctl.weights.config_scheme import PLAIN
from modelctl.weights.shape import Shape

_CONTEXT_FREE = ("ngram", "ngram_gpu", "suffix")
"""Drafts that have no weights."""
_FIRST_RUNNER = ("suffix", "medusa", "mlp_speculator", "custom_class")
"""Source: vllm/config/vllm.py, 0.32.0, _get_v2_model_runner_unsupported_features."""


def with_batch(inputs: VllmInputs, usable_gib: float, card: str) -> VllmInputs:
    """The same run, with what vLLM chooses for itself on that card filled in.

    Source: `_set_default_max_num_seqs_and_batched_tokens_args`, vllm/engine/arg_utils.py, 0.32.0.
    """
    usual = memory.batch(inputs.version, usable_gib, card)
    times = 2 if inputs.performance == "throughput" else 1
    sequences, tokens = inputs.sequences or times * usual.sequences, inputs.batched_tokens
    if tokens is None:
        whole = usual.whole_context or inputs.whole_prompts
        tokens = max(times * usual.tokens, inputs.context if whole else 0, inputs.whole_item)
        tokens = min(tokens, sequences * inputs.context)
    if inputs.sequences is None:
        sequences = min(sequences, tokens)
    return replace(inputs, sequences=sequences, batched_tokens=tokens, card=card)


def overhead(shape: Shape, inputs: VllmInputs) -> dict[str, Interval]:
    """Everything, by name. `inputs` must say sequences and tokens of a batch."""
    version, runner = inputs.version, runner_of(shape, inputs)
    gpus = inputs.tensor * inputs.pipeline * (inputs.data if shape.experts else 1)
    outside = memory.non_torch(version, runner, inputs.card, gpus)
    found = {
        "CUDA and communication": Interval(*outside),
        "activation": activation(shape, inputs),
    }
    if not inputs.eager:
        found["CUDA and communication"] += compiled(shape, inputs)
    if shape.vision and inputs.multimodal:
        found["encoder"] = encoder(shape, inputs, found["activation"])
    attends = set(shape.layers) != {"none"}
    if memory.graphs(version, runner).counted and attends and not inputs.eager:
        found["CUDA graphs"] = cuda_graphs(shape, inputs)
    if inputs.adapters:
        found["adapters"] = adapters(shape, inputs)
    ahead = inputs.draft
    if ahead and ahead.method not in _CONTEXT_FREE and not ahead.of_the_checkpoint:
        found["draft"] = draft(shape, inputs)
    return found


def runner_of(shape: Shape, inputs: VllmInputs) -> memory.Runner:
    """Which runner vLLM takes: the one that the environment asks for, else of itself.

    The second one lacks some ways of guessing ahead. Source: `use_v2_model_runner`,
    vllm/config/vllm.py, 0.32.0, which refuses a start that the runner asked for cannot do.
    """
    if inputs.runner is not None:
        return inputs.runner
    if inputs.draft is not None and inputs.draft.method in _FIRST_RUNNER:
        return "v1"
    attention_alone = shape.experts is None and shape.state is None
    return memory.runner(inputs.version, attention_alone and inputs.task == "generate")


def activation(shape: Shape, inputs: VllmInputs) -> Interval:
    """The peak of one step: the widest layer's intermediate values, or the sampler's."""
    row = memory.activation(inputs.version, runner_of(shape, inputs))
    peak = max(sampler(shape, inputs), widest(shape, inputs))
    if row.workspace:
        peak += mixture(shape, inputs)
    value = row.base + peak / GIB
    again = embeddings(shape, inputs)
    return Interval(max(value, again), value * row.low, max(value * row.high, again))


def widest(shape: Shape, inputs: VllmInputs) -> float:
    """Bytes of the widest layer's values, and its experts' where they keep no room of their own."""
    row = memory.activation(inputs.version, runner_of(shape, inputs))
    width = shape.intermediate / inputs.tensor
    layer = row.mlp * (inputs.batched_tokens or 0) * (3 * width + 2 * shape.hidden) * 2
    return layer + (0.0 if row.workspace else mixture(shape, inputs))


def sampler(shape: Shape, inputs: VllmInputs) -> float:
    """Bytes of choosing a token for every sequence, beside what the layers hand over."""
    row = memory.activation(inputs.version, runner_of(shape, inputs))
    outputs = (inputs.sequences or 0) if inputs.task == "generate" else 0
    handed = (inputs.batched_tokens or 0) * shape.hidden * 2
    return row.logits * outputs * shape.vocabulary * 4 + row.hidden * handed


def compiled(shape: Shape, inputs: VllmInputs) -> Interval:
    """What a run that is not eager leaves behind. Where it compiled a dense model of text, as much
    as the embeddings: expected if the head is tied to them or on some cards, else at most."""
    runner = runner_of(shape, inputs)
    text = memory.compiled_text(inputs.version, runner)
    if shape.experts or not _takes_its_table(shape, inputs) or text is None:
        return Interval(*memory.compiled(inputs.version, runner))
    again = embeddings(shape, inputs)
    # The layers of adapters have tables of their own.
    tied = shape.tied and not inputs.adapters
    kept = memory.compiling_keeps(inputs.version, runner, tied, inputs.card)
    return Interval(*text) + Interval(again if kept else 0.0, 0.0, again)


def embeddings(shape: Shape, inputs: VllmInputs) -> float:
    """GiB of the embeddings that a run that compiles copies at its peak, 0.0 where it does not.

    A start that finds what an earlier one compiled copies none.
    """
    compiles = memory.compiled_text(inputs.version, runner_of(shape, inputs)) is not None
    if inputs.compiled_before or not compiles or not _takes_its_table(shape, inputs):
        return 0.0
    width = 4 if inputs.dtype in ("float32", "float") else 2
    return width * shape.vocabulary * shape.hidden / inputs.tensor / GIB


def _takes_its_table(shape: Shape, inputs: VllmInputs) -> bool:
    """Whether what is compiled is given the embeddings' table: a model of text is, and one that may
    read no images; one that reads some is given vectors, as every Gemma 4 is. Of states there are
    no logs.
    """
    vectors = (shape.vision or shape.full_head_dim) and inputs.multimodal
    return not (inputs.eager or shape.state or vectors or inputs.task != "generate")


def encoder(shape: Shape, inputs: VllmInputs, text: Interval) -> Interval:
    """What reading the largest images takes beyond a step of `text`: they come one after the other.

    As many are read at once as a batch holds. The peak is in an MLP, which holds what came into the
    layer and into itself, what it widens (divided among GPUs) and what becomes of that, beside the
    patches in the type of the processor.
    """
    tower, known = shape.tower, None
    if tower is not None:
        known = memory.largest_picture(inputs.version, tower.kind)
    if tower is None or known is None:
        return Interval(*memory.encoder(inputs.version))
    patches = known.pixels * inputs.image_share / tower.patch**2
    patches *= pictures_at_once(patches / tower.merge**2, inputs)
    whole = patches * (3 * tower.width + 2 * tower.inner + 2 * tower.each) * 2 / GIB
    peak = whole - patches * 2 * tower.inner * (1 - 1 / inputs.tensor) * 2 / GIB
    value = max(0.0, peak - text.value)
    low, high = peak * known.low - text.low, whole * known.high - text.high
    return Interval(value, max(0.0, min(value, low)), max(value, high))


def pictures_at_once(tokens: float, inputs: VllmInputs) -> int:
    """Images of so many tokens that profiling reads at once.

    Source: `_get_max_items`, vllm/multimodal/encoder_budget.py, 0.32.0; no limit of a request is
    smaller, since vLLM's own is 999.
    """
    if tokens < 1:
        return 1
    budget = max(inputs.batched_tokens or 0, tokens)
    asked = (inputs.sequences or 1) * max(1, int(inputs.context // tokens))
    return max(1, min(int(budget // tokens), asked))


def mixture(shape: Shape, inputs: VllmInputs) -> float:
    """Bytes of the workspace in which each token's experts leave what they worked out."""
    experts = shape.experts
    if experts is None or _is_gpt_oss(shape):
        # Its kernels for MXFP4 have none.
        return 0.0
    width = experts.width / (inputs.tensor * inputs.data)
    if inputs.expert:
        width = experts.width
    widest = max(width, shape.hidden) + max(2 * width, shape.hidden)
    return (inputs.batched_tokens or 0) * experts.active * widest * 2


def cuda_graphs(shape: Shape, inputs: VllmInputs) -> Interval:
    row = memory.graphs(inputs.version, runner_of(shape, inputs))
    model = "gpt-oss" if _is_gpt_oss(shape) else ""
    count = graphs(inputs, memory.largest_graph(inputs.version, inputs.card, model))
    layers = len(shape.layers) / inputs.pipeline
    value = row.base + row.layer * layers * count / memory.full_set()
    return Interval(value, value * row.low, value * row.high)


def _is_gpt_oss(shape: Shape) -> bool:
    """Its experts are as wide as the model."""
    return shape.experts is not None and shape.experts.width == shape.hidden


def adapters(shape: Shape, inputs: VllmInputs) -> Interval:
    """Room for `adapters` at once: two thin matrices of the rank beside each projection, and beside
    the embeddings and the head.

    Source: vllm/lora/layers, 0.32.0: what a column-parallel layer reads is whole on each GPU, what
    it writes divided; a row-parallel one the other way round. The vocabulary is whole.
    """
    tensor, hidden = inputs.tensor, shape.hidden
    query = shape.heads * shape.head_dim / tensor
    keys = local_kv_heads(shape.kv_heads, tensor) * shape.head_dim
    width = shape.intermediate / tensor
    attention = 3 * hidden + query + 2 * keys + query + hidden
    mlp = (3 if shape.gated else 2) * (hidden + width)
    layers = len(shape.layers) - shape.layers.count("none")
    ends = (2 if inputs.task == "generate" else 1) * (shape.vocabulary + hidden)
    each = layers * (attention + mlp) + ends
    whole = each * inputs.adapter_rank * 2 * inputs.adapters / GIB
    experts = 0.0
    if shape.experts is not None:
        one = 3 * (hidden + shape.experts.width) * inputs.adapter_rank * 2 * inputs.adapters
        experts = shape.experts.layers * shape.experts.count * one / tensor / GIB
    return Interval(whole, whole * 0.5, whole * 1.25 + experts)


def draft(shape: Shape, inputs: VllmInputs) -> Interval:
    """The weights of what guesses ahead, and where nobody knows them, those of layers like ours."""
    wanted = inputs.draft
    assert wanted is not None
    if wanted.weights is not None:
        known = wanted.weights / GIB
        return Interval(known, known * 0.95, known * 1.1)
    layers = max(1, wanted.layers)
    parts = parts_of(shape, PLAIN, replace(inputs, dtype="auto"))
    one = (parts.layers + parts.experts) / max(1, len(shape.layers)) / GIB
    return Interval(one * layers, 0.0, one * layers * 1.5 + (parts.embedding + parts.head) / GIB)
