"""When do containers of servers start and end, and on which GPU? Assumed, not checked."""

from modelctl.local.assumptions.row import Assumption

SERVERS: tuple[Assumption, ...] = (
    Assumption(
        "Which containers of a cluster take requests?",
        "The one of rank 0. It is ready once its own enter hooks have returned and its port takes "
        "connections; the others need not listen.",
        "Requests reach another rank, or a cluster is not ready until all of it listens.",
    ),
    Assumption(
        "What becomes of a cluster when one of its containers ends?",
        "The others are stopped at once, and a whole cluster takes its place.",
        "The others go on, or only the one that ended is replaced.",
    ),
    Assumption(
        "What does exit_grace_period cover?",
        "A container that is replaced or stopped takes no new request and has this long for those "
        "it has; then comes SIGTERM. With 0, unfinished requests are cut off.",
        "Requests outlive an exit_grace_period of 0, or SIGTERM comes at once.",
    ),
    Assumption(
        "How long may exit hooks take?",
        "30 seconds after SIGTERM; 10 when the plane itself ends.",
        "Hooks are cut off earlier, or run longer.",
    ),
    Assumption(
        "What is scaledown_window when it is not set?",
        "60 seconds, as for functions.",
        "An idle container leaves earlier or later.",
    ),
    Assumption(
        "Does scaleup_window delay the first container?",
        "No: it holds back further containers until the demand lasted that long.",
        "The first container after zero comes later by the window.",
    ),
    Assumption(
        "What does target_concurrency do when unset, and when 0?",
        "Unset: one container takes all requests, up to max_concurrency. 0: the number of "
        "containers stays as it is, between min_containers and max_containers.",
        "Containers are added although no target is set.",
    ),
    Assumption(
        "How do containers become idle that are too many while requests go on?",
        "New requests go to the others as long as these have room, so that the surplus ones finish "
        "and leave after scaledown_window. A Modal-Session-ID stays where it is.",
        "A server under steady load never has fewer containers.",
    ),
    Assumption(
        "When do buffer_containers run?",
        "While there is at least one request.",
        "They run with no request at all.",
    ),
    Assumption(
        "What becomes of a server at zero whose container fails while starting?",
        "It is not tried again until the next request. With min_containers it is tried again "
        "after 0.5 s, 1 s, 2 s … up to 30 s.",
        "It is retried without a request, or with other pauses.",
    ),
    Assumption(
        "Which GPU is given when the first of the list is not free?",
        "The first entry that can be had: of its own type, else of one that Modal may give for it "
        "(an H200 for an H100, 80 GB for an A100 without a size, a B300 for a B200+). While none "
        "can be had the container waits, and its startup timeout has not begun.",
        "The second entry is given although a bigger card was free for the first, or a container "
        "that waits times out.",
    ),
    Assumption(
        "Who gets a GPU that becomes free?",
        "Who has waited longest of those whom it suits; who needs more than is free holds up "
        "nobody.",
        "A later container is served first.",
    ),
)
