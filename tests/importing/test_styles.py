"""Which ways of writing an app are understood? A command, and the fields that come of it."""

from __future__ import annotations

from typing import Any

import pytest

from modelctl.diagnostics import Rejected
from modelctl.importing import Imported, imported
from modelctl.importing.written import text

HEAD = "import json, os, shlex, subprocess, sys\nimport modal\napp = modal.App('app')\n"
SERVER = "@app.server(gpu='L4', port=8000{options})\nclass Server:\n    @modal.enter()\n"
VLLM = "subprocess.Popen(['vllm', 'serve', 'a/b', *{words}])"


def read(program: str) -> Imported:
    (one,) = imported((HEAD + program).encode(), "app.py")
    return one


def started(call: str, options: str = "", before: str = "") -> Imported:
    return read(before + SERVER.format(options=options) + f"    def start(self):\n        {call}\n")


def fields(call: str, options: str = "", before: str = "") -> dict[str, Any]:
    found = dict(started(call, options, before).fields)
    for usual in ("name", "gpu"):
        found.pop(usual)
    return found


COMMANDS: list[tuple[str, dict[str, Any]]] = [
    (
        "subprocess.Popen(['vllm', 'serve', 'a/b', '--served-model-name', 'app'])",
        {"model": {"source": "hf://a/b"}, "backend": {"name": "vllm"}},
    ),
    (
        "subprocess.run('FOO=1 exec vllm serve a/b --served-model-name app -tp 1 &', shell=True)",
        {"model": {"source": "hf://a/b"}, "backend": {"name": "vllm"}, "env": {"FOO": "1"}},
    ),
    (
        "subprocess.Popen([sys.executable, '-m', 'vllm.entrypoints.openai.api_server', '--model', "
        "'a/b', '--served-model-name=app'])",
        {"model": {"source": "hf://a/b"}, "backend": {"name": "vllm"}},
    ),
    (
        "os.execvp('bash', ['bash', '-c', 'cd /tmp && vllm serve a/b --dtype half'])",
        {
            "model": {"source": "hf://a/b", "served_as": "a/b"},
            "backend": {"name": "vllm"},
            "dtype": "float16",
        },
    ),
    (
        "subprocess.Popen(shlex.split('llama-server -hf a/b:Q8_0 -c 4096 -np 2 -ngl 99'))",
        {
            "model": {"source": "hf://a/b", "file": "*Q8_0*.gguf"},
            "backend": {"name": "llama.cpp"},
            "context": 2048,
            "max_sequences": 2,
        },
    ),
    (
        "subprocess.Popen(['python', '-m', 'llama_cpp.server', '--hf_model_repo_id', 'a/b', "
        "'--model', '*q4*.gguf', '--n_ctx', '4096', '--n_gpu_layers', '-1', '--type_k', '8', "
        "'--type_v', '8'])",
        {
            "model": {"source": "hf://a/b", "file": "*q4*.gguf"},
            "backend": {"name": "llama.cpp", "server": "llama-cpp-python"},
            "context": 4096,
            "kv_cache": "q8_0",
        },
    ),
]


@pytest.mark.parametrize(("call", "expected"), COMMANDS)
def test_how_an_engine_is_started(call: str, expected: dict[str, Any]) -> None:
    assert fields(call) == expected


