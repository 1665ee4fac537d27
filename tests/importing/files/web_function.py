# A reasoning model behind a plain web server, tuned by a table of settings.
import json
import subprocess

import modal

image = modal.Image.debian_slim(python_version="3.12").pip_install(
    "vllm==0.33.0", extra_index_url="https://wheels.example.com/cu129"
)
settings = {"max-num-batched-tokens": 16384}
settings |= {"max-model-len": 2**15, "kv-cache-dtype": "fp8"}
guesses = {"method": "eagle3", "model": "acme/guesser", "num_speculative_tokens": 7}
FAST = False
AT_ONCE = 32

app = modal.App("reasoner")
keys = modal.Secret.from_dict({"HF_TOKEN": "hf_abcdefghijklmnopqrstuvwxyz"})


@app.function(
    image=image.env({"API_TOKEN": "not-for-everybody", "OMP_NUM_THREADS": 4}),
    gpu=["H200", "H100:2"],
    secrets=[keys, modal.Secret.from_name("tracing", required_keys=["DSN"])],
    volumes={
        "/root/.cache/vllm": modal.Volume.from_name("vllm-cache"),
        "/logs": modal.Volume.from_name("logs"),
    },
    timeout=30 * 60,
    cpu=(8.0, 16.0),
    memory=65536,
    region="eu",
)
@modal.concurrent(max_inputs=AT_ONCE, target_inputs=AT_ONCE - 8)
@modal.web_server(port=8000, startup_timeout=30 * 60)
def serve():
    cmd = ["vllm", "serve", "openai/gpt-oss-20b", "--async-scheduling"]
    cmd += ["--enforce-eager" if FAST else "--no-enforce-eager"]
    cmd += ["--speculative-config", json.dumps(guesses)]
    cmd += [item for k, v in settings.items() for item in (f"--{k}", str(v))]
    cmd += ["--host", "0.0.0.0", "--port", "8000", "--chat-template", template()]
    print(*cmd)
    subprocess.Popen(cmd)


def template():
    import requests

    return requests.get("https://example.com/template").text
