"""What do the codes of memory mean? Why each is said, and what to do."""

from __future__ import annotations

from collections.abc import Mapping

PAGES: Mapping[str, str] = {
    "fit/may-not-fit": (
        "Weights, the cache of one request of the whole context, and what the engine takes beside "
        "them fit the card if every estimate is a good one, and do not if each is a bad one. "
        "Without a GPU it is the main memory that the spec asks for, of which a container may get "
        "more. modelctl fit shows the parts. Where it is known to run, allow it with that reason."
    ),
    "fit/not-checked": (
        "The arithmetic knows many architectures and quantizations, and does not guess about "
        "others: nothing is said of the memory that such a model takes."
    ),
    "fit/target": (
        "The autoscaler adds a container when one has more requests than the target. Where memory "
        "has room for fewer, they wait inside the engine and no container is added."
    ),
    "fit/too-large": (
        "Weights, the cache of one request of the whole context, and what the engine takes beside "
        "them are more than the card has, at the best of each estimate: the engine ends while it "
        "starts. Each way out that the hint names was computed the same way and fits. modelctl fit "
        "shows the parts."
    ),
}