FLAGS: list[tuple[str, dict[str, Any]]] = [
    ("['--max-model-len', '32K']", {"context": 32768}),
    ("['--max-model-len=8192', '--max-num-seqs', str(2**4)]",
     {"context": 8192, "max_sequences": 16}),
    ("['--reasoning-parser', 'qwen3'] + ['--enforce-eager']",
     {"reasoning": "qwen3", "compile": "fast-boot"}),
    ("['--no-enable-prefix-caching', '--kv-cache-dtype', 'auto']", {"prefix_caching": False}),
    ("['--limit-mm-per-prompt', json.dumps({'image': 2})]", {"multimodal": {"image": 2}}),
    ("['--limit-mm-per-prompt', 'image=2,video=0']", {"multimodal": {"image": 2, "video": 0}}),
    ("['--runner', 'pooling', '--convert', 'embed']", {"task": "embed"}),
    ("['--task', 'score']", {"task": "rerank"}),
    ("['-dp', '2', '--enable-expert-parallel']", {"parallel": {"data": 2, "expert": True}}),
    ("['--enable-lora', '--lora-modules', 'sql=c/d', '--max-lora-rank', '32']",
     {"adapters": {"sql": {"source": "hf://c/d", "rank": 32}}}),
    ("['--speculative-config', '{\"method\": \"ngram\", \"num_speculative_tokens\": 4}']",
     {"speculative": {"method": "ngram", "tokens": 4}}),
    ("['--speculative-config', '{\"method\": \"ngram\", \"prompt_lookup_max\": 4}']",
     {"args": {"speculative-config": {"method": "ngram", "prompt_lookup_max": 4}}}),
    ("['--seed', '7', '--generation-config', 'vllm', '--max-logprobs=-1']",
     {"args": {"seed": 7, "generation-config": "vllm", "max-logprobs": -1}}),
    ("['--no-such-flag', 'x', '--nor-this']", {"args": {"no-such-flag": "x", "nor-this": True}}),
]  # fmt: skip


@pytest.mark.parametrize(("words", "expected"), FLAGS)
def test_flags_become_the_fields_that_set_them(words: str, expected: dict[str, Any]) -> None:
    found = fields(VLLM.format(words=words))
    assert found.pop("backend") == {
        "name": "vllm",
        **({"args": expected.pop("args")} if "args" in expected else {}),
    }
    of_model = {name: expected.pop(name) for name in ("task", "adapters") if name in expected}
    assert found.pop("model") == {"source": "hf://a/b", "served_as": "a/b", **of_model}
    assert found == expected


OPTIONS: list[tuple[str, dict[str, Any]]] = [
    (", gpu=None, cpu=4, memory=4096", {"gpu": "none", "compile": "full"}),
    (", gpu=['H100!', 'A100-80GB:2']", {"gpu": ["H100!", "A100-80GB:2"]}),
    (", gpu=modal.gpu.A100(size='80GB', count=2)", {"gpu": "A100-80GB:2"}),
    (", region='eu', cloud='gcp', nonpreemptible=True",
     {"endpoint": {"compute_regions": ["eu"], "cloud": "gcp", "nonpreemptible": True}}),
    (", unauthenticated=True, exit_grace_period=90",
     {"endpoint": {"auth": "none", "drain": "90s"}}),
    (", enable_memory_snapshot=True", {"snapshot": "cpu"}),
    (", max_concurrency=64, target_concurrency=32.0", {"concurrency": {"target": 32, "max": 64}}),
    (", scaledown_window=300, buffer_containers=1, scaleup_window=20",
     {"scaling": {"buffer": 1, "scaleup_window": "20s"}}),
    (", ephemeral_disk=524288", {"disk": "512GiB"}),
    (", volumes={'/data': modal.CloudBucketMount('b', key_prefix='p/', read_only=True, "
     "secret=modal.Secret.from_name('s'))}",
     {"buckets": {"/data": {"bucket": "s3://b", "read_only": True, "prefix": "p/", "secret": "s"}}}),  # noqa: E501
    (", env={'A': 'b'}, secrets=[modal.Secret.from_name('s')]",
     {"env": {"A": "b"}, "secrets": ["s"]}),
    (", image=modal.Image.from_registry('vllm/vllm-openai:v0.33.0').apt_install('git')",
     {"backend": {"name": "vllm", "version": "0.33.0"}, "image": {"apt": ["git"]}}),
    (", image=modal.Image.from_registry('acme/vllm:3', add_python='3.12', "
     "secret=modal.Secret.from_name('r')).run_commands('true')",
     {"image": {"base": "acme/vllm:3", "secret": "r", "python": "3.12", "run": ["true"]}}),
]  # fmt: skip


@pytest.mark.parametrize(("options", "expected"), OPTIONS)
def test_options_become_the_fields_that_set_them(options: str, expected: dict[str, Any]) -> None:
    own = "gpu='L4', " if "gpu=" in options else ""
    program = SERVER.replace("gpu='L4', ", "" if own else "gpu='L4', ").format(options=options)
    found = dict(read(program + f"    def start(self):\n        {VLLM.format(words='[]')}").fields)
    found = {name: value for name, value in found.items() if name not in ("name", "model")}
    usual = {"backend": {"name": "vllm"}, "gpu": "L4"}
    assert found == {**usual, **expected}


