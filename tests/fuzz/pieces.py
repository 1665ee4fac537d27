"""Which texts have broken readers of YAML, terminals, templates and file systems before?"""

from __future__ import annotations

HOSTILE = (
    "", " ", "\t", "\n", "\r\n", "a\nb", "'", '"', '"""', "'''", "\\", "\\\\", "\\N{BULLET}",
    "\\x00", "\\u202e", "\x00", "\x07", "\x1b[31m", "\x1b]0;title\x07", "\x7f", "\x85", "\u2028",
    "\u202e", "\u2066", "\ufeff", "\ufffe", "\ud800", "\udfff", "é", "e\u0301", "🙂", "ﬀ", "Ⅷ", "٣",
    "{{ x }}", "{{ 7*7 }}", "{% for %}", "{# x #}", "${HOME}", "$(id)", "`id`", "{x!r}", "%s",
    "{0.__class__}", "f'{x}'", "__import__('os')", "import os", "'); import os; ('", "#", "# x",
    "--option", "-x", "../..", "../../etc/passwd", "/etc/passwd", "/dev/zero", "/proc/self/mem",
    "~", "~nobody-here/x", "~/x", "./x", ".", "..", "/", "//", "a//b", "file:///etc/passwd",
    "C:\\x", "hf://", "hf://o/r", "hf://../..", "hf://o/r@main", "volume://", "volume://v/../..",
    "s3://b", "s3://", "r2://b/p", "gs://b/p", "x://y", "http://169.254.169.254/", "://", "a" * 300,
    "a" * 5000, "[" * 5000, '{"a":' * 5000,
    "é" * 300, "no", "yes", "on", "null", "true", "3.10", "12:30", "0o17", "0x1F",
    "1_000", "1e999", "-1", "0", "-0", "0.0", ".inf", "-.inf", ".nan", "1e-400", "1.", ".5",
    "9223372036854775807", "9223372036854775808", "-9223372036854775809", "1" * 40, "1" * 5000,
    "2026-11-21", "2026-11-21T10:00:00Z", "99999d", "0s", "1e9s", "90", "5m", "16GiB", "0B",
    "999999999999TiB", "H100", "H100:8", "H100:0", "H100:99999", "H100:", ":8", "none", "any",
    "hf_" + "a" * 30, "KEY=" + "a" * 30, "https://u:pass@h/p", "eyJ" + "a" * 20, "*", "?", "[", "]",
    "[a-z", "(", ")", "(?P<x>", "(a+)+$", "**/*", "*.gguf", "{", "}", "|", ">", "%", "@", "&a",
    "*a", "!!python/object:os.system", "!x", "<<", "---", "...", "- ", ": ", ", ", "%YAML 1.1",
    "CON", "__proto__", "__class__", "self", "None", "apiVersion", "local", "prod",
)  # fmt: skip

TAGS = ("!!binary ", "!!python/name:os.system ", "!!set ", "!!omap ", "!!timestamp ", "!!float ",
    "!!int ", "!!null ", "!!str ", "!x ", "!<tag:x> ", "! ", "&a ", "&a &b ")  # fmt: skip

TOKENS = (
    *":,[]{}-?&*!|>'\"%@`#~<=+._ \t\n\r0123456789",
    *HOSTILE, *TAGS, "\n  ", "\n- ", "\n\n", ": ", "<<: *a\n", "a: &a ", "{{", "}}", "|-\n  ",
    ">+\n  ", "? ", "\n...\n", "\n---\n", "!!", "&" * 30, "*" * 30,
)  # fmt: skip

LINES = ("-eyJ", "://", "KEY", "A_KEY=", "sk-", "hf_", "wk-a", "{{", "${", "\t", "- ", "? ", "[",
    "{", "'", '"', "\\", "a: ", "#", "&a ", "*a ", "é", "@", "..", "../", "xox", "%", "0", "\r",
    " ", "A", "_", ": ", ",", "!!", "'\"", "\x85", "\u2028", "(", "a-", "1:", "1_")  # fmt: skip
"""What a line of many thousand characters is made of: each a trap for a slow pattern."""
