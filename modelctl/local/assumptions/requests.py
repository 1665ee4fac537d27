"""What becomes of requests to servers on their way to a container? Assumed, not checked."""

from modelctl.local.assumptions.row import Assumption

REQUESTS: tuple[Assumption, ...] = (
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
        "Who may open a protected server?",
        "Every proxy token of the workspace that the app is in; tokens are not scoped to "
        "environments.",
        "A token is refused that was not allowed for the environment.",
    ),
)
