"""A document as the body of an apply. The server reads it as YAML, which disagrees with JSON on some characters (seen on 1.36):

- an escaped pair of surrogates, as `json` writes an emoji, is refused; the character itself is taken;
- DEL, the C1 controls, U+FFFE and U+FFFF are refused as they are, and taken when escaped;
- U+0085, a line break in YAML, silently becomes a blank: what is stored would differ from what was applied, and be applied for ever.

So: every character as itself, and only these escaped.
"""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from reconciler.resource import Json

# Their bytes in UTF-8. In JSON they can only stand inside of a text, where an escape means the same.
ESCAPED: Final = re.compile(rb"\x7f|\xc2[\x80-\x9f]|\xef\xbf[\xbe\xbf]")


def encoded(document: Mapping[str, Json]) -> bytes:
    """The bytes to send with `application/apply-patch+yaml`."""
    return ESCAPED.sub(_escape, msgspec.json.encode(document))


def _escape(found: re.Match[bytes]) -> bytes:
    return b"\\u%04x" % ord(found[0].decode("utf-8"))
