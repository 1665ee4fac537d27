# llama.cpp, built from its sources, with a model that lies in a Volume.
import os
import subprocess
from pathlib import Path

from modal import App, Image, Secret, Volume, concurrent, enter, web_server

RELEASE = "b9123"
build = " ".join(["cmake --build build -j", "--target llama-server"])
image = (
    Image.from_registry("nvidia/cuda:12.9.1-devel-ubuntu24.04", add_python="3.12")
    .apt_install("git", "cmake")
    .run_commands(f"git clone --branch {RELEASE} https://github.com/ggml-org/llama.cpp", build)
    .add_local_file("readme.txt", "/readme.txt")
)
models = Path("/models")
where = models / "llama-3.1-8b" / "Q4_K_M.gguf"

app = App("gguf")


@app.cls(
    image=image,
    gpu="L4",
    volumes={str(models): Volume.from_name("team-models").read_only()},
    secrets=[Secret.from_name("llama-key", required_keys=["KEY"])],
    keep_warm=1,
    concurrency_limit=3,
    container_idle_timeout=120,
)
@concurrent(max_inputs=8)
class Llama:
    @enter()
    def prepare(self):
        self.slots = 4

    @web_server(8080)
    def serve(self):
        subprocess.Popen(
            f"""exec /llama.cpp/build/bin/llama-server -m {where} -c {8192 * self.slots} \\
                -np {self.slots} -ngl 999 -ctk q8_0 -ctv q8_0 -fa on --host 0.0.0.0 \\
                --port 8080 --api-key {os.environ["KEY"]} --temp 0.6 --jinja > /tmp/log &""",
            shell=True,
        )
