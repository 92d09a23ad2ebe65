"""What Kubernetes' refusals mean: an HTTP answer (status and Status object) becomes one of our errors, with a code and a way out.

`KubeUnavailable` where trying again may help, `KubeRefused` where somebody must do something first:

    KUBE1 nobody answers            KUBE2 credentials are refused    KUBE3 a right is missing
    KUBE4 the object is refused     KUBE5 no Kubernetes, or too old  KUBE6 the namespace or object is being deleted
    KUBE7 changed since planned     KUBE8 throttled                  KUBE9 the kubeconfig is wrong
    KUBE10 the kind is not there    KUBE11 admission refuses         KUBE12 the quota is used up
    KUBE13 others own these fields  KUBE14 it is not there           KUBE15 a webhook knows no dry run
    KUBE16 the server is in trouble KUBE17 the history is gone: LIST again
"""

import http.client
import re
import socket
import ssl
from collections.abc import Callable, Mapping
from typing import Final

from reconciler.errors import TargetRefused, TargetUnavailable
from reconciler.targets.kubernetes.api.refusal import Refusal, cut
from reconciler.targets.kubernetes.settings import HOME

NOBODY: Final = "KUBE1"
CREDENTIALS: Final = "KUBE2"
NO_RIGHT: Final = "KUBE3"
BAD_OBJECT: Final = "KUBE4"
NOT_KUBERNETES: Final = "KUBE5"
TERMINATING: Final = "KUBE6"
CHANGED: Final = "KUBE7"
THROTTLED: Final = "KUBE8"
KUBECONFIG: Final = "KUBE9"
KIND_MISSING: Final = "KUBE10"
ADMISSION: Final = "KUBE11"
QUOTA: Final = "KUBE12"
CONFLICT: Final = "KUBE13"
MISSING: Final = "KUBE14"
NO_DRY_RUN: Final = "KUBE15"
TROUBLE: Final = "KUBE16"
EXPIRED: Final = "KUBE17"

AGAIN: Final = frozenset({NOBODY, TERMINATING, CHANGED, THROTTLED, MISSING, TROUBLE, EXPIRED})  # the next pass may succeed

# 500 that will be 500 for ever: the server answers so when a manifest does not fit the schema, and when etcd finds it too large.
PERMANENT: Final = ("failed to create typed patch object", "failed to create typed live object", "request is too large")

WORDS: Final[Mapping[str, tuple[str, str]]] = {
    NOBODY: ("the Kubernetes API server does not answer", "see that it runs, and that `server` in the kubeconfig is right"),
    CREDENTIALS: ("Kubernetes refuses the credentials", "renew the token or certificate of this user in the kubeconfig"),
    NO_RIGHT: ("a right is missing in Kubernetes", "apply deploy/kubernetes/rbac.yaml and bind it to this user"),
    BAD_OBJECT: ("Kubernetes refuses the object", "correct what the message names"),
    NOT_KUBERNETES: ("that is no Kubernetes API", "write the API server's address into `server` of the kubeconfig"),
    TERMINATING: ("it is still being deleted in Kubernetes", "nothing, the next pass tries again; if it stays, see its finalizers"),
    CHANGED: ("changed since planned", "nothing: the next pass plans anew"),
    THROTTLED: ("Kubernetes throttles us", "nothing, the next pass goes on; if it stays, see the server's flow control"),
    KUBECONFIG: ("the kubeconfig is wrong", "correct it"),
    KIND_MISSING: ("Kubernetes does not know this kind", "install its CustomResourceDefinition, or a version that serves it"),
    ADMISSION: ("an admission rule of the cluster refuses the object", "change the declaration, or have the rule changed"),
    QUOTA: ("the namespace's quota does not allow it", "raise the ResourceQuota, or ask for less"),
    CONFLICT: ("others own these fields", "leave the fields to them, or take them over"),
    MISSING: ("it is not there in Kubernetes", "nothing: the next pass plans anew"),
    NO_DRY_RUN: ("a webhook of the cluster does not support dry run", "have it declare sideEffects: None or NoneOnDryRun"),
    TROUBLE: ("the Kubernetes API server is in trouble", "nothing, the next pass tries again; if it stays, see its log"),
    EXPIRED: ("the server no longer has that much history", "nothing: everything is listed again"),
}

