"""What do logs, statistics, metrics and rates show? Assumed, not checked."""

from modelctl.local.assumptions.row import Assumption

OBSERVING: tuple[Assumption, ...] = (
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
)
