"""The HTTP client on a real API server: what it reads and writes, what the server's refusals become, as whom it asks, and by what way."""

import contextlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from reconciler.targets.kubernetes.api import failures
from reconciler.targets.kubernetes.api.access import Proxy, Secret
from reconciler.targets.kubernetes.api.client import KubeClient
from reconciler.targets.kubernetes.api.failures import KubeRefused, KubeUnavailable
from reconciler.targets.kubernetes.api.kubeconfig import read_file, read_text
from tests.kubernetes.client_parts import (
    CONTAINER,
    apply,
    client_of,
    configmap,
    configmap_path,
    deploy,
    deployment,
    failure,
    names,
    until,
    user_of,
)
from tests.kubernetes.fault_proxy import ConnectProxy, FaultProxy, Reply, Seen, SocksProxy, Truncate, always
from tools.controlplane import ControlPlane
from tools.controlplane.kubectl import kubectl

pytest_plugins = ["tests.kubernetes.client_fixtures"]

# Reading


def test_the_version_is_asked_once(through: KubeClient, proxy: FaultProxy) -> None:
    found = through.version()

    assert (found.major, found.minor >= 30) == (1, True)
    assert through.version() is found
    assert proxy.count("GET", "/version") == 1


def _says(proxy: FaultProxy, minor: str) -> None:
    body = json.dumps({"major": "1", "minor": minor, "gitVersion": f"v1.{minor}.9"}).encode()
    proxy.rule = always(Reply(200, body=body))


def test_a_server_that_is_too_old_is_refused(through: KubeClient, proxy: FaultProxy) -> None:
    _says(proxy, "29")
    error = failure(through.version, failures.NOT_KUBERNETES)

    assert "Kubernetes is too old there" in str(error)
    assert "it is Kubernetes v1.29.9" in str(error)


def test_a_version_with_a_plus_is_a_version(through: KubeClient, proxy: FaultProxy) -> None:
    _says(proxy, "31+")

    assert through.version().minor == 31


def test_what_is_not_there_and_what_is_not_known_differ(direct: KubeClient, place: str) -> None:
    path = configmap_path(place, "missing")

    assert direct.find(path) is None
    assert isinstance(failure(lambda: direct.get(path), failures.MISSING), KubeUnavailable)


def test_a_kind_that_the_cluster_lacks_is_no_missing_object(admin: KubeClient) -> None:
    failure(lambda: admin.find("/apis/none.example.org/v1/namespaces/default/things/one"), failures.KIND_MISSING)
    failure(lambda: list(admin.list_pages("/apis/apps/v1/things")), failures.KIND_MISSING)


def test_a_list_is_read_page_by_page(through: KubeClient, proxy: FaultProxy, place: str) -> None:
    for number in range(5):
        apply(through, place, f"m{number}")

    pages = list(through.list_pages(configmap_path(place), "of=client-test", limit=2))

    assert [len(json.loads(page)["items"]) for page in pages] == [2, 2, 1]
    assert names(pages) == ["m0", "m1", "m2", "m3", "m4"]
    assert proxy.count("GET", "/configmaps") == 3


def test_an_empty_list_is_a_page_without_items(direct: KubeClient, place: str) -> None:
    assert names(list(direct.list_pages(configmap_path(place), "of=nobody"))) == []


def test_fields_select_and_metadata_is_enough(direct: KubeClient, place: str) -> None:
    apply(direct, place, "one", text="long")
    apply(direct, place, "two", text="long")
    accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

    pages = list(direct.list_pages(configmap_path(place), fields="metadata.name=two", accept=accept))

    assert names(pages) == ["two"]
    assert b"long" not in pages[0]


def test_an_object_is_no_list(direct: KubeClient, place: str) -> None:
    apply(direct, place, "one")

    failure(lambda: list(direct.list_pages(configmap_path(place, "one"))), failures.NOT_KUBERNETES)


