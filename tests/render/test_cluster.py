"""What does the app of a model over several hosts look like? The rest is as for one host."""

from __future__ import annotations

from typing import Any

from modelctl.render import render
from tests.render.apps import QWEN3, resolved

TWO: dict[str, Any] = {**QWEN3, "gpu": [{"type": "H100:8"}], "nodes": 2, "parallel": {"tensor": 8}}


def text(spec: dict[str, Any]) -> str:
    return render(resolved(spec)).text


def test_containers_come_in_whole_clusters_on_the_fast_network() -> None:
    app = text({**TWO, "keep_warm": 1, "scaling": {"max": 3}})
    assert ")(modal.clustered(size=2, rdma=True)(Server))" in app
    assert "min_containers=2,\n    max_containers=6,\n" in app


def test_cards_without_the_fast_network_do_without() -> None:
    app = text({**TWO, "gpu": [{"type": "H100:8"}, {"type": "A100-80GB:8"}]})
    assert ")(modal.clustered(size=2)(Server))" in app


def test_layers_are_grouped_by_host_unless_the_spec_says_how() -> None:
    assert '("--tensor-parallel-size", "8"),\n        ("--pipeline-parallel-size", "2"),' in text(
        TWO
    )
    whole = text({**TWO, "parallel": {"tensor": 16}})
    assert '("--tensor-parallel-size", "16")' in whole
    assert "--pipeline-parallel-size" not in whole


def test_one_host_knows_nothing_of_clusters() -> None:
    app = text(QWEN3)
    for word in ("cluster", "--nnodes", "rank", "import socket", "import zlib"):
        assert word not in app
