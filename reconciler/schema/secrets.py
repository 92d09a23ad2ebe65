"""What looks like a secret (E70): known prefixes and key blocks. A declaration names secrets, it never holds one."""

import re
from typing import Final

PATTERNS: Final = (  # what it is, words of which one stands in each, how it looks
    ("a private key", ("PRIVATE KEY-----",), r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----"),
    ("an age key", ("AGE-SECRET-KEY-1",), r"AGE-SECRET-KEY-1[0-9A-Z]{20,}"),
    ("a Hugging Face token", ("hf_",), r"\bhf_[A-Za-z0-9]{30,}"),
    ("an API key of ours", ("rcl_",), r"\brcl_[a-km-np-z2-9]{10}_[0-9A-Za-z]{49}"),
    ("an API key", ("sk-",), r"\bsk-[A-Za-z0-9_-]{20,}"),
    ("an NVIDIA key", ("nvapi-",), r"\bnvapi-[A-Za-z0-9_-]{20,}"),
    (
        "a GitHub token",
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,})",
    ),
    ("a GitLab token", ("glpat-",), r"\bglpat-[A-Za-z0-9_-]{20,}"),
    ("an AWS key", ("AKIA",), r"\bAKIA[0-9A-Z]{16}\b"),
    ("a Slack token", ("xox",), r"\bxox[abprs]-[A-Za-z0-9-]{10,}"),
)
_ALL: Final = re.compile("|".join(f"({pattern})" for _, _, pattern in PATTERNS))
_BYTES: Final = re.compile(_ALL.pattern.encode())
_WORDS: Final = tuple(word.encode() for _, words, _ in PATTERNS for word in words)


def secret_in(text: str) -> str:
    """What kind of secret a text looks like, or ""."""
    match = _ALL.search(text)
    return PATTERNS[match.lastindex - 1][0] if match and match.lastindex else ""


def may_hold_secrets(data: bytes) -> bool:
    """A quick look at a whole file, so that its values are only walked when it is worth while. The words come first: `re` tries ten
    patterns at each byte, which was a seventh of the time in which a repo is read."""
    return any(word in data for word in _WORDS) and _BYTES.search(data) is not None
