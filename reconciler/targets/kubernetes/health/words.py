"""Kubernetes' sentences as one line that says what is wrong (pure): without the frames that every layer puts around the one before it."""

import re
from typing import Final

LIMIT: Final = 300  # characters of one line
ESCAPES: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
FRAMES: Final = re.compile(
    r"""^(?:
        back-off[ ]pulling[ ]image[ ](?:"[^"]*"|\S+)(?::[ ]|$)
      | failed[ ]to[ ]pull[ ](?:and[ ]unpack[ ])?image(?:[ ]"[^"]*")?:[ ]
      | failed[ ]to[ ]resolve[ ](?:reference|image)(?:[ ]"[^"]*")?:[ ]
      | rpc[ ]error:[ ]code[ ]=[ ]\w+[ ]desc[ ]=[ ]
      | error:[ ](?:ErrImagePull|ImagePullBackOff)$
      | (?:ErrImagePull|ImagePullBackOff):[ ]
      | failed[ ]to[ ]authorize:[ ]
      | failed[ ]to[ ]fetch[ ](?:anonymous|oauth)[ ]token:[ ]
      | unexpected[ ]status(?:[ ]from[ ]\w+[ ]request[ ]to[ ]\S+|[ ]code[ ]\S+):[ ]
    )""",
    re.VERBOSE | re.IGNORECASE,
)
PULLED: Final = re.compile(r'(?:pulling|pull|unpack) image "([^"]+)"', re.IGNORECASE)
AFTERTHOUGHTS: Final = re.compile(r"[.,;]? (?:no new claims to deallocate|preemption:).*$", re.DOTALL)
FORBIDDEN: Final = re.compile(r'^(?:Internal error occurred: )?(?:pods|replicasets\.apps) "[^"]*" is forbidden: ')


def one_line(text: str, last: bool = False) -> str:
    """The text without escapes, line ends and control characters, cut at LIMIT; last: only its last line that says something."""
    said = [line for line in map(_printable, ESCAPES.sub("", text).splitlines()) if line]
    return _cut((said[-1] if last else " ".join(said)) if said else "")


def _printable(line: str) -> str:
    return " ".join("".join(char if char.isprintable() else " " for char in line).split())


def _cut(text: str) -> str:
    return text if len(text) <= LIMIT else text[: LIMIT - 3] + "..."


def pull_cause(text: str, image: str = "") -> str:
    """Why an image cannot be pulled: what the registry or the container runtime said, or "" where the text has only the frames.

    `Back-off pulling image "x:1": ErrImagePull: rpc error: code = NotFound desc = failed to pull and unpack image "x:1": failed to resolve
    reference "x:1": x:1: not found` -> `not found`.
    """
    found = _printable(text)
    names = {image, *re.findall(r'"([^"]*)"', found)} - {""}
    while match := FRAMES.match(found):
        found = found[match.end() :]
    name = next((name for name in names if found.startswith(f"{name}: ")), "")
    return _cut(found.removeprefix(f"{name}: "))


def pulled_image(text: str, image: str) -> str:
    """What could not be pulled: the container's image, or the one of a volume of it (a model), which only the message names."""
    found = PULLED.search(text)
    return image if found is None or image in found.group(1) else found.group(1)


def scheduling_sentence(text: str) -> str:
    """What the scheduler counted, without what it says about preemption: `0/1 nodes are available: 1 Insufficient nvidia.com/gpu`."""
    return one_line(AFTERTHOUGHTS.sub("", text)).rstrip(".")


def refusal(text: str) -> str:
    """Why a pod was refused (quota, pod security, a webhook), without the name of the pod, which is another one at every try."""
    return one_line(FORBIDDEN.sub("", text))
