"""Is it right? Small rules in lists; what they find gets its place, severity and pardon after."""

from modelctl.checks.judge import check

__all__ = ["check"]