def test_packed_answers_are_unpacked(control_plane: ControlPlane, proxy: FaultProxy, place: str) -> None:
    with contextlib.closing(client_of(proxy.kubeconfig(user_of(control_plane)), compress=True)) as client:
        apply(client, place, "large", text="x" * 300_000)
        page = next(client.list_pages(configmap_path(place)))
        proxy.rule = always(Truncate(0.9))
        failure(lambda: list(client.list_pages(configmap_path(place))), failures.TROUBLE)

    assert proxy.seen[-1].headers["accept-encoding"] == "gzip"
    assert "x" * 300_000 in json.loads(page)["items"][-1]["data"].values()


def test_on_this_box_nothing_is_packed(through: KubeClient, proxy: FaultProxy) -> None:
    through.version()

    assert proxy.seen[-1].headers["accept-encoding"] == "identity"


# Writing


def test_apply_creates_then_changes_then_does_nothing(direct: KubeClient, place: str) -> None:
    path = configmap_path(place, "one")

    def write(**data: str) -> tuple[int, str]:
        answer = direct.patch_apply(path, configmap(place, "one", **data), manager="reconciler", force=True)
        return answer.status, json.loads(answer.body)["metadata"]["resourceVersion"]

    (created, first_version), (changed, second), (same, third) = write(a="1"), write(a="2"), write(a="2")

    assert (created, changed, same) == (201, 200, 200)
    assert first_version != second == third


def test_apply_answers_with_metadata_unless_the_whole_is_wanted(direct: KubeClient, place: str) -> None:
    path, body = configmap_path(place, "one"), configmap(place, "one", text="value")

    slim = direct.patch_apply(path, body, manager="reconciler", force=True)
    whole = direct.patch_apply(path, body, manager="reconciler", force=True, whole=True)

    assert slim.created
    assert json.loads(slim.body)["kind"] == "PartialObjectMetadata"
    assert json.loads(whole.body)["data"] == {"text": "value"}


def test_a_dry_run_changes_nothing_and_answers_with_the_object(direct: KubeClient, place: str) -> None:
    path = configmap_path(place, "one")

    answer = direct.patch_apply(path, configmap(place, "one", a="1"), manager="reconciler", force=True, dry_run=True)

    assert json.loads(answer.body)["data"] == {"a": "1"}
    assert direct.find(path) is None


def test_the_other_patches(direct: KubeClient, place: str) -> None:
    path = configmap_path(place, "one")
    apply(direct, place, "one", a="1")

    direct.patch_merge(path, b'{"data": {"b": "2"}}')
    direct.patch_json(path, b'[{"op": "test", "path": "/data/a", "value": "1"}, {"op": "remove", "path": "/data/a"}]')

    assert json.loads(direct.get(path))["data"] == {"b": "2"}


def test_the_status_is_patched_below_the_object(admin: KubeClient, place: str) -> None:
    path = f"/apis/policy/v1/namespaces/{place}/poddisruptionbudgets/one"
    budget = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "one"}}
    admin.patch_apply(path, json.dumps(budget).encode(), manager="reconciler", force=True)
    condition = {"type": "Tested", "status": "True", "reason": "Test", "lastTransitionTime": "2026-01-01T00:00:00Z", "message": ""}

    answer = admin.patch_status(path, json.dumps({"status": {"conditions": [condition]}}).encode())

    assert "Tested" in [one["type"] for one in json.loads(answer.body)["status"]["conditions"]]


def test_the_servers_warnings_come_with_the_answer(control_plane: ControlPlane, direct: KubeClient, place: str) -> None:
    control_plane.kubectl("label", "namespace", place, "pod-security.kubernetes.io/warn=restricted")

    answer = deploy(direct, place, deployment())

    assert [warning for warning in answer.warnings if 'would violate PodSecurity "restricted:latest"' in warning]


def test_delete_takes_this_object_and_no_other(direct: KubeClient, place: str) -> None:
    path = configmap_path(place, "one")
    metadata = apply(direct, place, "one", a="1")

    failure(lambda: direct.delete(path, "00000000-0000-0000-0000-000000000000"), failures.CHANGED)
    failure(lambda: direct.delete(path, metadata["uid"], "1"), failures.CHANGED)
    assert direct.find(path) is not None

    assert direct.delete(path, metadata["uid"], metadata["resourceVersion"]).status == 200
    assert direct.delete(path, metadata["uid"]).status == 404


# Sixteen at once


