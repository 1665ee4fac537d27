"""How are functions called, tried again and ended? Assumed, not checked."""

from modelctl.local.assumptions.row import Assumption

FUNCTIONS: tuple[Assumption, ...] = (
    Assumption(
        "How many inputs does a function hold back, and for how long?",
        "Any number waits in its queue until a container takes it; a map has at most 1,000 "
        "under way. Nothing waiting expires.",
        "RESOURCE_EXHAUSTED for a long queue, or inputs that expire.",
    ),
    Assumption(
        "Who tries a failed input again?",
        "For .remote and .map the SDK, as this plane tells it to; for .spawn, spawn_map and "
        "generators the plane, by the same rule. A timeout counts as a failure, a cancelled "
        "input is not tried again.",
        "Retries have other pauses, or another number.",
    ),
    Assumption(
        "Which inputs do a function's statistics count?",
        "Each one once, when it ends for good, a cancelled one and one whose function does not "
        "start as failed. Of tries that the SDK makes each counts, of the plane's the last.",
        "Failed inputs are more or fewer than here.",
    ),
    Assumption(
        "What becomes of an input whose container ends?",
        "It goes to the front of the queue, without counting as a retry; after eight lost "
        "containers it fails. An HTTP request goes to another container only if nothing of its "
        "answer was sent and its body was at most 8 MiB; else it breaks off.",
        "The caller gets an error at once, or the input is tried forever.",
    ),
    Assumption(
        "What becomes of inputs whose function cannot start?",
        "In a deployed app they wait while it is tried again after 0.5 s, 1 s, 2 s … up to 30 "
        "s; in an app that is run they fail with what its code raised after three failures in a "
        "row, as HTTP requests do in both.",
        "A call to a deployed function that cannot be imported fails by itself, or another "
        "number of failures.",
    ),
    Assumption(
        "What ends when an input reaches its timeout?",
        "Its attempt, with FunctionTimeoutError, and its container, after its exit hooks; other "
        "inputs of that container are given to another one.",
        "The container goes on with its other inputs.",
    ),
    Assumption(
        "When does a function's startup timeout begin?",
        "When Modal's runtime in the container says hello, before the app's own imports.",
        "Time that the container takes to come up counts too.",
    ),
    Assumption(
        "What does a cancelled call's caller get?",
        "RemoteError: Input was cancelled by user, at once; a container that has not given the "
        "input up after 10 s is ended.",
        "Another exception, or none until the container gave it up.",
    ),
    Assumption(
        "What do the callers of an app that is stopped get?",
        "RemoteError: App '…' was stopped. Its containers are interrupted at once and run their "
        "exit hooks.",
        "Running inputs are finished first.",
    ),
    Assumption(
        "How do @modal.concurrent's target and maximum differ?",
        "Containers are added as if each took target_inputs; one takes up to max_inputs while "
        "inputs wait.",
        "Containers take more than the target although others are free.",
    ),
    Assumption(
        "What becomes of a function's containers in a rolling deploy?",
        "They take no more inputs once as many new ones as are wanted are ready, and finish "
        "those that they have, within the timeout.",
        "Inputs are cut off by a deploy.",
    ),
    Assumption(
        "How long are the results of calls kept?",
        "For seven days, through restarts of the plane; those of .remote and .map until shortly "
        "after they were fetched. Calls that wait when the plane is killed go on when it is "
        "there again, if their client still asks; a client that does not reach it fails with "
        "ConnectionError.",
        "FunctionCall.get() of an old call raises earlier or later.",
    ),
    Assumption(
        "When does an app end that is run and not deployed?",
        "When its client disconnects, or 60 s after its last heartbeat, which holds for one whose "
        "deployment did not come to its end too. A detached one when "
        "none of its inputs waits or runs any more; if its client did not finish and it answers "
        "at a URL, when it is stopped.",
        "`modal app list` shows it longer, or no more.",
    ),
    Assumption(
        "What does a web function's request get whose function fails?",
        "500 with the exception's repr; 504 after the function's timeout.",
        "Another status or text.",
    ),
    Assumption(
        "What does a web function's client that leaves cause?",
        "The app gets http.disconnect, and its input is cancelled.",
        "The function goes on to its end.",
    ),
)
