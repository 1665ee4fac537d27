# Serves one chat model from GPU snapshots, near its users.
import os
import subprocess

import modal

MINUTES = 60
MODEL = "Qwen/Qwen3-8B"
REVISION = "b968826d9c46dd6066d109eabc6255188de91218"
WEIGHTS = "/root/.cache/huggingface"
CARD, CARDS = "H100", 1
PORT = 8000
WARM = int(os.environ.get("WARM_CONTAINERS", "1"))

image = (
    modal.Image.from_registry("nvidia/cuda:12.9.1-devel-ubuntu24.04", add_python="3.12")
    .entrypoint([])
    .uv_pip_install("vllm==0.32.0", "huggingface-hub==0.36.0", "arctic-inference==0.1.1")
    .env({"HF_HUB_CACHE": WEIGHTS, "VLLM_SERVER_DEV_MODE": "1", "VLLM_LOGGING_LEVEL": "WARNING"})
)
cache = modal.Volume.from_name("huggingface-cache", create_if_missing=True)

with image.imports():
    import requests

app = modal.App(name="Chat_Model", tags={"team": "assistants"})


def command():
    words = ["vllm", "serve", MODEL, "--revision", REVISION]
    words += ["--served-model-name", MODEL, "chat"]
    words.extend(["--host", "0.0.0.0", f"--port={PORT}", "-tp", str(CARDS)])
    if CARDS > 1:
        words.append("--enable-expert-parallel")
    return [*words, "--max-model-len", "32k", "--gpu-memory-utilization", "0.92"]


@app.server(
    image=image,
    gpu=f"{CARD}:{CARDS}",
    volumes={WEIGHTS: cache},
    secrets=[modal.Secret.from_name("huggingface-secret")],
    enable_memory_snapshot=True,
    experimental_options={"enable_gpu_snapshot": True},
    compute_region=["us-east", "us-west"],
    routing_region="us-west",
    min_containers=WARM,
    max_containers=4,
    scaledown_window=10 * MINUTES,
    startup_timeout=15 * MINUTES,
    exit_grace_period=60,
    target_concurrency=24,
    port=PORT,
)
class Chat:
    @modal.enter(snap=True)
    def start(self):
        words = [*command(), "--enable-sleep-mode", "--tool-call-parser", "hermes"]
        self.engine = subprocess.Popen([*words, "--enable-auto-tool-choice", "--seed", "7"])
        self.request("health")
        self.request("sleep?level=1")

    @modal.enter(snap=False)
    def wake(self):
        self.request("wake_up")

    def request(self, path):
        requests.post(f"http://127.0.0.1:{PORT}/{path}").raise_for_status()

    @modal.exit()
    def stop(self):
        self.engine.terminate()


@app.local_entrypoint()
def main():
    subprocess.run(["curl", Chat.get_url()])