def test_many_threads_share_sixteen_kept_connections(control_plane: ControlPlane, proxy: FaultProxy, place: str) -> None:
    before = proxy.connections
    with contextlib.closing(client_of(proxy.kubeconfig(user_of(control_plane)))) as client, ThreadPoolExecutor(32) as pool:
        written = list(pool.map(lambda number: apply(client, place, f"m{number}", of=str(number))["name"], range(100)))
        found = names(list(client.list_pages(configmap_path(place), "of=client-test", limit=30)))

        assert sorted(found) == sorted(written)
        assert client.requests == 100 + 4
    assert 2 <= proxy.connections - before <= 16


def test_a_closed_client_asks_nothing_more(control_plane: ControlPlane) -> None:
    client = client_of(control_plane.user_kubeconfig)
    client.version()
    client.close()

    failure(lambda: client.get("/version"), failures.NOBODY)


# What the server refuses


def test_an_unknown_field_is_refused_at_once(through: KubeClient, proxy: FaultProxy, place: str) -> None:
    """The server says 500; to send it again would be useless."""
    error = failure(lambda: deploy(through, place, {"replicaz": 1}), failures.BAD_OBJECT)

    assert ".spec.replicaz: field not declared in schema" in str(error)
    assert proxy.count("PATCH") == 1


def test_a_wrong_type_is_refused_at_once(direct: KubeClient, place: str) -> None:
    error = failure(lambda: deploy(direct, place, deployment() | {"replicas": "many"}), failures.BAD_OBJECT)

    assert ".spec.replicas: expected numeric" in str(error)


def test_a_refused_object_names_its_fields_and_no_values(admin: KubeClient, place: str) -> None:
    """The server's own message holds the whole pod template, the password too."""
    path = f"/apis/batch/v1/namespaces/{place}/jobs/one"

    def write(image: str) -> None:
        container = {"name": "c", "image": image, "env": [{"name": "PASSWORD", "value": "hunter2"}]}
        spec = {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}}
        job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "one"}, "spec": spec}
        admin.patch_apply(path, json.dumps(job).encode(), manager="reconciler", force=True)

    write("example.org/i:1")
    error = failure(lambda: write("example.org/i:2"), failures.BAD_OBJECT)

    assert "spec.template: Invalid value" in str(error)
    assert "field is immutable" in str(error)
    assert "hunter2" not in str(error) + repr(error.refusal)


def test_an_immutable_field_is_told_by_its_causes(direct: KubeClient, place: str) -> None:
    deploy(direct, place, deployment())
    error = failure(lambda: deploy(direct, place, deployment("two")), failures.BAD_OBJECT)

    assert error.refusal is not None
    assert (error.refusal.status, error.refusal.reason) == (422, "Invalid")
    assert ("spec.selector", "Invalid value: (...): field is immutable") in [(cause.field, cause.text) for cause in error.refusal.causes]


def test_another_uid_means_that_it_was_made_anew(direct: KubeClient, place: str) -> None:
    deploy(direct, place, deployment())
    other = "00000000-0000-0000-0000-000000000000"

    failure(lambda: deploy(direct, place, deployment(), uid=other), failures.CHANGED)
    failure(lambda: deploy(direct, place, deployment(), name="gone", uid=other), failures.CHANGED)


def test_a_conflict_names_managers_and_fields(direct: KubeClient, place: str) -> None:
    deploy(direct, place, deployment())

    error = failure(lambda: deploy(direct, place, deployment(replicas=1), manager="other", force=False), failures.CONFLICT)

    assert error.refusal is not None
    assert error.refusal.managers == {"reconciler": (".spec.replicas",)}
    assert "reconciler owns .spec.replicas" in str(error)


def test_a_missing_namespace(direct: KubeClient, namespace: str) -> None:
    error = failure(lambda: deploy(direct, namespace, deployment()), failures.MISSING)

    assert f'namespaces "{namespace}" not found' in str(error)


def test_a_missing_right_names_the_rule(direct: KubeClient) -> None:
    error = failure(lambda: list(direct.list_pages("/api/v1/secrets")), failures.NO_RIGHT)

    assert isinstance(error, KubeRefused)
    assert "may not list secrets in the whole cluster" in str(error)
    assert 'this rule is missing: {apiGroups: [""], resources: ["secrets"], verbs: ["list"]}' in str(error)


