"""What does a deploy change, and what comes of apps and images? Assumed, not checked."""

from modelctl.local.assumptions.row import Assumption

DEPLOYS: tuple[Assumption, ...] = (
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
        "How long is a stopped app listed?",
        "For an hour.",
        "It leaves `modal app list` earlier or later.",
    ),
    Assumption(
        "Is an RPC with the same x-idempotency-key carried out once?",
        "Each that changes something is, also when it comes again while it still runs, as long as "
        "its answer is among the last 4,096; AppCreate, AppPublish, AppRollback, AppRollover, "
        "DictUpdate and FunctionMap even across a restart. What only reads is read again.",
        "A publish that is retried after a lost answer makes two versions.",
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
)
