"""Which rules of Modal's does the plane follow without anybody having been able to check them?

Each row says what is assumed here and how one would notice on Modal that it is wrong. Deliberate
differences, where this machine cannot or should not do as Modal does, are marked as such.
"""

from modelctl.local.assumption import Assumption
from modelctl.local.assumptions_on_functions import FUNCTIONS

__all__ = ["ASSUMPTIONS", "Assumption"]


ASSUMPTIONS: tuple[Assumption, ...] = (
    Assumption(
        "When does a publish count as no change?",
        "When the layout, every definition and all tags are those of the live version and no "
        "deployment tag is given: deployed_at is 0, the version stays, live settings stay.",
        "A second identical deploy raises the version, or one that changes only tags does not.",
    ),
    Assumption(
        "Does a redeploy replace containers whose definition did not change?",
        "No: containers stay as long as their function's definition (and rollover count) stays.",
        "Containers are replaced by a deploy that changed another function or only the tags.",
    ),
    Assumption(
        "What do a redeploy, a rollback and a rollover do to settings changed live?",
        "They forget them: the version's own settings hold.",
        "autoscaler.settings() after a redeploy still shows the changed values.",
    ),
    Assumption(
        "Do tags come back with a rollback?",
        "No: tags belong to the app and stay as they were last set.",
        "get_tags() after a rollback shows the old version's tags.",
    ),
    Assumption(
        "May a rolling deploy exceed max_containers?",
        "Yes: new containers start beside the old ones, which leave once the new ones are ready.",
        "With max_containers=1 a rolling deploy waits, or stops the old container first.",
    ),
    Assumption(
        "Does a deploy start a container where none is kept and an old one happens to run?",
        "Yes, one: the server that answers goes on answering, in the new version.",
        "The old container ends and the next request meets 503.",
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
        "What does a request get while no container is live?",
        "503 with Retry-After: 1, never queued; it wakes the server.",
        "It is held until a container is ready.",
    ),
    Assumption(
        "What does a request to a stopped or unpublished server get?",
        "404.",
        "Another status.",
    ),
    Assumption(
        "What does a request get whose container closes the connection before an answer?",
        "502. It is not sent again, whatever its method.",
        "Another status, or an engine that sees the request twice.",
    ),
    Assumption(
        "What becomes of a request whose container takes no connection?",
        "Another live container gets it, for nothing of it was sent; if all refuse it is 502.",
        "502 or 503 although another container of the server answers.",
    ),
    Assumption(
        "How does an answer end whose container or proxy is killed in the midst?",
        "Never as if it were whole: without its last chunk or all of its length, and for a client "
        "of HTTP/1.0 with a reset. An answer that the engine ends by closing is whole only if the "
        "engine takes connections afterwards.",
        "A client of Modal's takes a part for the whole.",
    ),
    Assumption(
        "When may a client go on that sent Expect: 100-continue?",
        "Once it was let in and a container was found; the engine does not see the header.",
        "100 comes at once, before a 401, 429 or 503.",
    ),
    Assumption(
        "How large may headers be?",
        "128 of them, 64 KiB each and for the line of the request; above that 400.",
        "Other limits, or 431.",
    ),
    Assumption(
        "Do the headers that authorise at the proxy reach the engine?",
        "No: Modal-Key, Modal-Secret and an Authorization that carries exactly the proxy token "
        "are taken out; any other Authorization is passed on.",
        "The engine sees the proxy token.",
    ),
    Assumption(
        "Does Modal-Session-ID bind a session to a container?",
        "The same id goes to the same container while it lives and has room.",
        "Requests of one session reach several containers.",
    ),
    Assumption(
        "Where does a log stream begin?",
        "For a deployed app at the moment it is opened, unless it names the last entry seen.",
        "Earlier lines are sent first.",
    ),
    Assumption(
        "Which statuses do a server's statistics tell apart?",
        "Families: 200, 300, 400 and 500, as the CLI shows them. A client that left before its "
        "answer counts as 400.",
        "Single statuses are counted in `Server.stats()`.",
    ),
    Assumption(
        "What are the percentiles of statistics called?",
        "`Duration (s)` for requests; `Startup time (s)`, `CPU usage (cores)` and `Memory usage "
        "(GiB)` for containers; nearest rank.",
        "`stats --json` has other names.",
    ),
    Assumption(
        "Which containers are started, errored or total in a span of time?",
        "Those whose process started in it, that ended in it without having been asked to, and "
        "that existed at some moment of it.",
        "The counts differ from those that Modal shows.",
    ),
    Assumption(
        "What is the route of a single request?",
        "Its method and its path, without the query: `GET /v1/models`.",
        "`modal server requests` shows another form.",
    ),
    Assumption(
        "Which time series are in which group of metrics?",
        "Those that `modal server metrics` lists here. The groups are Modal's; the names are "
        "ours and end in how a bucket's values became one: count, sum, avg, max, p50.",
        "A name from here does not exist there.",
    ),
    Assumption(
        "What are the keys and units of billing rates?",
        "CPU by the core-second, Memory by the GiB-second, and each type of GPU by the second, "
        "in USD.",
        "`modal billing rates --json` has other keys, or prices by the hour.",
    ),
    Assumption(
        "Does a stream of logs keep lines apart?",
        "Yes: an entry is a line, without its carriage return; one of more than 65,536 "
        "characters is several entries.",
        "Entries break elsewhere.",
    ),
    Assumption(
        "Which lines of a container belong to a function call?",
        "Those from the start of one of its inputs until the next one's in that container, at most "
        "a second past its end.",
        "With inputs at once in one container, `--function-call` shows other lines.",
    ),
    Assumption(
        "How long is a stopped app listed?",
        "For an hour.",
        "It leaves `modal app list` earlier or later.",
    ),
    Assumption(
        "Is an RPC with the same x-idempotency-key carried out once?",
        "Each that changes something is, also when it comes again while it still runs, as long as "
        "its answer is among the last 4,096; AppCreate, AppPublish, AppRollback and AppRollover "
        "even across a restart. What only reads is read again.",
        "A publish that is retried after a lost answer makes two versions.",
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
    Assumption(
        "What does a revoked token get?",
        "UNAUTHENTICATED, for every call.",
        "Another status, or calls that still work.",
    ),
    Assumption(
        "Is an image built again whose build failed, or was forced?",
        "Yes, as another image with an id of its own; from then on the recipe stands for that.",
        "The id of the failed or earlier image comes back.",
    ),
    Assumption(
        "What does an image's name stand for once it was published twice?",
        "For the later image; the history shows both, and deleting the name deletes it too.",
        "`modal image names list` shows the earlier one, or publishing is refused.",
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
        "Read those that stay inside it; one that leads out of it is not found.",
        "Another status, or the link's own text is read.",
    ),
    Assumption(
        "Who may open a protected server?",
        "Every proxy token of the workspace that the app is in; tokens are not scoped to "
        "environments.",
        "A token is refused that was not allowed for the environment.",
    ),
    Assumption(
        "What is apart between workspaces?",
        "Environments and all that lives in them, tokens and settings. Images, mounts and uploaded "
        "files are by content: the same content has the same id for all.",
        "On Modal a workspace has image ids of its own.",
        deliberate=True,
    ),
    Assumption(
        "When was a Secret last used?",
        "Not recorded.",
        "`modal secret list` shows a time on Modal.",
        deliberate=True,
    ),
    Assumption(
        "Are images built?",
        "No: containers run this interpreter and what this machine has installed; of an image only "
        "its ENV lines count, without PATH, HOME, PYTHONPATH, LD_LIBRARY_PATH and TMPDIR, and the "
        "local files and folders that it copies in.",
        "A package that the image installs is missing here.",
        deliberate=True,
    ),
    Assumption(
        "Are there GPUs?",
        "No: containers run on the processor. Without an inventory a request for any GPU is "
        "placed at once and told `cpu`; with one, containers are told what they were given of it.",
        "On Modal the card is there.",
        deliberate=True,
    ),
    Assumption(
        "Are CPU, memory, disk, GPU, region and network limits kept?",
        "No: they are recorded and not enforced.",
        "A container that fits here is killed for memory there.",
        deliberate=True,
    ),
    Assumption(
        "What does a container see of the network?",
        "A server whose app does not name MODELCTL_PORT, and a web_server, are alone in a network "
        "namespace where this machine permits it: there the port is free, eth0 is the one "
        "interface, and the web is reached by the HTTP proxy that HTTPS_PROXY names. Any other "
        "container shares this machine's network.",
        "On Modal programs that know no proxy, UDP and the URLs of other servers work too.",
        deliberate=True,
    ),
    Assumption(
        "Where does a container find its files and Volumes?",
        "At their paths, among this machine's files, where its app does not name "
        "MODELCTL_MOUNT_ROOT and this machine permits mount namespaces; else below the folder "
        "that this variable names.",
        "On Modal always at their paths, among the image's files.",
        deliberate=True,
    ),
    Assumption(
        "When do others see what a container writes to a Volume?",
        "At once; commit and reload do nothing.",
        "On Modal other containers see it after a commit and a reload.",
        deliberate=True,
    ),
    Assumption(
        "Is a Volume mounted read_only protected?",
        "Where this machine permits mount namespaces (Linux, mostly): a write fails with EROFS. "
        "Elsewhere the option is recorded and not enforced.",
        "On Modal a write fails always.",
        deliberate=True,
    ),
    Assumption(
        "Are memory snapshots taken?",
        "No: enter hooks run in Modal's order, each time.",
        "State made before a snapshot is there again after a restore.",
        deliberate=True,
    ),
    Assumption(
        "What do billing reports count?",
        "Modal's list prices for the seconds from a container's start to its end: the GPU that "
        "it was given, and the CPU and memory that it asked for (0.125 cores and 128 MiB if "
        "nothing). On the processor no GPU is counted; use above what was asked, regional and "
        "other surcharges, storage and credits are left out.",
        "The bill is another: Modal counts the greater of what was asked for and what was used.",
        deliberate=True,
    ),
    Assumption(
        "How many logs and statistics are kept?",
        "200,000 lines of logs (256 MiB), 200,000 requests, inputs and samples each, and 50,000 "
        "containers of all apps together; the oldest go first. A container that writes more "
        "than 9,000 lines a second waits.",
        "Older ones are still there, for as long as the plan keeps logs.",
        deliberate=True,
    ),
    Assumption(
        "What do CPU and memory metrics show?",
        "The container's processes, sampled every 15 seconds from /proc: nothing where there is "
        "no /proc. GPU and network metrics are empty.",
        "They have values there.",
        deliberate=True,
    ),
    Assumption(
        "Is HTTP/2 proxied?",
        "No: clients speak HTTP/1.1 (WebSockets included) or 1.0.",
        "A client that insists on HTTP/2 connects there and not here.",
        deliberate=True,
    ),
    *FUNCTIONS,
)