def test_a_namespace_that_is_being_deleted(control_plane: ControlPlane, direct: KubeClient, place: str) -> None:
    held = json.loads(configmap(place, "held"))
    held["metadata"]["finalizers"] = ["example.org/held"]
    control_plane.kubectl("create", "-f", "-", input=json.dumps(held))
    control_plane.kubectl("delete", "namespace", place, "--wait=false")
    try:
        error = failure(lambda: apply(direct, place, "one"), failures.TERMINATING)
        assert isinstance(error, KubeUnavailable)
    finally:
        control_plane.kubectl("-n", place, "patch", "configmap", "held", "--type=merge", "-p", '{"metadata": {"finalizers": null}}')


def test_a_quota_that_is_used_up(control_plane: ControlPlane, admin: KubeClient, direct: KubeClient, place: str) -> None:
    control_plane.kubectl("-n", place, "create", "quota", "few", "--hard=count/deployments.apps=0")
    until(lambda: "hard" in json.loads(admin.get(f"/api/v1/namespaces/{place}/resourcequotas/few"))["status"], "the quota counts")

    error = failure(lambda: deploy(direct, place, deployment()), failures.QUOTA)

    assert "exceeded quota: few" in str(error)


POLICY = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {{name: {name}}}
spec:
  failurePolicy: Fail
  matchConstraints:
    namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {name}}}}}
    resourceRules: [{{apiGroups: [""], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [configmaps]}}]
  validations: [{{expression: "!has(object.data.forbidden)", message: "no forbidden data"}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {{name: {name}}}
spec: {{policyName: {name}, validationActions: [Deny]}}
"""


def test_an_admission_policy_that_refuses(control_plane: ControlPlane, direct: KubeClient, place: str) -> None:
    policy = POLICY.format(name=place)
    control_plane.kubectl("apply", "--server-side", "-f", "-", input=policy)
    try:
        until(lambda: _denied(direct, place), "the policy is in force")
        error = failure(lambda: apply(direct, place, "one", forbidden="x"), failures.ADMISSION)
    finally:
        control_plane.kubectl("delete", "-f", "-", input=policy)

    assert f"ValidatingAdmissionPolicy '{place}'" in str(error)
    assert "no forbidden data" in str(error)


def _denied(client: KubeClient, namespace: str) -> bool:
    try:
        apply(client, namespace, "one", forbidden="x")
    except KubeRefused:
        return True
    return False


def test_pod_security_that_refuses(control_plane: ControlPlane, admin: KubeClient, place: str) -> None:
    control_plane.kubectl("label", "namespace", place, "pod-security.kubernetes.io/enforce=restricted")
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}, "spec": {"containers": [CONTAINER]}}
    path, body = f"/api/v1/namespaces/{place}/pods/one", json.dumps(pod).encode()

    error = failure(lambda: admin.patch_apply(path, body, manager="reconciler", force=True), failures.ADMISSION)

    assert 'violates PodSecurity "restricted:latest"' in str(error)


# Who asks


def test_a_client_certificate_is_the_same_user(control_plane: ControlPlane, place: str) -> None:
    assert control_plane.cert_kubeconfig is not None
    with contextlib.closing(client_of(control_plane.cert_kubeconfig)) as client:
        apply(client, place, "one")


def test_a_client_certificate_in_the_kubeconfig_itself(control_plane: ControlPlane, place: str) -> None:
    """Data in place of files; and no file of it is left behind, nor ever was where the kernel can do without."""
    text = control_plane.kubectl("config", "view", "--raw", "--flatten", user="cert")
    with contextlib.closing(client_of(read_text(text, "", Path("nowhere")))) as client:
        apply(client, place, "one")


def test_an_unknown_token_is_refused_once(control_plane: ControlPlane, proxy: FaultProxy) -> None:
    with contextlib.closing(client_of(proxy.kubeconfig({"token": "expired"}))) as client:
        error = failure(lambda: list(client.list_pages("/api/v1/pods")), failures.CREDENTIALS)

    assert isinstance(error, KubeRefused)
    assert len(proxy.seen) == 1


def test_nobody_at_all_is_a_matter_of_credentials(control_plane: ControlPlane, proxy: FaultProxy) -> None:
    """The server lets the anonymous in, and they may do nothing: that is no missing right of ours."""
    with contextlib.closing(client_of(proxy.kubeconfig({}))) as client:
        failure(lambda: list(client.list_pages("/api/v1/pods")), failures.CREDENTIALS)


def test_a_token_file_is_read_again_as_it_rotates(control_plane: ControlPlane, proxy: FaultProxy, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("expired\n")
    with contextlib.closing(client_of(proxy.kubeconfig({"tokenFile": str(token)}))) as client:
        failure(client.version, failures.CREDENTIALS)
        token.write_text(control_plane.tokens["reconciler"] + "\n")
        client.version()


def test_a_token_that_ends_under_our_hands_is_replaced(control_plane: ControlPlane, proxy: FaultProxy, tmp_path: Path) -> None:
    """401, and by then the file has another one: the request goes out again, once."""
    token = tmp_path / "token"
    token.write_text("expired")

    def rotate(seen: Seen) -> None:
        token.write_text(control_plane.tokens["reconciler"])

    proxy.rule = rotate
    with contextlib.closing(client_of(proxy.kubeconfig({"tokenFile": str(token)}))) as client:
        client.version()

    assert len(proxy.seen) == 2


PLUGIN = """#!/bin/sh
echo run >> {log}
cat {answer}
"""


def _plugin(folder: Path, token: str, end: str = "") -> dict[str, object]:
    """A user whose token a program prints; it writes a line to `log` every time."""
    status = {"token": token} | ({"expirationTimestamp": end} if end else {})
    version = "client.authentication.k8s.io/v1"
    (folder / "answer").write_text(json.dumps({"apiVersion": version, "kind": "ExecCredential", "status": status}))
    (folder / "plugin").write_text(PLUGIN.format(log=folder / "log", answer=folder / "answer"))
    (folder / "plugin").chmod(0o700)
    return {"exec": {"apiVersion": version, "command": str(folder / "plugin"), "interactiveMode": "Never"}}


def test_a_plugin_runs_once_for_many_threads(control_plane: ControlPlane, proxy: FaultProxy, place: str, tmp_path: Path) -> None:
    user = _plugin(tmp_path, control_plane.tokens["reconciler"])
    with contextlib.closing(client_of(proxy.kubeconfig(user))) as client, ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda number: apply(client, place, f"m{number}"), range(32)))

    assert (tmp_path / "log").read_text().count("run") == 1


def test_a_plugin_runs_again_after_one_401(control_plane: ControlPlane, proxy: FaultProxy, tmp_path: Path) -> None:
    user = _plugin(tmp_path, "expired")
    with contextlib.closing(client_of(proxy.kubeconfig(user))) as client:
        failure(client.version, failures.CREDENTIALS)
        assert (tmp_path / "log").read_text().count("run") == 2, "again, with the same result"
        _plugin(tmp_path, control_plane.tokens["reconciler"])
        client.version()

    assert (tmp_path / "log").read_text().count("run") == 3
    assert len(proxy.seen) == 3


# The way


def test_a_certificate_of_somebody_else_is_not_trusted(control_plane: ControlPlane, proxy: FaultProxy) -> None:
    text = proxy.kubeconfig({}).read_text().replace(str(proxy.ca), str(control_plane.ca))
    with contextlib.closing(client_of(read_text(text, "", Path()))) as client:
        error = failure(client.version, failures.KUBECONFIG)

    assert "the server's certificate is not trusted" in str(error)
    assert proxy.seen == []


def test_the_name_in_the_certificate_is_checked_and_may_be_given(proxy: FaultProxy, control_plane: ControlPlane) -> None:
    access = read_file(proxy.kubeconfig(user_of(control_plane)))
    with contextlib.closing(client_of(replace(access, server_name="else.example.org"))) as client:
        failure(client.version, failures.KUBECONFIG)
    with contextlib.closing(client_of(replace(access, server_name="localhost"))) as client:
        client.version()


def test_who_asks_for_it_gets_no_check(proxy: FaultProxy, control_plane: ControlPlane) -> None:
    access = read_file(proxy.kubeconfig(user_of(control_plane)))
    with contextlib.closing(client_of(replace(access, authority="", verify=False))) as client:
        client.version()


def test_plain_http_to_a_tls_port_is_told(control_plane: ControlPlane) -> None:
    access = read_file(control_plane.user_kubeconfig)
    with contextlib.closing(client_of(replace(access, server=access.server.replace("https", "http")))) as client:
        failure(client.version, failures.NOT_KUBERNETES)


def test_a_proxy_of_the_kubeconfig_is_gone_through(control_plane: ControlPlane, place: str) -> None:
    access = read_file(control_plane.user_kubeconfig)
    with contextlib.closing(ConnectProxy()) as proxy:
        through = replace(access, proxy=Proxy("127.0.0.1", proxy.port, "u", Secret("p")))
        with contextlib.closing(client_of(through)) as client:
            apply(client, place, "one")
            apply(client, place, "two")

    [head] = proxy.heads  # one connection, kept
    assert head.startswith(f"CONNECT {access.server.removeprefix('https://')} HTTP/1.")
    assert "Proxy-Authorization: Basic dTpw" in head


@pytest.mark.parametrize("login", [{}, {"user": "u", "password": Secret("p")}], ids=["anybody", "login"])
def test_a_socks_proxy_finds_the_server(control_plane: ControlPlane, place: str, login: dict[str, str | Secret]) -> None:
    """As one has it of `ssh -D`: what is asked for is a name, which the proxy finds."""
    access = read_file(control_plane.user_kubeconfig)
    access = replace(access, server=access.server.replace("127.0.0.1", "localhost"))
    with contextlib.closing(SocksProxy(login=bool(login))) as proxy:
        by_proxy = replace(access, proxy=Proxy("127.0.0.1", proxy.port, socks=True, **login))
        with contextlib.closing(client_of(by_proxy)) as client:
            apply(client, place, "one")
            apply(client, place, "two")

    assert proxy.heads == [access.server.removeprefix("https://")]  # one connection, kept
    assert proxy.logins == (["u:p"] if login else [])


def test_a_login_that_socks_cannot_carry_is_told(control_plane: ControlPlane) -> None:
    with contextlib.closing(SocksProxy(login=True)) as proxy:
        way = Proxy("127.0.0.1", proxy.port, "j\u00fcrgen", Secret("p"), socks=True)
        with contextlib.closing(client_of(replace(read_file(control_plane.user_kubeconfig), proxy=way))) as client:
            refused = failure(client.version, failures.NOBODY)

    assert f"the proxy 127.0.0.1:{proxy.port}: " in refused.problem.why


def test_kubectl_takes_the_socks_proxy_of_these_tests_for_one(control_plane: ControlPlane, tmp_path: Path) -> None:
    with contextlib.closing(SocksProxy()) as proxy:
        document = yaml.safe_load(control_plane.user_kubeconfig.read_text())
        document["clusters"][0]["cluster"]["proxy-url"] = f"socks5://127.0.0.1:{proxy.port}"
        file = tmp_path / "kubeconfig"
        file.write_text(yaml.safe_dump(document))
        kubectl(file, tmp_path, "version")

    assert set(proxy.heads) == {control_plane.url.removeprefix("https://")}


def test_what_a_socks_proxy_says_is_told(control_plane: ControlPlane) -> None:
    """Of a server that it does not reach; and that there is no proxy any more."""
    proxy = SocksProxy(refuses=True)
    access = replace(read_file(control_plane.user_kubeconfig), proxy=Proxy("127.0.0.1", proxy.port, socks=True))
    with contextlib.closing(client_of(access)) as client:
        with contextlib.closing(proxy):
            unreached = failure(client.version, failures.NOBODY).problem.why
        away = failure(client.version, failures.NOBODY).problem.why
    assert unreached == f"GET /version: the proxy 127.0.0.1:{proxy.port}: Connection refused by destination host"
    assert away.startswith(f"GET /version: the proxy 127.0.0.1:{proxy.port}: ")
