"""What does `python -m modelctl.local.llama_server` run?"""

from __future__ import annotations

import sys

from modelctl.local.llama_server.server import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
