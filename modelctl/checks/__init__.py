"""Is it right? Small rules in lists; what they find gets its place, severity and pardon after."""

from modelctl.checks.codes import check_project
from modelctl.checks.judge import check
from modelctl.checks.together import check_together, limits_of

__all__ = ["check", "check_project", "check_together", "limits_of"]
