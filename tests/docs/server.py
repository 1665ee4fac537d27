"""A Modal file as people write one: docs/import.md makes a spec of it, and two of twice it."""

import subprocess

import modal

app = modal.App("support")


@app.server(
    gpu="L4",
    image=modal.Image.from_registry("vllm/vllm-openai:v0.32.0", add_python="3.12").entrypoint([]),
    port=8000,
    routing_region="us-east",
    startup_timeout=600,
    target_concurrency=16,
)
class Chat:
    @modal.enter()
    def start(self) -> None:
        words = ["vllm", "serve", "Qwen/Qwen3-0.6B", "--port", "8000", "--max-model-len", "8192"]
        self.engine = subprocess.Popen(words)
