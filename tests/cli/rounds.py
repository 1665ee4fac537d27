"""How often is tried what chance decides? The default is for every change; 75 rounds of two, 25 of
five and 100 kills are what a release is held to: MODELCTL_TEST_ROUNDS=75, half an hour."""

from __future__ import annotations

import os

ROUNDS = int(os.environ.get("MODELCTL_TEST_ROUNDS", "6"))
"""Of two applies; a third as many of five."""
MANY = 18
"""From how many on what is rare has been seen, whatever the seed."""
KILLS = max(12, ROUNDS * 4 // 3)
STEP = 1 if ROUNDS >= MANY else 3
"""Of the calls of an apply, each of so many: it is long, and few calls change something."""
