"""Which span of the plane's time does a request mean?"""

import time

from modelctl.local.clock import Clock
from modelctl.local.protobuf import Timestamp

PRESENT = 30.0  # seconds that may pass between a client's look at the clock and its request
_USUAL = 3600.0


def seconds(stamp: Timestamp) -> float:
    return float(stamp.seconds + stamp.nanos / 1e9)


def span(since: Timestamp, until: Timestamp, clock: Clock) -> tuple[float, float]:
    """The beginning and the end, which is exclusive; the last hour where they are left out.

    Clients tell the time by the machine's clock. Where the plane's was moved ahead of it, a span
    that reaches the client's present reaches the plane's: nothing that has happened is hidden.
    """
    end = seconds(until) or time.time()
    begin = seconds(since) if since.seconds else end - _USUAL
    if end >= time.time() - PRESENT:
        end += clock.ahead
    return begin, end