CAUSES: Final = 5  # of one refusal


class TooLarge(Exception):
    """An answer beyond what we read. It would be too large the next time, too."""


# What went wrong on the way, the first that fits: its code, what it means ({} for its own words), what to do ("" for the code's usual).
SILENCES: Final[tuple[tuple[type[Exception], str, str, str], ...]] = (
    (ConnectionRefusedError, NOBODY, "the connection is refused: nothing listens there", ""),
    (ConnectionError, NOBODY, "{}", ""),
    (socket.gaierror, NOBODY, "the server's name is not found: {}", ""),
    (TimeoutError, NOBODY, "no answer in time", ""),
    (TooLarge, BAD_OBJECT, "{}", "list fewer at once"),
    (http.client.IncompleteRead, TROUBLE, "the answer is cut off", ""),
    (http.client.HTTPException, TROUBLE, "the answer is broken: {}", ""),
)

_DENIED: Final = re.compile(
    r'User "(?P<user>[^"]*)" cannot (?P<verb>\S+) resource "(?P<resource>[^"]+)" in API group "(?P<group>[^"]*)"'
    r'(?: in the namespace "(?P<namespace>[^"]+)")?'
)


class KubeRefused(TargetRefused):
    """refusal: what the server said, None when it did not come to that."""

    refusal: Refusal | None = None


class KubeUnavailable(TargetUnavailable):
    """unknown: what was asked may have been done."""

    refusal: Refusal | None = None
    unknown: bool = False


def code_of(found: Refusal) -> str:
    return next(code for code, is_it in RULES if is_it(found))


def error_of(found: Refusal, asked: str, where: str) -> KubeRefused | KubeUnavailable:
    """The error to raise. asked: method and path, for the message."""
    code = code_of(found)
    what, todo = WORDS[code]
    why = f"{asked} answers {found.status}" + (f": {said}" if (said := _said(found)) else "")
    if code == NO_RIGHT and (denied := _DENIED.search(found.message)):
        why, todo = _right(denied)
    return raised(code, what, why, todo, where, found)


def raised(code: str, what: str, why: str, todo: str, where: str, found: Refusal | None = None) -> KubeRefused | KubeUnavailable:
    """The class follows from the code."""
    kind = KubeUnavailable if code in AGAIN else KubeRefused
    error = kind(what, why=why, todo=todo, where=where, code=code)
    error.refusal = found
    return error


def refused(code: str, why: str, todo: str, where: str) -> KubeRefused:
    """With the words of the code; todo "" for the usual one."""
    what, usual = WORDS[code]
    return KubeRefused(what, code=code, why=why, todo=todo or usual, where=where)


def no_answer(cause: Exception, asked: str, where: str) -> KubeRefused | KubeUnavailable:
    """What a request that got no answer means."""
    code, why, todo = _silence(cause)
    what, usual = WORDS[code]
    return raised(code, what, f"{asked}: {why}", todo or usual, where)


def _silence(cause: Exception) -> tuple[str, str, str]:
    """Code, why, todo ("" for the usual one)."""
    text = cut(str(cause)) or type(cause).__name__
    if isinstance(cause, ssl.SSLError):
        return _no_handshake(cause, text)
    for kind, code, why, todo in SILENCES:
        if isinstance(cause, kind):
            return code, why.format(text), todo
    return NOBODY, text, ""