def test_constants_and_helpers_are_followed_and_branches_whose_test_is_known() -> None:
    before = (
        "FAST, MODEL = True, {'small': 'a/b'}\n"
        "def words(model, *more, eager=False):\n"
        "    found = ['vllm', 'serve', model]\n"
        "    if eager:\n        found.append('--enforce-eager')\n"
        "    for word in more:\n        found += ['--' + word]\n"
        "    return found\n"
    )
    found = fields(
        "subprocess.Popen(words(MODEL['small'], 'async-scheduling', eager=FAST))", before=before
    )
    assert found["compile"] == "fast-boot"
    assert found["backend"] == {"name": "vllm", "args": {"async-scheduling": True}}


NOT_READ: list[tuple[str, str]] = [
    (
        "subprocess.Popen(['vllm', 'serve', sys.argv[1]])",
        "model:  # not read: it is worked out when it runs",
    ),
    (
        "subprocess.Popen(['vllm', 'serve', os.environ['MODEL']])",
        "model:  # not read: the variable MODEL is set where it runs",
    ),
    (
        "subprocess.Popen(['vllm', 'serve', os.environ.get('MODEL', 'a/b')])",
        "# guessed: the variable MODEL changes the app; its default is taken",
    ),
    (
        "subprocess.Popen(['vllm', 'serve', '/weights/m'])",
        "model:  # not read: /weights/m is in no Volume of the app: is it in the image?",
    ),
    (
        "subprocess.Popen(['vllm', 'serve', 'a/b', '--max-model-len', str(length())])",
        "# not read: context: length is not in the file (line 8)",
    ),
    (
        "subprocess.Popen(['vllm', 'serve', 'a/b', *more()])",
        "# not read: backend.args: more is not in the file (line 8)",
    ),
    (
        "subprocess.Popen(['sglang', 'serve', '--model-path', 'a/b'])",
        "# not read: backend: SGLang is no engine of modelctl; its flags but the model are not "
        "read (line 8)",
    ),
    (
        "subprocess.Popen(['vllm', 'serve', 'a/b', '--api-key', 'hunter2-hunter2'])",
        "# not taken: endpoint.api_key: the API key of the command: put it into a Modal Secret, "
        "then endpoint: {auth: api-key, api_key: {secret: NAME, key: KEY}}; without it "
        "Modal's proxy tokens are asked for",
    ),
]


@pytest.mark.parametrize(("call", "line"), NOT_READ)
def test_what_cannot_be_read_is_said(call: str, line: str) -> None:
    written = text(started(call)).replace("\n#   ", " ")
    assert f"\n{line}\n" in written
    assert "hunter2" not in written


def test_an_api_key_of_a_secret_stays_one() -> None:
    secrets = ", secrets=[modal.Secret.from_name('team', required_keys=['KEY'])]"
    found = fields(VLLM.format(words="['--api-key', os.environ['KEY']]"), secrets)
    assert found["endpoint"] == {"auth": "api-key", "api_key": {"secret": "team", "key": "KEY"}}
    assert "secrets" not in found


TWO = HEAD + "".join(
    f"@app.function(gpu='L4')\n@modal.web_server(8000)\ndef {name}():\n"
    f"    subprocess.Popen(['vllm', 'serve', 'a/{name}'])\n"
    for name in ("small", "large")
)


def test_every_server_of_a_file_is_a_spec_of_its_own() -> None:
    found = imported(TWO.encode(), "two.py")
    assert [one.fields["name"] for one in found] == ["app-small", "app-large"]
    (one,) = imported(TWO.encode(), "two.py", "large")
    assert one.fields["model"]["source"] == "hf://a/large"
    with pytest.raises(Rejected) as rejected:
        imported(TWO.encode(), "two.py", "huge")
    (problem,) = rejected.value.diagnostics
    assert problem.message == "no model server of two.py is called huge"
    assert problem.hint == "there are small, large"
