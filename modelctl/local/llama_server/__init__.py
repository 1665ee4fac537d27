"""How does a machine that has no `llama-server` binary run one?

By `python -m modelctl.local.llama_server`: a stand-in that takes the `llama-server` flags modelctl
emits, with llama.cpp's spelling and meaning, and runs llama.cpp's own HTTP server out of the PyPI
wheel `xllamacpp`. What it accepts is applied, and every other flag is refused. The plain wheel for
Linux computes on the CPU.

Where it differs from the real command:
- no LLAMA_ARG_* variable and no configuration file is read (a LLAMA_ARG_* variable is refused),
  only LLAMA_API_KEY;
- LLAMA_API_KEY must hold a key unless it is empty (without one the real one serves everyone);
- a number must be a number from end to end ('12abc' is 12 to the real one);
- without a model it refuses to start, where the real one starts its router;
- it ends itself when its parent dies, but only inside a Modal container (see `die_with_parent`).

It imports nothing else of modelctl, so that it starts fast and can stand alone.
"""