def _no_handshake(cause: ssl.SSLError, text: str) -> tuple[str, str, str]:
    if isinstance(cause, ssl.SSLCertVerificationError):
        todo = "put the cluster's CA into certificate-authority-data; for another name in the certificate, set tls-server-name"
        return KUBECONFIG, f"the server's certificate is not trusted: {cut(cause.verify_message or text)}", todo
    if "WRONG_VERSION_NUMBER" in text:
        return NOT_KUBERNETES, "it does not speak TLS there", "see port and scheme of `server` in the kubeconfig"
    if "ALERT" in text and any(word in text for word in ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED")):
        return CREDENTIALS, f"the server does not take the client certificate: {text}", ""
    return NOBODY, text, ""


def _said(found: Refusal) -> str:
    if not found.causes:
        return cut(found.message)
    if found.managers:
        return "; ".join(f"{manager} owns {', '.join(fields)}" for manager, fields in sorted(found.managers.items()))
    lines = list(dict.fromkeys(": ".join(part for part in (cause.field, cause.text) if part) for cause in found.causes))
    more = f" and {len(lines) - CAUSES} more" if len(lines) > CAUSES else ""
    return "; ".join(lines[:CAUSES]) + more


def _right(denied: re.Match[str]) -> tuple[str, str]:
    group, resource, verb = denied["group"], denied["resource"], denied["verb"]
    place = f"in namespace {denied['namespace']}" if denied["namespace"] else "in the whole cluster"
    full = f"{resource}.{group}" if group else resource
    rule = f'{{apiGroups: ["{group}"], resources: ["{resource}"], verbs: ["{verb}"]}}'
    todo = f"apply deploy/kubernetes/rbac.yaml; of it this rule is missing: {rule}"
    if (resource, verb) == ("namespaces", "delete"):
        todo = f"delete it by hand, or give this rule, which deploy/kubernetes/rbac.yaml leaves out: {rule}"
    elif resource == "configmaps" and denied["namespace"] != HOME:
        todo = f"deploy/kubernetes/rbac.yaml gives it in {HOME} alone: give this rule in {denied['namespace']} as well: {rule}"
    return f"{denied['user']} may not {verb} {full} {place}", todo


def _has(text: str) -> Callable[[Refusal], bool]:
    return lambda found: text in found.message


def _is(*statuses: int) -> Callable[[Refusal], bool]:
    return lambda found: found.status in statuses


def _caused(reason: str) -> Callable[[Refusal], bool]:
    return lambda found: any(cause.reason == reason for cause in found.causes)


def _other_uid(found: Refusal) -> bool:
    return found.status == 422 and any(cause.field == "metadata.uid" for cause in found.causes)


def _admission(found: Refusal) -> bool:
    denied = " denied request: " in found.message or " denied the request" in found.message
    forbidden = found.status == 403 and found.spoken and not _DENIED.search(found.message) and "cannot" not in found.message
    return found.status < 500 and (denied or forbidden)


def _permanent(found: Refusal) -> bool:
    return found.status == 500 and any(text in found.message for text in PERMANENT)


# The first that fits. Words of a message are looked at only where the server gives no reason that a program could read.
RULES: Final[tuple[tuple[str, Callable[[Refusal], bool]], ...]] = (
    (CREDENTIALS, _is(401, 407)),
    (CREDENTIALS, _has('User "system:anonymous" cannot')),
    (TERMINATING, _caused("NamespaceTerminating")),
    (TERMINATING, _has("object is being deleted")),
    (QUOTA, _has("exceeded quota")),
    (QUOTA, _has("failed quota")),
    (ADMISSION, _admission),
    (NO_RIGHT, lambda found: found.status == 403 and found.spoken),
    (EXPIRED, lambda found: found.status == 410 or found.reason == "Expired"),
    (CONFLICT, _caused("FieldManagerConflict")),
    (CHANGED, _is(409)),
    (CHANGED, _other_uid),
    (THROTTLED, _is(429)),
    (NO_DRY_RUN, _has("does not support dry run")),
    (MISSING, lambda found: found.status == 404 and bool(found.name)),
    (KIND_MISSING, lambda found: found.status == 404 and found.spoken),
    (BAD_OBJECT, _permanent),
    (TROUBLE, lambda found: found.status >= 500 or found.status == 408),
    (NOT_KUBERNETES, lambda found: not found.spoken),
    (BAD_OBJECT, lambda _: True),
)
