"""Does the page on engines name every flag that a field becomes?"""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import ROOT
from tests.engines.test_flags import VLLM, flags

PAGE = (ROOT / "docs" / "engines.md").read_text(encoding="utf-8")
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "context": st.just(4096),
    "dtype": st.just("float16"),
    "quantization": st.sampled_from(["fp8", "fp_quant"]),
    "kv_cache": st.just("fp8"),
    "max_sequences": st.just(8),
    "max_batched_tokens": st.just(2048),
    "memory_utilization": st.just(0.8),
    "prefix_caching": st.booleans(),
    "speculative": st.just({"method": "ngram"}),
    "multimodal": st.just({"image": 1}),
    "compile": st.just("fast-boot"),
    "snapshot": st.just("gpu"),
    "parallel": st.just({"tensor": 2, "pipeline": 2, "data": 2, "expert": True}),
    "nodes": st.just(2),
    "model": st.fixed_dictionaries(
        {"source": st.just("hf://a/b"), "task": st.sampled_from(["generate", "embed", "rerank"])},
        optional={
            "tokenizer": st.just("hf://c/d"),
            "trust_remote_code": st.just(True),
            "adapters": st.just({f"a{n}": {"source": f"hf://e/{n}"} for n in range(9)}),
        },
    ),
}


@given(st.fixed_dictionaries({}, optional=FIELDS))
@settings(max_examples=60)
def test_every_flag_of_vllm_is_on_the_page(fields: dict[str, Any]) -> None:
    named = set(re.findall(r"--[a-z-]+", PAGE))
    spec = {**VLLM, "gpu": [{"type": "H100:8"}], **fields}
    for key in ("H100:8", "cpu"):
        words = {flag[0] for flag in flags(spec, key) if isinstance(flag[0], str)}
        assert words - named - {"--disable-uvicorn-access-log"} == set()
