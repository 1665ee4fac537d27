"""What does a code mean? One paragraph each: why it is said, and what to do."""

from __future__ import annotations

from collections.abc import Mapping

from modelctl.checks import pages_endpoint, pages_fit, pages_import, pages_model, pages_spec

CATALOGUE: Mapping[str, str] = {
    **pages_endpoint.PAGES,
    **pages_fit.PAGES,
    **pages_import.PAGES,
    **pages_model.PAGES,
    **pages_spec.PAGES,
}
"""Every code that a diagnostic may have → its page."""
