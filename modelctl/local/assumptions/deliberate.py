"""Where does this machine differ from Modal on purpose, because it cannot or should not follow?"""

from modelctl.local.assumptions.row import Assumption

DELIBERATE: tuple[Assumption, ...] = (
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
        "Has a container cores of its own?",
        "No: all of them share this machine's, so OMP_WAIT_POLICY is passive where the image does "
        "not say it: threads that wait then sleep instead of spinning, which is slower for one "
        "engine alone and much faster for several.",
        "On Modal a container has the cores that it asked for, and OMP_WAIT_POLICY is not set.",
        deliberate=True,
    ),
    Assumption(
        "What addresses has a cluster?",
        "The loopback, for every rank: a port that one rank listens on is taken for the others and "
        "for other clusters of this machine.",
        "On Modal each container has an address of its own, and the same port on each.",
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
        "Is the type of a GPU checked?",
        "No: any name is taken, in any count. Without an inventory it runs on the processor; with "
        "one, a container whose types it lacks waits.",
        "A deploy with a type or a count that Modal lacks is refused there.",
        deliberate=True,
    ),
    Assumption(
        "Are sessions of @modal.sessioned() served?",
        "No: such a server deploys and answers, but Server.sessions.start() is refused. The "
        "Modal-Session-ID header is served.",
        "A client with a session token is bound to a container there.",
        deliberate=True,
    ),
    Assumption(
        "Does a container learn its region, cloud and identity?",
        "No: MODAL_REGION, MODAL_CLOUD_PROVIDER and MODAL_IDENTITY_TOKEN are not set.",
        "Code that reads them fails here only.",
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
        "Where may a Volume be mounted?",
        "Where the image has no files. Inside another Volume only on a folder that it has, and "
        "where this machine permits mount namespaces. Else the container does not start, and its "
        "log says why.",
        "On Modal a container with Volumes inside each other starts without that folder.",
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
    Assumption(
        "How many containers does a function get that names no max_containers?",
        "Four for each core of this machine, at least eight.",
        "A large map runs on hundreds of containers there.",
        deliberate=True,
    ),
    Assumption(
        "Is a slow HTTP request to a web function redirected?",
        "No: it is held until the answer, the function's timeout or the client's end.",
        "After 150 s Modal answers 303 and goes on under another address.",
        deliberate=True,
    ),
    Assumption(
        "Are functions called on a schedule?",
        "No: schedules are recorded and shown, and nobody calls.",
        "On Modal the function runs at those times.",
        deliberate=True,
    ),
)
