"""What does a person read about a field that is wrong? The catalogue of sentences."""

# ruff: noqa: E501 - a sentence stands on one line, as its reader sees it
from __future__ import annotations

import pytest

from tests.spec.conftest import Says

CATALOGUE: dict[str, list[str]] = {
    "contxt: 8192": [
        "3:1 error spec/unknown-field: no such field; did you mean context?",
    ],
    "max_containers: 3": [
        "3:1 error spec/unknown-field: no such field; did you mean scaling.max?",
    ],
    "min_containers: 1": [
        "3:1 error spec/unknown-field: no such field; did you mean keep_warm?",
    ],
    "replicas: 2": [
        "3:1 error spec/unknown-field: no such field; did you mean keep_warm?",
    ],
    "gpus: [H100]": [
        "3:1 error spec/unknown-field: no such field; did you mean gpu?",
    ],
    "max_model_len: 8192": [
        "3:1 error spec/unknown-field: no such field; did you mean context?",
    ],
    "quant: fp8": [
        "3:1 error spec/unknown-field: no such field; did you mean quantization?",
    ],
    "tensor_parallel_size: 2": [
        "3:1 error spec/unknown-field: no such field; did you mean parallel.tensor?",
    ],
    "idle_timeout: 5m": [
        "3:1 error spec/unknown-field: no such field; did you mean scaling.idle_timeout?",
    ],
    "auth: none": [
        "3:1 error spec/unknown-field: no such field; did you mean endpoint.auth?",
    ],
    "keepWarm: 1": [
        "3:1 error spec/unknown-field: no such field; did you mean keep_warm?",
    ],
    "zzz: 1": [
        "3:1 error spec/unknown-field: no such field | modelctl schema lists all of them",
    ],
    "scaling: {keep_warm: 1}": [
        "3:11 error spec/unknown-field: no such field; did you mean keep_warm, beside scaling?",
    ],
    "scaling: {maxx: 1}": [
        "3:11 error spec/unknown-field: no such field; did you mean max?",
    ],
    "scaling: {idle: 1m}": [
        "3:11 error spec/unknown-field: no such field in scaling | there are max, buffer, idle_timeout, scaleup_window",
    ],
    "scaling: {target: 3}": [
        "3:11 error spec/unknown-field: no such field; did you mean concurrency.target?",
    ],
    "gpu: [{type: H100, dtype: auto}]": [
        "3:20 error spec/unknown-field: no such field; did you mean dtype, beside gpu?",
    ],
    "gpu: [{typ: H100}]": [
        "3:8 error spec/unknown-field: no such field; did you mean type?",
    ],
    "endpoint: {apikey: x}": [
        "3:12 error spec/unknown-field: no such field; did you mean api_key?",
    ],
    "concurrency: {limit: 3}": [
        "3:15 error spec/unknown-field: no such field in concurrency | there are target, max",
    ],
    "environments: {prod: {name: b}}": [
        "3:23 error spec/unknown-field: no such field; did you mean name at the top of the spec?",
    ],
    "environments: {prod: {contxt: 5}}": [
        "3:23 error spec/unknown-field: no such field; did you mean context?",
    ],
    "environments: {prod: {max_replicas: 5}}": [
        "3:23 error spec/unknown-field: no such field; did you mean scaling.max?",
    ],
    "environments: {Prod: {context: 5}}": [
        "3:16 error spec/name: an environment name has lower-case letters only, so that it can be part of a URL | write prod",
    ],
    "context: text": [
        "3:10 error spec/type: context wants a whole number of tokens; this is text",
    ],
    "context: 32k": [
        "3:10 error spec/type: context wants a whole number of tokens; this is text | write 32768",
    ],
    'context: "32768"': [
        "3:10 error spec/type: context wants a whole number of tokens; this is text | take the quotes away",
    ],
    "context: 1e30": [
        "3:10 error spec/type: context wants a whole number of tokens; this is the number 1e30 | write a smaller number",
    ],
    'context: "9999999999999999999"': [
        "3:10 error spec/type: context wants a whole number of tokens; this is text | write a smaller number",
    ],
    "context: 9999999999999999m": [
        "3:10 error spec/type: context wants a whole number of tokens; this is text | write a smaller number",
    ],
    "context: 0": [
        "3:10 error spec/value: context is 1 or more; this is 0",
    ],
    "context: 1.5": [
        "3:10 error spec/type: context wants a whole number of tokens; this is the number 1.5",
    ],
    "context: 32768.0": [
        "3:10 error spec/type: context wants a whole number of tokens; 32768.0 is the number 32768 | write 32768",
    ],
    "context: [1]": [
        "3:10 error spec/type: context wants a whole number of tokens; this is a list",
    ],
    "context: {a: 1}": [
        "3:10 error spec/type: context wants a whole number of tokens; this is a mapping",
    ],
    "context: true": [
        "3:10 error spec/type: context wants a whole number of tokens; this is true",
    ],
    "keep_warm: -1": [
        "3:12 error spec/value: keep_warm is 0 or more; this is -1",
    ],
    "memory_utilization: 90": [
        "3:21 error spec/value: memory_utilization is at most 1; this is 90 | write 0.9 for 90 %",
    ],
    "memory_utilization: 0": [
        "3:21 error spec/value: memory_utilization is more than 0; this is 0",
    ],
    'memory_utilization: "90%"': [
        "3:21 error spec/type: memory_utilization wants a number; this is text | write 0.9",
    ],
    "cpu: many": [
        "3:6 error spec/type: cpu wants a number; this is text",
    ],
    "protect: no": [
        "3:10 error spec/type: protect wants true or false; no is text | write false",
    ],
    "protect: 1": [
        "3:10 error spec/type: protect wants true or false; this is the number 1",
    ],
    'protect: "true"': [
        "3:10 error spec/type: protect wants true or false; this is text | write true",
    ],
    "image: {python: 3.10}": [
        '3:17 error spec/type: image.python wants text; 3.10 is the number 3.1 | write "3.10"',
    ],
    "backend: {name: vllm, version: 0.32}": [
        '3:32 error spec/type: backend.version wants text; this is the number 0.32 | write "0.32"',
    ],
    "backend: vlm": [
        "3:10 error spec/value: backend.name is one of vllm, llama.cpp; did you mean vllm?",
    ],
    "backend: llamacpp": [
        "3:10 error spec/value: backend.name is one of vllm, llama.cpp; did you mean llama.cpp?",
    ],
    "backend: sglang": [
        "3:10 error spec/value: backend.name is one of vllm, llama.cpp; this is sglang",
    ],
    "backend: 5": [
        "3:10 error spec/value: backend.name is one of vllm, llama.cpp; this is the number 5",
    ],
    "backend: [vllm]": [
        "3:10 error spec/type: backend wants a mapping of fields; this is a list | its fields are name, version, server, args",
    ],
    "dtype: bf16": [
        "3:8 error spec/value: dtype is one of auto, bfloat16, float16, float32; did you mean bfloat16?",
    ],
    "adapters: {a: {rank: 0}}": [
        "3:1 error spec/unknown-field: no such field; did you mean model.adapters?",
    ],
    "snapshot: yes": [
        "3:11 error spec/value: snapshot is one of none, cpu, gpu; this is yes",
    ],
    "endpoint: {drain: 90}": [
        "3:19 error spec/value: endpoint.drain wants a duration with its unit; this is the number 90 | write 90s for seconds, or 90m for minutes",
    ],
    "endpoint: {drain: 5 minutes}": [
        "3:19 error spec/value: endpoint.drain wants a duration with its unit; 5 minutes is none | write 5m",
    ],
    "endpoint: {drain: 1h30m}": [
        "3:19 error spec/value: endpoint.drain wants a duration with its unit; 1h30m is none | write 90m",
    ],
    "endpoint: {drain: soon}": [
        "3:19 error spec/value: endpoint.drain wants a duration with its unit; soon is none | write 90s, 5m or 2h",
    ],
    "endpoint: {drain: [1]}": [
        "3:19 error spec/value: endpoint.drain wants a duration with its unit; this is a list | write 90s, 5m or 2h",
    ],
    "memory: 16": [
        "3:9 error spec/value: memory wants a size with its unit; this is the number 16 | write 16GiB for gigabytes",
    ],
    "memory: 32768": [
        "3:9 error spec/value: memory wants a size with its unit; this is the number 32768 | write 32768MiB for megabytes",
    ],
    "memory: 16gb": [
        "3:9 error spec/value: memory wants a size with its unit; 16gb is none | write 16GiB",
    ],
    "memory: 16 gigs": [
        "3:9 error spec/value: memory wants a size with its unit; 16 gigs is none | write 16GiB",
    ],
    "scaling: 5": [
        "3:10 error spec/type: scaling wants a mapping of fields; this is the number 5 | its fields are max, buffer, idle_timeout, scaleup_window",
    ],
    "scaling: [1]": [
        "3:10 error spec/type: scaling wants a mapping of fields; this is a list | its fields are max, buffer, idle_timeout, scaleup_window",
    ],
    "labels: [a]": [
        "3:9 error spec/type: labels wants a mapping of names to values; this is a list | write labels: {name: value}",
    ],
    "labels: {team: 5}": [
        '3:16 error spec/type: labels.team wants text; this is the number 5 | write "5"',
    ],
    "env: {A: 1, B: true, C: 1.10, D: [x], E: {x: y}}": [
        '3:10 error spec/type: env.A wants text; this is the number 1 | write "1"',
        '3:16 error spec/type: env.B wants text; this is true | write "true"',
        '3:25 error spec/type: env.C wants text; 1.10 is the number 1.1 | write "1.10"',
        "3:34 error spec/type: env.D wants one text; this is a list | write one value, without brackets or dashes",
        "3:42 error spec/type: env.E wants text; this is a mapping",
        '3:46 warning yaml/ambiguous: y is text here, and true to readers of YAML 1.1 | write "y" for the text, or true',
    ],
    "gpu: [H100:x]": [
        "3:7 error spec/value: x is not a count of GPUs | write H100:2 for two of them",
    ],
    "gpu: [H100:]": [
        "3:11 error yaml/syntax: a colon cannot stand here | a value that holds a colon is written in quotes",
    ],
    "gpu: [H100:0]": [
        "3:7 error spec/value: gpu[0].count is 1 or more; this is 0",
    ],
    'gpu: [{type: "H100:2", count: 4}]': [
        "3:14 error spec/value: the count is said twice: after the colon and as count | write type: H100",
    ],
    "gpu: [H100, null]": [
        "3:13 error spec/type: gpu[1] has no value | write one, or leave the entry out",
    ],
    "gpu: 4": [
        '3:6 error spec/type: gpu[0].type wants text; this is the number 4 | write "4"',
    ],
    "gpu: [[H100]]": [
        "3:7 error spec/type: gpu[0] wants a mapping of fields; this is a list | its fields are type, count, context, kv_cache, memory_utilization, max_sequences, …",
    ],
    "image: {packages: numpy}": [
        "3:19 error spec/type: image.packages wants a list; this is text | write [numpy]",
    ],
    "secrets: {hf: {a: b}}": [
        "3:15 error spec/type: secrets.hf wants a list; this is a mapping | write [a, b]",
    ],
    "secrets: [1, 2]": [
        "3:10 error spec/type: secrets wants a mapping of names to values; this is a list | write secrets: [name], or {name: [KEY]}",
    ],
    "secrets: [hf, {a: b}]": [
        "3:10 error spec/type: secrets wants a mapping of names to values; this is a list | write secrets: [name], or {name: [KEY]}",
    ],
    "volumes: [data]": [
        "3:10 error spec/type: volumes wants a mapping of names to values; this is a list | write volumes: {/data: name}",
    ],
    "volumes: {/data: 5}": [
        '3:18 error spec/type: volumes./data.name wants text; this is the number 5 | write "5"',
    ],
    "backend: {args: {hf-overrides: {a: [b]}}}": [],
    "backend: {args: {seed: [1, [2]]}}": [
        "3:24 error spec/type: backend.args.seed wants a number, a text, true, false, a list of these, or a mapping; this is a list",
    ],
    "backend: {args: [--seed, 7]}": [
        "3:17 error spec/type: backend.args wants a mapping of names to values; this is a list | write args: {seed: 7}",
    ],
    "checks: {c: {messages: [{role: bot, content: x}]}}": [
        "3:32 error spec/value: checks.c.messages[0].role is one of system, user, assistant; this is bot",
    ],
    "metrics: off": [
        "3:10 error spec/value: metrics.interval wants a duration with its unit; off is none | "
        "metrics: {enabled: false} for no lines, or write 90s, 5m or 2h"
    ],
    "checks: {c: {expect: {json: name}}}": [
        "3:29 error spec/type: checks.c.expect.json wants a list; this is text | write [name]",
    ],
    "checks: hi": [
        "3:9 error spec/type: checks wants a mapping of names to values; this is text | write checks: {name: {prompt: a question}}",
    ],
    "allow: {fit/too-large: {until: 2027-01-31}}": [],
    "allow: {fit/too-large: {until: soon}}": [
        "3:32 error spec/value: allow.fit/too-large.until wants a day | write it as 2027-01-31"
    ],
    "allow: {fit/too-large: {until: 2027-1-31}}": [
        "3:32 error spec/value: allow.fit/too-large.until wants a day | write it as 2027-01-31"
    ],
    "buckets: {/data: {bucket: a, endpoint: https://x.r2.cloudflarestorage.com}}": [],
    'buckets: {/data: {bucket: a, endpoint: ""}}': [
        "3:40 error spec/value: buckets./data.endpoint wants an address | write it as https://HOST"
    ],
    "buckets: {/data: {bucket: a, endpoint: minio:9000}}": [
        "3:40 error spec/value: buckets./data.endpoint wants an address | write it as https://HOST"
    ],
    "rollout: {strategy: blue-green}": [
        "3:21 error spec/value: rollout.strategy is one of rolling, recreate; this is blue-green",
    ],
    "only: 5": [
        '3:7 error spec/type: only[0] wants text; this is the number 5 | write "5"',
    ],
    "renamed_from: -x": [
        "3:15 error spec/name: a name does not begin with a dash: it would be read as an option | write x",
    ],
    "apiVersion: v1": [
        "3:13 error spec/value: apiVersion is modelctl/v1; this is v1",
    ],
    "budget: {usd_per_hour: 0}": [
        "3:24 error spec/value: budget.usd_per_hour is more than 0; this is 0",
    ],
    "speculative: {tokens: 0}": [
        "3:23 error spec/value: speculative.tokens is 1 or more; this is 0",
    ],
    "parallel: 2": [
        "3:11 error spec/type: parallel wants a mapping of fields; this is the number 2 | its fields are tensor, pipeline, data, expert",
    ],
    "env: {HF_TOKEN: [hf_abcdefghijklmnopqrstuvwxyz]}": [
        "3:17 error spec/type: env.HF_TOKEN wants one text; this is a list | write one value, without brackets or dashes",
    ],
    "dtype: hf_abcdefghijklmnopqrstuvwxyz": [
        "3:8 error spec/value: dtype is one of auto, bfloat16, float16, float32; this is hf_••••••••••••••••••••••••••",
    ],
    "hf_abcdefghijklmnopqrstuvwxyz: 1": [
        "3:1 error spec/unknown-field: no such field | modelctl schema lists all of them",
    ],
    'dtype: "a very long text that goes on and on and on until nobody wants to read it any more"': [
        "3:8 error spec/value: dtype is one of auto, bfloat16, float16, float32; this is a very long text that goes on and on an…",
    ],
}
"""A line of a spec, its third, and what is said about it."""


@pytest.mark.parametrize("field", CATALOGUE)
def test_field(says_of: Says, field: str) -> None:
    assert says_of(field + "\n") == CATALOGUE[field]
