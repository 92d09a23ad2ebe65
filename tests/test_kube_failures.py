"""What the answers of an API server mean: the code, whether to try again, what is shown of them and what is not."""

import http.client
import json
import re
import socket
import ssl
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.targets.kubernetes.api import failures
from reconciler.targets.kubernetes.api.failures import AGAIN, WORDS, KubeRefused, KubeUnavailable, error_of, no_answer
from reconciler.targets.kubernetes.api.pacing import Gate, wait_before
from reconciler.targets.kubernetes.api.refusal import READ, SHOWN, Refusal, cut, refusal, without_value

pytestmark = pytest.mark.slow  # hundreds of cases: `make test` has them

ERRORS = Path(__file__).resolve().parent.parent / "docs" / "errors.md"


def status(code: int, message: str = "", reason: str = "", *causes: tuple[str, str, str], **details: object) -> Refusal:
    """As the server sends it; causes: reason, field, message."""
    listed = [{"reason": why, "field": field, "message": text} for why, field, text in causes]
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "message": message,
        "reason": reason,
        "code": code,
        "details": {"causes": listed, **details},
    }
    return refusal(code, json.dumps(body).encode())


DENIED = 'deployments.apps is forbidden: User "ci" cannot {verb} resource "deployments" in API group "apps" {place}'
ANONYMOUS = 'pods is forbidden: User "system:anonymous" cannot list resource "pods" in API group "" at the cluster scope'
WEBHOOK = 'admission webhook "policy.example.org" denied the request: no latest tags'
POLICY = "deployments.apps \"a\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: too many replicas"
SECURITY = 'pods "a" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false'
MODIFIED = 'Operation cannot be fulfilled on deployments.apps "a": the object has been modified; please apply your changes to the latest'
CALLING = 'Internal error occurred: failed calling webhook "w.example.org": Post "https://w/": context deadline exceeded'

