"""What leaves this box (the status branch) carries no secret, no host name, no address and no path of ours.

Texts of errors are written for the person beside the machine; a status branch is read by everybody who may read the repository.
"""

import re
from collections.abc import Iterable
from typing import Final

HEX: Final = "[0-9a-fA-F]{1,4}"
SECRETS: Final = (
    (re.compile(r"rcl_([a-km-np-z2-9]{10})_[0-9A-Za-z]{6,}"), r"rcl_\1_..."),  # a key of ours keeps its public id
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"), r"\1 ..."),
    (re.compile(r"(?i)\b((?:[\w-]*(?:token|password|passwd|secret|api[-_]?key)))(\s*[=:]\s*)(\"[^\"]*\"|'[^']*'|\S+)"), r"\1\2..."),
    (re.compile(r"\b(?:hf|ghp|gho|ghs|glpat|sk)[-_][A-Za-z0-9_-]{16,}"), "..."),
    (re.compile(r"(://)[^\s/@]+@"), r"\1...@"),
)
PLACES: Final = (
    (re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s\"'<>)\]]+"), "(url)"),
    (re.compile(rf"\[?(?<![\w:])(?:(?:{HEX}:){{4,7}}{HEX}|(?:{HEX}:)*:(?:{HEX}:)*{HEX})(?![\w:])\]?(?::\d+)?"), "(address)"),
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b"), "(address)"),
    (re.compile(r"\b(?:[a-z0-9-]+(?:\.[a-z0-9-]+)+:\d{2,5}|[a-z0-9-]+:\d{4,5})\b", re.IGNORECASE), "(address)"),
    (re.compile(r"(?<![\w.)/-])(?:~|/)(?:[\w.@+-]+/)+[\w.@+-]*"), "(path)"),
    (re.compile(r"(?<![\w.)/-])/[\w.@+-]{2,}"), "(path)"),
)


def without_secrets(text: str) -> str:
    """The text without keys, tokens and passwords: for logs and crash files, which stay on this box."""
    for pattern, instead in SECRETS:
        text = pattern.sub(instead, text)
    return text


def redact(text: str, names: Iterable[str] = ()) -> str:
    """The text without keys, tokens, URLs, addresses and absolute paths; `names` (node host names) go too."""
    for name in sorted({name for name in names if len(name) > 1}, key=len, reverse=True):
        text = text.replace(name, "(node)")
    text = without_secrets(text)
    for pattern, instead in PLACES:
        text = pattern.sub(instead, text)
    return text
