"""How are environments, Dicts, Queues, Secrets and Volumes named and kept? Assumed, not checked."""

from modelctl.local.assumptions.row import Assumption

OBJECTS: tuple[Assumption, ...] = (
    Assumption(
        "What does a revoked token get?",
        "UNAUTHENTICATED, for every call.",
        "Another status, or calls that still work.",
    ),
    Assumption(
        "What does an unknown environment answer?",
        "NOT_FOUND, whatever the call; only `modal environment create` and create_if_missing make "
        "one.",
        "Another status, or a call that makes it.",
    ),
    Assumption(
        "May the default environment be deleted?",
        "No: FAILED_PRECONDITION; another one must be made the default first.",
        "`modal environment delete main --yes` works.",
    ),
    Assumption(
        "What is a new environment's web suffix?",
        "Its name; that of main is empty.",
        "`modal environment list` shows another suffix after a create.",
    ),
    Assumption(
        "What becomes of an environment's apps when it is deleted?",
        "They are stopped, and still answer by their ids; Volumes, Secrets, Dicts and Queues are "
        "gone.",
        "An app's id is unknown after its environment was deleted.",
    ),
    Assumption(
        "What does another workspace's id answer?",
        "NOT_FOUND, as an id that nobody has.",
        "PERMISSION_DENIED, or a sentence that tells that it exists.",
    ),
    Assumption(
        "When does a Dict's entry expire?",
        "After seven days in which it was neither put nor looked at: get, contains, a refused put "
        "and an iteration count as use, len does not.",
        "An entry that is only read is gone after a week, or one that is only counted stays.",
    ),
    Assumption(
        "What does a walk over a Dict show of what others write meanwhile?",
        "Every entry that was there when it began and was not removed; a put that was answered is "
        "seen by whoever asks after that.",
        "An entry that was put before is missing from items(): then two commands could hold one "
        "project's lease.",
    ),
    Assumption(
        "What does Dict.put answer that replaces a value?",
        "True; False only where skip_if_exists kept the old one.",
        "put() of a key that is there returns False.",
    ),
    Assumption(
        "What does a Queue's put do that does not fit?",
        "Nothing of it is put: RESOURCE_EXHAUSTED past 5,000 items or 64 MiB in a partition or "
        "100,000 partitions, INVALID_ARGUMENT for an item over 1 MiB or a key over 64 bytes.",
        "A part of put_many is in the Queue, or another status.",
    ),
    Assumption(
        "Who gets an item that several wait for?",
        "Who waits longest in that partition; a get that does not wait may overtake.",
        "Items go to getters in another order.",
    ),
    Assumption(
        "How long does an ephemeral Dict, Queue or Volume live?",
        "Fifteen minutes after its last heartbeat, which the SDK sends every five.",
        "It is gone earlier, or answers by its id later.",
    ),
    Assumption(
        "What does a Secret without a required key answer?",
        "FAILED_PRECONDITION, with the missing keys.",
        "Another status.",
    ),
    Assumption(
        "What may a client do with links in a Volume?",
        "Read those that stay inside it; one that leads out of it is not found, and nothing is "
        "copied through it.",
        "Another status, or the link's own text is read.",
    ),
)
