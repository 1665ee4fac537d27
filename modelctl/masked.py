"""What in a text looks like a secret? It is dotted out before anybody sees the text."""

from __future__ import annotations

import re
from functools import cache

_TOKENS = (
    r"(?<![A-Za-z0-9])(?:"
    r"hf_[A-Za-z0-9]{16,}|sk-[A-Za-z0-9_-]{16,}|gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{16,}"
    r"|glpat-[\w-]{16,}|xox[abprs]-[\w-]{10,}|AKIA[0-9A-Z]{12,}|AIza[\w-]{20,}|(?:ak|as|wk|ws)-[A-Za-z0-9]{16,}"
    r"|eyJ[\w-]{10,}(?:\.[\w-]+)*|[rs]k_live_[A-Za-z0-9]{10,}"
    r"|(?:https://)?hooks\.slack\.com/\w+/[\w/-]{10,}"
    r")"
)
_ASSIGNED = (
    r"\b[A-Z][A-Z0-9_]*(?:TOKEN|SECRET|PASSWORD|PASSWD|KEY|CREDENTIALS?)['\"]?\s*[:=]\s*['\"]?"
    r"(?P<value>[^\s'\",}\]]{8,})"
)
# `secret: NAME` and `key: NAME` say where a secret is; these words are followed by one.
_SAID = (
    r"(?i:password|passwd|passphrase|token|api[_-]?key|secret[_-]?key)['\"]?\s*[:=]\s*['\"]?"
    r"(?P<value>(?![a-z0-9]+://|[{<$])[^\s'\",}\]]{8,})"
)
_ASSIGNED_SHORT = (
    r"\b(?:[A-Z0-9_]*_)?(?:PASS|PW)['\"]?\s*[:=]\s*['\"]?"
    r"(?P<value>(?=[^\s\d]{0,200}\d)(?![a-z0-9]+://|[/{<$])[^\s'\",}\]]{6,})"
)
# As .netrc has it; in prose other words follow.
_NETRC = (
    r"(?i:\bmachine[ \t]{1,20}\S{1,200}[ \t]{1,20}login|^[ \t]{0,200}login)[ \t]{1,20}"
    r"(?!(?:with|and|or|by|via|using|without|a|the|your)\b)\S{1,200}[ \t]{1,20}"
    r"(?i:password)[ \t]{1,20}(?P<value>\S+)"
    # Alone in its line, or with a digit, it is seldom a word of a sentence.
    r"|^[ \t]{0,200}(?i:password)[ \t]{1,20}(?P<alone>(?=\S{0,200}[^a-z\s.,;:!?])\S{4,})[ \t\r]*$"
    r"|(?i:\bpassword)[ \t]{1,20}(?P<inner>(?=\S{0,200}\d)(?=\S{0,200}[A-Za-z])[^\s'\",}\]]{8,})"
)
_HEADER = (
    r"(?i:authorization)['\"]?\s*[:=]\s*['\"]?(?i:bearer|basic|token)[ \t]{1,20}"
    r"(?P<value>[A-Za-z0-9._~+/=-]{6,})"
    r"|(?i:\bbearer)[ \t]{1,20}(?P<inner>(?=[A-Za-z._~+/=-]{0,200}\d)[A-Za-z0-9._~+/=-]{8,})"
)
_IN_URL = r"://[^\s/:@]+:(?P<value>[^\s/@]{3,})@"
_MAYBE = re.compile(
    r"hf_|sk-|gh[pousr]_|github_pat_|glpat-|xox|AKIA|AIza|[aw][ks]-|eyJ|TOKEN|SECRET|PASS|KEY|CREDENTIAL|@|oken|assw|assphrase|[kK]ey"
    r"|PW|[bB]earer|BEARER|uthorization|AUTHORIZATION|k_live_|hooks\.slack"
)


def mask(text: str) -> str:
    """The same text at the same width, with everything that looks like a secret dotted out."""
    if not _MAYBE.search(text):
        return text

    def dots(match: re.Match[str]) -> str:
        if "value" not in match.re.groupindex:
            return match[0][:3] + "•" * (len(match[0]) - 3)
        start, end = match.span(match.lastgroup or "value")
        whole, base = match[0], match.start()
        return whole[: start - base] + "•" * (end - start) + whole[end - base :]

    for pattern in _patterns():
        text = pattern.sub(dots, text)
    return text


@cache
def _patterns() -> tuple[re.Pattern[str], ...]:
    """Compiled when a text may hold one: most hold none, and this takes as long as two specs."""
    said = (_TOKENS, _ASSIGNED, _SAID, _ASSIGNED_SHORT, _NETRC, _HEADER, _IN_URL)
    return tuple(re.compile(one, re.MULTILINE) for one in said)
