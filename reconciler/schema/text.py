"""Texts with a form: URLs, paths, times, environment names. Forms that several kinds use."""

import re
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator

from reconciler.schema.base import fault

ENV_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# RFC 1123 subdomain: what the API server takes for most names. Its own message is "a lowercase RFC 1123 subdomain must ...".
KUBERNETES_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
LABEL_KEY: Final = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9._]{0,61}[A-Za-z0-9])?", re.ASCII)
LABEL_VALUE: Final = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9._]{0,61}[A-Za-z0-9])?)?", re.ASCII)
REGISTRY_PATH: Final = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*")
_HOST: Final = re.compile(r"(?=.{1,253}$)[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?(:[1-9]\d{0,4})?", re.ASCII)
TIME: Final = re.compile(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)


def stays_inside(path: str) -> bool:
    """Is it a relative path that leads nowhere else?"""
    return bool(path) and not path.startswith("/") and ".." not in path.split("/") and "\\" not in path


def absolute_path(path: str) -> bool:
    return path.startswith("/") and ".." not in path.split("/")


def _relative(path: str) -> str:
    if path and not stays_inside(path):
        raise fault(
            "E78",
            f"'{path}' leads elsewhere",
            "paths are relative and stay below their folder",
            "write it without a leading / and without ..",
        )
    return path


def _url(url: str) -> str:
    if "@" in url.split("?")[0]:  # said first, so that no other message repeats a password
        raise fault(
            "E70", "a URL with a user or password in it", "what was committed stays in the history", "remove it, and use a reference"
        )
    if url and not _is_url(url):
        raise fault(
            "E75", f"'{url}' is not a URL", "a scheme http or https, a host, perhaps a port and a path", "write it like http://head:8265"
        )
    return url.rstrip("/")


def _is_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
    return good and not (parts.query or parts.fragment) and not any(mark in url for mark in " \t\n\r")


def _time(text: str) -> str:
    if text and not TIME.fullmatch(text):
        raise fault("E72", f"'{text}' is not a time", "times are RFC 3339 with a zone", "write it like 2026-12-31T00:00:00Z")
    return text


def _absolute(path: str) -> str:
    if path and (not absolute_path(path) or not path.isprintable()):
        raise fault("E75", f"'{path}' is not an absolute folder", "it is a place on every node, or on a server", "start it with /")
    return path.rstrip("/") or path[:1]


def _kubernetes_name(name: str) -> str:
    if name and not (len(name) <= 253 and KUBERNETES_NAME.fullmatch(name)):
        why = "names of objects are lower-case letters, digits, '-' and '.', a letter or digit first and last"
        raise fault("E2", f"'{name[:100]}' is not a name in Kubernetes", why, "correct it")
    return name


def _label_key(key: str) -> str:
    if key and not LABEL_KEY.fullmatch(key):
        why = (
            "labels, taints and resources are named like nvidia.com/gpu.product: a domain, /, and at most 63 letters, digits, '-', '_', '.'"
        )
        raise fault("E75", f"'{key[:100]}' is not a name of a label", why, "correct it")
    return key


def _label_value(value: str) -> str:
    if not LABEL_VALUE.fullmatch(value):
        why = "values of labels and taints are at most 63 letters, digits, '-', '_' and '.'"
        raise fault("E75", f"'{value[:100]}' is not a value of a label", why, "correct it")
    return value


def _registry_url(url: str) -> str:
    """Without its scheme, as it stands in a reference to an image."""
    if "@" in url:
        raise fault(
            "E70", "a URL with a user or password in it", "what was committed stays in the history", "remove it, and use a reference"
        )
    host, slash, path = re.sub(r"^(https|oci)://", "", url).rstrip("/").partition("/")
    if not _HOST.fullmatch(host) or len(path) > 255 or (slash and not REGISTRY_PATH.fullmatch(path)):
        why = "a host, perhaps a port and a path in lower case; the scheme is https or oci, or left out"
        raise fault("E75", f"'{url}' is not a registry", why, "write it like https://harbor.local")
    return f"{host}{slash}{path}"


def _registry_path(path: str) -> str:
    if path and not (len(path) <= 255 and REGISTRY_PATH.fullmatch(path)):
        why = "it becomes a part of an image's name: lower-case letters, digits, '.', '_' and '-', with / between"
        raise fault("E75", f"'{path[:100]}' is not a path of a registry", why, "write it like inference")
    return path


Url = Annotated[str, AfterValidator(_url)]
Relative = Annotated[str, AfterValidator(_relative)]
Time = Annotated[str, AfterValidator(_time)]
AbsolutePath = Annotated[str, AfterValidator(_absolute)]
KubernetesName = Annotated[str, AfterValidator(_kubernetes_name)]
LabelKey = Annotated[str, AfterValidator(_label_key)]
LabelValue = Annotated[str, AfterValidator(_label_value)]
RegistryUrl = Annotated[str, AfterValidator(_registry_url)]
RegistryPath = Annotated[str, AfterValidator(_registry_path)]
