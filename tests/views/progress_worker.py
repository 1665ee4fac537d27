"""What does the terminal show while an apply is under way? Its first steps, and then it waits."""

from __future__ import annotations

import time

from modelctl.apply import Step
from modelctl.cli.progress import progress
from tests.views.sample import plan_of_everything
from tests.views.test_screens import OUTCOMES

STEPS = (
    Step("", "wave 1 of 2:", "chat-8b, chat-70b, drafts-4b"),
    Step("chat-8b", "scaling"),
    Step("drafts-4b", "image", "step 3 of 4: uv pip install vllm==0.32.0"),
    Step("chat-8b", "", outcome=OUTCOMES[1]),
    Step("rerank", "", outcome=OUTCOMES[5]),
    Step("chat-70b", "placing", "waiting for 4 × H100, in us-east and us-west, since 4 min 41 s"),
)

if __name__ == "__main__":
    with progress(plan_of_everything()) as tell:
        for step in STEPS:
            tell(step)
        time.sleep(60)