# As seen on a server of version 1.36.3, and where it says so, of a proxy in front of one.
ANSWERS: dict[str, tuple[Refusal, str]] = {
    "401": (status(401, "Unauthorized", "Unauthorized"), failures.CREDENTIALS),
    "401 of a proxy": (refusal(401, b"<html>Sign in"), failures.CREDENTIALS),
    "anonymous": (status(403, ANONYMOUS, "Forbidden", kind="pods"), failures.CREDENTIALS),
    "no right": (status(403, DENIED.format(verb="list", place="at the cluster scope"), "Forbidden"), failures.NO_RIGHT),
    "no right to a path": (status(403, 'forbidden: User "ci" cannot get path "/version"', "Forbidden"), failures.NO_RIGHT),
    "403 of a proxy": (refusal(403, b"<html>No"), failures.NOT_KUBERNETES),
    "namespace ends": (
        status(403, "unable to create", "Forbidden", ("NamespaceTerminating", "metadata.namespace", "")),
        failures.TERMINATING,
    ),
    "object ends": (status(409, 'object is being deleted: pods "a" already exists', "AlreadyExists"), failures.TERMINATING),
    "quota": (status(403, 'pods "a" is forbidden: exceeded quota: q, requested: pods=1, used: pods=2', "Forbidden"), failures.QUOTA),
    "quota wants limits": (status(403, 'pods "a" is forbidden: failed quota: q: must specify cpu', "Forbidden"), failures.QUOTA),
    "policy": (status(422, POLICY, "Invalid", ("", "", POLICY)), failures.ADMISSION),
    "webhook": (status(403, WEBHOOK, "Forbidden"), failures.ADMISSION),
    "webhook, 400": (status(400, WEBHOOK), failures.ADMISSION),
    "pod security": (status(403, SECURITY, "Forbidden"), failures.ADMISSION),
    "404 of an object": (status(404, 'deployments.apps "a" not found', "NotFound", name="a", kind="deployments"), failures.MISSING),
    "404 of a namespace": (status(404, 'namespaces "n" not found', "NotFound", name="n", kind="namespaces"), failures.MISSING),
    "404 of a kind": (status(404, "the server could not find the requested resource", "NotFound"), failures.KIND_MISSING),
    "404 of a group": (refusal(404, b"404 page not found\n"), failures.KIND_MISSING),
    "404 of something else": (refusal(404, b"<html>Not Found"), failures.NOT_KUBERNETES),
    "redirect": (refusal(302, b""), failures.NOT_KUBERNETES),
    "conflict": (status(409, "", "Conflict", ("FieldManagerConflict", ".spec.replicas", 'conflict with "hpa"')), failures.CONFLICT),
    "modified": (status(409, MODIFIED, "Conflict"), failures.CHANGED),
    "made anew": (status(422, "", "Invalid", ("FieldValueInvalid", "metadata.uid", 'Invalid value: "x": immutable')), failures.CHANGED),
    "history": (status(410, "too old resource version", "Expired"), failures.EXPIRED),
    "history, gone": (status(410, "", "Gone"), failures.EXPIRED),
    "invalid": (status(422, "", "Invalid", ("FieldValueInvalid", "spec.selector", "field is immutable")), failures.BAD_OBJECT),
    "bad request": (status(400, "metadata.managedFields must be nil", "BadRequest"), failures.BAD_OBJECT),
    "dry run": (status(400, 'admission webhook "w" does not support dry run', "BadRequest"), failures.NO_DRY_RUN),
    "schema": (status(500, "failed to create typed patch object (a; apps/v1): .spec.x: field not declared in schema"), failures.BAD_OBJECT),
    "too large": (status(500, "etcdserver: request is too large"), failures.BAD_OBJECT),
    "413": (status(413, "Request entity too large: limit is 3145728", "RequestEntityTooLarge"), failures.BAD_OBJECT),
    "429": (status(429, "Too many requests, please try again later.", "TooManyRequests"), failures.THROTTLED),
    "500": (status(500, "Internal error occurred: etcdserver: leader changed", "InternalError"), failures.TROUBLE),
    "webhook does not answer": (status(500, CALLING, "InternalError"), failures.TROUBLE),
    "503 of a proxy": (refusal(503, b"<html>upstream connect error"), failures.TROUBLE),
    "504": (status(504, "Timeout: request did not complete", "Timeout"), failures.TROUBLE),
}


@pytest.mark.parametrize(("found", "code"), ANSWERS.values(), ids=ANSWERS)
def test_what_an_answer_means(found: Refusal, code: str) -> None:
    error = error_of(found, "PATCH /apis/apps/v1/namespaces/n/deployments/a", "https://api.example.org")

    assert error.problem.code == code
    assert isinstance(error, KubeUnavailable if code in AGAIN else KubeRefused)
    assert error.refusal is found
    assert error.problem.todo


def test_all_codes_are_reached_and_documented() -> None:
    documented = set(re.findall(r"^\| (KUBE\d+) \|", ERRORS.read_text(), re.MULTILINE))

    assert documented == set(WORDS)
    assert set(WORDS) - {code for _, code in ANSWERS.values()} == {failures.NOBODY, failures.KUBECONFIG}


# What is said


def test_a_missing_right_says_which() -> None:
    found = status(403, DENIED.format(verb="patch", place='in the namespace "team-a"'), "Forbidden")

    text = str(error_of(found, "PATCH /x", "cluster"))

    assert "ci may not patch deployments.apps in namespace team-a" in text
    assert 'this rule is missing: {apiGroups: ["apps"], resources: ["deployments"], verbs: ["patch"]}' in text


def test_a_long_name_does_not_hide_the_right() -> None:
    """The name of an object stands first, and may have 253 characters."""
    message = f'deployments.apps "{"n" * 253}" is forbidden: ' + DENIED.format(verb="get", place='in the namespace "x"').partition(": ")[2]

    assert error_of(status(403, message, "Forbidden"), "GET /x", "cluster").problem.code == failures.NO_RIGHT


