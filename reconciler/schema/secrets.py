"""What looks like a secret (E70): known prefixes and key blocks. A declaration names secrets, it never holds one."""

import re
from typing import Final

PATTERNS: Final = (
    ("a private key", r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----"),
    ("an age key", r"AGE-SECRET-KEY-1[0-9A-Z]{20,}"),
    ("a Hugging Face token", r"\bhf_[A-Za-z0-9]{30,}"),
    ("an API key of ours", r"\brcl_[a-km-np-z2-9]{10}_[0-9A-Za-z]{49}"),
    ("an API key", r"\bsk-[A-Za-z0-9_-]{20,}"),
    ("an NVIDIA key", r"\bnvapi-[A-Za-z0-9_-]{20,}"),
    ("a GitHub token", r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,})"),
    ("a GitLab token", r"\bglpat-[A-Za-z0-9_-]{20,}"),
    ("an AWS key", r"\bAKIA[0-9A-Z]{16}\b"),
    ("a Slack token", r"\bxox[abprs]-[A-Za-z0-9-]{10,}"),
)
_ALL: Final = re.compile("|".join(f"({pattern})" for _, pattern in PATTERNS))
_BYTES: Final = re.compile(_ALL.pattern.encode())


def secret_in(text: str) -> str:
    """What kind of secret a text looks like, or ""."""
    match = _ALL.search(text)
    return PATTERNS[match.lastindex - 1][0] if match and match.lastindex else ""


def may_hold_secrets(data: bytes) -> bool:
    """A quick look at a whole file, so that its values are only walked when it is worth while."""
    return _BYTES.search(data) is not None
