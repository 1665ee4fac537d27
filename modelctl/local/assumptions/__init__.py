"""Which rules of Modal's does the plane follow without anybody having been able to check them?

Each row says what is assumed here and how one would notice on Modal that it is wrong. Deliberate
differences, where this machine cannot or should not do as Modal does, are marked as such.
"""

from modelctl.local.assumptions.deliberate import DELIBERATE
from modelctl.local.assumptions.deploys import DEPLOYS
from modelctl.local.assumptions.functions import FUNCTIONS
from modelctl.local.assumptions.objects import OBJECTS
from modelctl.local.assumptions.observing import OBSERVING
from modelctl.local.assumptions.requests import REQUESTS
from modelctl.local.assumptions.row import Assumption
from modelctl.local.assumptions.servers import SERVERS

__all__ = ["ASSUMPTIONS", "Assumption"]

ASSUMPTIONS: tuple[Assumption, ...] = (
    *DEPLOYS,
    *SERVERS,
    *REQUESTS,
    *FUNCTIONS,
    *OBJECTS,
    *OBSERVING,
    *DELIBERATE,
)