def test_managers_and_their_fields() -> None:
    causes = [
        ("FieldManagerConflict", field, f'conflict with "{who}" using apps/v1') for who, field in (("b", ".x"), ("a", ".y"), ("b", ".z"))
    ]
    found = status(409, "", "Conflict", *causes)

    assert found.managers == {"b": (".x", ".z"), "a": (".y",)}
    assert "a owns .y; b owns .x, .z" in str(error_of(found, "PATCH /x", "cluster"))


def test_many_causes_are_counted_and_the_same_one_is_shown_once() -> None:
    causes = [("FieldValueRequired", f"spec.f{number // 2}", "Required value") for number in range(16)]

    text = str(error_of(status(422, "", "Invalid", *causes), "PATCH /x", "cluster"))

    assert "spec.f0: Required value; spec.f1: Required value; " in text
    assert "and 3 more" in text
    assert text.count("spec.f0") == 1


# What is not said

VALUES = [
    ("spec.replicas", "Invalid value: -1: must be greater than or equal to 0", "Invalid value: -1: must be greater than or equal to 0"),
    ("spec.type", 'Unsupported value: "X": supported values: "A", "B"', 'Unsupported value: "X": supported values: "A", "B"'),
    ("metadata.uid", 'Invalid value: "a": field is immutable', 'Invalid value: "a": field is immutable'),
    ("spec.x", "Required value", "Required value"),
    ("spec", "Forbidden: spec is immutable after creation\n@@ -1 @@\n-secret", "Forbidden: spec is immutable after creation"),
    ("spec.template", 'Invalid value: {"env":[{"value":"secret"}]}: field is immutable', "Invalid value: (...): field is immutable"),
    ("spec.template", 'Invalid value: core.Pod{A:"}: secret", B:[]int{1}}: field is immutable', "Invalid value: (...): field is immutable"),
    ("spec.x", 'Invalid value: []string{"secret"}', "Invalid value: (...)"),
    ("spec.x", 'Invalid value: ["secret"]: too many', "Invalid value: (...): too many"),
    ("spec.template.spec.containers[0].env[0].value", 'Invalid value: "secret": no', "Invalid value: (...): no"),
    ("data[key]", 'Invalid value: "se\\"cret": no', "Invalid value: (...): no"),
    ("metadata.annotations[a]", 'Invalid value: "secret"', "Invalid value: (...)"),
    ("spec.x", f'Invalid value: "{"secret" * 20}": must be shorter', "Invalid value: (...): must be shorter"),
    ("spec.x", "Invalid value: secret", "Invalid value: (...)"),
    ("spec.containers[1]", 'Duplicate value: {"name":"secret"}', "Duplicate value: (...)"),
]


@pytest.mark.parametrize(("field", "message", "shown"), VALUES)
def test_values_are_left_out(field: str, message: str, shown: str) -> None:
    assert without_value(field, message) == shown


@settings(derandomize=True, max_examples=200, deadline=None)
@given(secret=st.text(min_size=4, max_size=30).map(lambda text: f"s3cret{text}s3cret"), why=st.sampled_from(["field is immutable", ""]))
def test_no_value_of_an_object_is_ever_shown(secret: str, why: str) -> None:
    template = json.dumps({"spec": {"containers": [{"env": [{"name": "A", "value": secret}]}]}})
    text = f"Invalid value: {template}" + (f": {why}" if why else "")
    message = f'Job.batch "a" is invalid: spec.template: {text}'
    found = status(422, message, "Invalid", ("FieldValueInvalid", "spec.template", text))

    printed = repr(found) + str(error_of(found, "PATCH /x", "cluster"))

    assert "s3cret" not in printed
    assert why in printed


