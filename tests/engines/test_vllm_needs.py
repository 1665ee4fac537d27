"""Do the tables say what vLLM itself says of GPUs, numbers and variables?"""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import Any

import pytest

from modelctl.facts import quantization, vllm
from tests.engines.conftest import made

pytestmark = pytest.mark.full

VERSION = "0.32.0"
ASK = """
import json, sys
from vllm import envs
from vllm.config import model
from vllm.model_executor.layers.quantization import QUANTIZATION_METHODS, get_quantization_config
print("ANSWER" + json.dumps({
    "needs": {m: get_quantization_config(m).get_min_capability() for m in QUANTIZATION_METHODS},
    "no_float16": sorted(model._FLOAT16_NOT_SUPPORTED_MODELS),
    "variables": sorted(n for n in envs.environment_variables if n.startswith("VLLM_")),
}))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Any:
    done = subprocess.run(
        [str(made("vllm/bin/python")), "-c", ASK],
        capture_output=True,
        text=True,
        cwd=tmp_path_factory.mktemp("needs"),
        env={**os.environ, "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"},
        check=False,
    )
    answers = [line for line in done.stdout.splitlines() if line.startswith("ANSWER")]
    assert answers, done.stderr[-2000:]
    return json.loads(answers[0].removeprefix("ANSWER"))


def test_the_smallest_compute_capability_of_each_method(told: Any) -> None:
    ours = {
        name: 10 * need.least[0] + need.least[1]
        for name, need in quantization.methods().items()
        if need.least is not None
    }
    assert ours == told["needs"]


def test_which_models_are_refused_in_float16(told: Any) -> None:
    names = vllm.names(VERSION)
    assert names is not None
    assert sorted(names.no_float16) == told["no_float16"]


def test_no_variable_that_vllm_reads_is_called_unknown(told: Any) -> None:
    names = vllm.names(VERSION)
    assert names is not None
    assert set(told["variables"]) <= set(names.variables)
    assert len(told["variables"]) > 200


def test_the_sources_hold_no_other_variable() -> None:
    """Some are read past the list that vLLM keeps of them."""
    names = vllm.names(VERSION)
    assert names is not None
    (folder,) = made("vllm").glob("lib/python3*/site-packages/vllm")
    found: set[str] = set()
    for file in folder.rglob("*.py"):
        text = file.read_text(encoding="utf-8", errors="replace")
        found |= set(re.findall(r"""["'](VLLM_[A-Z0-9_]*[A-Z0-9])["']""", text))
    assert found <= set(names.variables)
