"""What do pages and pictures of a plan show? Real specs and figures, a change of each kind."""

from __future__ import annotations

import json
import os
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from modelctl.assess.report import report_of
from modelctl.assess.rows import Report
from modelctl.cli.options import Selection
from modelctl.cli.pipeline import check_all, project_here
from modelctl.diagnostics import Diagnostic
from modelctl.plan import Action, Change, Cost, FieldChange, Plan
from modelctl.record import Hold
from modelctl.resolved import Limits

COMMIT = "0123456789abcdef0123456789abcdef01234567"
_COMMON = {
    "hidden_size": 4096,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}
QWEN3_8B: dict[str, Any] = {
    **_COMMON,
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "num_hidden_layers": 36,
    "intermediate_size": 12288,
    "vocab_size": 151936,
    "max_position_embeddings": 40960,
}
QWEN3_4B: dict[str, Any] = {
    **QWEN3_8B,
    "hidden_size": 2560,
    "intermediate_size": 9728,
    "tie_word_embeddings": True,
}
LLAMA_70B: dict[str, Any] = {
    **_COMMON,
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 8192,
    "num_attention_heads": 64,
    "num_hidden_layers": 80,
    "intermediate_size": 28672,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
}
LOCKED = {
    "Qwen/Qwen3-8B": (QWEN3_8B, 16_381_470_720),
    "Qwen/Qwen3-4B": (QWEN3_4B, 8_044_936_192),
    "meta-llama/Llama-3.3-70B-Instruct": (LLAMA_70B, 141_107_412_992),
}
SPECS = {
    "chat-8b": """\
model: hf://Qwen/Qwen3-8B
backend: vllm
context: 32768
gpu: [H100!, A100-80GB, L40S:2]
cpu: 8
memory: 64GiB
keep_warm: 2
scaling: {max: 8}
concurrency: {target: 32, max: 64}
""",
    "chat-70b": """\
model: hf://meta-llama/Llama-3.3-70B-Instruct
backend: vllm
context: 32768
gpu: [H100!:4, A100-80GB:4, A100-80GB:2]
keep_warm: 1
scaling: {max: 4}
""",
    "drafts-4b": """\
model: hf://Qwen/Qwen3-4B
backend: vllm
context: 16384
gpu: [L4, L40S]
""",
}
HOLD = Hold("version", "ana", "latency", "2026-11-20T23:10:00Z", "2026-11-23T09:00:00Z", "")


def write(root: Path) -> None:
    """The project in a folder: three specs, and a lock that knows their models."""
    (root / "specs").mkdir(parents=True, exist_ok=True)
    for name, text in SPECS.items():
        (root / "specs" / f"{name}.yaml").write_text(f"name: {name}\n{text}", encoding="utf-8")
    sources = {
        f"hf://{name}": {
            "commit": COMMIT,
            "config": config,
            "files": [["config.json", 700, ""], ["model.safetensors", size, ""]],
        }
        for name, (config, size) in LOCKED.items()
    }
    lock = json.dumps({"format": 1, "sources": sources})
    (root / "modelctl.lock").write_text(lock, encoding="utf-8")
    (root / "modelctl.yaml").write_text(
        "project: assistants\n"
        "environments:\n  prod: {workspace: acme}\n"
        "policy:\n  budget: {usd_per_month: 30000}\n",
        encoding="utf-8",
    )


@lru_cache(maxsize=1)
def checked() -> tuple[dict[str, Report], tuple[Diagnostic, ...], dict[str, Cost]]:
    """What fit says of each spec, what validate warns of, and what each costs."""
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder))
        os.chdir(folder)
        try:
            found = check_all(Selection((), "prod", False, ()), project_here(), hashed=False)
        finally:
            os.chdir(here)
    costs = {
        a.resolved.name: Cost(
            None, a.warm_usd_per_hour, a.dearest_usd_per_hour, a.usd_per_hour_at_max
        )
        for _, a in found.specs
    }
    reports = {a.resolved.name: report_of(a) for _, a in found.specs}
    return reports, found.diagnostics, costs


def plan_of_everything() -> Plan:
    """One change of each kind, and thirty-four apps that are as their specs say."""
    reports, _, costs = checked()
    chat, large = costs["chat-8b"], costs["chat-70b"]
    half = (chat.after or 0) / 2
    changes = (
        Change(
            "drafts-4b",
            Action.CREATE,
            cost=costs["drafts-4b"],
            impact=("L4, scale to zero", "8.0 GB to fetch"),
        ),
        Change(
            "chat-8b",
            Action.IN_PLACE,
            fields=(FieldChange("keep_warm", 1, 2),),
            cost=replace(chat, before=half),
            impact=("no new version, containers stay",),
            version=12,
            url="https://acme--chat-8b-server.us-east.modal.direct",
        ),
        Change(
            "chat-70b",
            Action.REDEPLOY,
            fields=(
                FieldChange("backend.version", "0.31.0", "0.32.0"),
                FieldChange("context", 16384, 32768),
                FieldChange("kv_cache", None, "fp8"),
            ),
            cost=replace(large, before=large.after),
            impact=(
                "new image",
                "rolling, 4 more H100 while it rolls",
                "0 MB to fetch",
                "same URL",
            ),
            version=8,
            url="https://acme--chat-70b-server.us-east.modal.direct",
        ),
        Change(
            "summarize",
            Action.DRIFT,
            ("live scaling.max 12, spec 4: apply sets 4",),
            (FieldChange("scaling.max", 12, 4),),
            cost=Cost(0.0, 0.0, 0.0, 19.35),
            drifted_to=Action.IN_PLACE,
            version=4,
        ),
        Change(
            "search-8b",
            Action.HELD,
            ('rolled back to v6 by ana, "latency", until 2026-11-23 09:00 UTC',),
            cost=Cost(1.95, 1.95, 1.95),
            hold=HOLD,
            version=7,
        ),
        Change(
            "rerank",
            Action.BLOCKED,
            (
                'v8 failed: answered wrong: check "capital" expected "Paris" in the answer; got '
                '"Lyon", v9 serves (v7 again); change the spec, or --retry',
            ),
            cost=Cost(0.8, 0.8, 0.8),
            version=9,
        ),
        Change(
            "legacy-7b",
            Action.DELETE,
            ("not in specs (needs --prune)",),
            cost=Cost(1.1, 1.1),
            version=31,
        ),
        *(
            Change(
                f"team-{number:02}",
                Action.UNCHANGED,
                cost=Cost(*(2 * (0.8 if number % 7 == 0 else 0.0,)), 0.8, 3.2),
                version=number % 9 + 1,
            )
            for number in range(34)
        ),
    )
    return Plan(
        "prod",
        "Modal environment prod, workspace acme",
        changes,
        limits=Limits(usd_per_month=30_000),
        prices=reports["chat-8b"].prices,
    )


def page_of_everything() -> str:
    from modelctl.views import page

    reports, found, _ = checked()
    return page.plan(
        plan_of_everything(),
        found,
        tuple(reports.values()),
        commit="8f3ab1e",
        at="2026-11-21T12:00:00Z",
    )