@settings(derandomize=True, max_examples=200, deadline=None)
@given(code=st.integers(300, 599), body=st.binary(max_size=200) | st.from_regex(rb'\{"kind":"Status","message":"[^"\\]{0,40}"\}'))
def test_every_answer_means_something(code: int, body: bytes) -> None:
    error = error_of(refusal(code, body), "GET /x", "cluster")

    assert error.problem.code in WORDS
    assert len(str(error).splitlines()) == 3


@pytest.mark.parametrize(
    "body",
    [
        b'{"kind":"Status","details":7}',
        b'{"kind":"Status","code":"x"}',
        b"[]",
        b"null",
        b'{"kind":"Pod"}',
        b'{"kind":"Status","details":{"causes":[7]}}',
    ],
)
def test_an_odd_status_is_no_status(body: bytes) -> None:
    assert not refusal(500, body).spoken


def test_what_is_shown_is_one_short_line() -> None:
    assert cut("a\nb\t c") == "a b c"
    assert len(cut("x" * 10_000)) == SHOWN
    assert cut("a {b {c} d} e {f} g") == "a (...) g"
    assert cut("a {b") == "a "
    assert len(refusal(422, json.dumps({"kind": "Status", "message": "x" * 100_000}).encode()).message) <= READ


def test_how_long_to_wait_is_read_from_header_or_status() -> None:
    body = json.dumps({"kind": "Status", "details": {"retryAfterSeconds": 5}}).encode()

    assert [refusal(429, body, header).retry_after for header in (None, "2", "soon", "Wed, 21 Oct 2026 07:28:00 GMT")] == [
        5.0,
        2.0,
        5.0,
        5.0,
    ]


# No answer at all


def verification(message: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = message
    return error


@pytest.mark.parametrize(
    ("cause", "code", "why"),
    [
        (ConnectionRefusedError(111, "Connection refused"), failures.NOBODY, "nothing listens there"),
        (http.client.RemoteDisconnected("Remote end closed connection without response"), failures.NOBODY, "Remote end closed"),
        (ConnectionResetError(104, "Connection reset by peer"), failures.NOBODY, "reset by peer"),
        (TimeoutError(), failures.NOBODY, "no answer in time"),
        (socket.gaierror(-2, "Name or service not known"), failures.NOBODY, "the server's name is not found"),
        (OSError("Tunnel connection failed: 407 Proxy Authentication Required"), failures.NOBODY, "407"),
        (http.client.IncompleteRead(b"s3cret"), failures.TROUBLE, "the answer is cut off"),
        (http.client.BadStatusLine("SSH-2.0"), failures.TROUBLE, "the answer is broken: SSH-2.0"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"), failures.NOT_KUBERNETES, "it does not speak TLS there"),
        (ssl.SSLError(1, "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] alert"), failures.CREDENTIALS, "does not take the client certificate"),
        (ssl.SSLEOFError(8, "EOF occurred in violation of protocol"), failures.NOBODY, "EOF occurred"),
        (verification("self-signed certificate"), failures.KUBECONFIG, "not trusted: self-signed certificate"),
    ],
)
def test_what_no_answer_means(cause: Exception, code: str, why: str) -> None:
    error = no_answer(cause, "GET /api/v1/pods", "cluster")

    assert error.problem.code == code
    assert why in str(error)
    assert "s3cret" not in str(error)


# The pace


def test_waits_double_with_jitter_and_end_at_ten_seconds() -> None:
    assert [wait_before(attempt, 0.0, lambda: 1.0) for attempt in range(2, 10)] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]
    assert wait_before(2, 0.0, lambda: 0.0) == 0.1, "half of it at least, so that many clients do not come at once"


def test_many_refusals_at_one_moment_narrow_once() -> None:
    clock = [0.0]
    gate = Gate(16, lambda: clock[0])
    for _ in range(16):
        gate.narrow()
    assert gate.width == 8

    for second in range(1, 6):
        clock[0] = float(second)
        gate.narrow()
    assert gate.width == 1, "never none"

    for _ in range(sum(range(1, 16))):
        gate.went_well()
    assert gate.width == 16
