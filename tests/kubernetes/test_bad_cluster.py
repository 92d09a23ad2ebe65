"""A cluster that cannot be reached or read as it should: the message says what is wrong and what to do, its endpoints are Unknown, their
routes stay, nothing is written and nothing is deleted.
"""

import datetime
import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from reconciler.errors import Problem
from reconciler.report.model import Report
from reconciler.resource import Health
from reconciler.targets.own_store import variable_of
from tests.kubernetes.kube_site import Object, Site, opened, status_of, text_of, wait_until
from tools.controlplane import ControlPlane, certificates
from tools.controlplane.kubectl import KubectlFailed

OLD = {"major": "1", "minor": "29", "gitVersion": "v1.29.4"}


@pytest.fixture(scope="module")
def served(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two endpoints that serve; the second has left the repo, so that every good pass would delete it."""
    with opened(control_plane, tmp_path_factory.mktemp("served"), ("chat", "embeddings")) as site:
        site.ready()
        site.remove("embeddings")
        yield site


def dark(site: Site) -> tuple[Problem, Report]:
    """One pass that cannot read the cluster: what it says, and that it changes nothing."""
    before = {kind: site.live(kind, "embeddings")["metadata"]["resourceVersion"] for kind in ("Service", "ServiceAccount")}
    reports: list[Report] = []
    assert site.writes(lambda: reports.append(site.once())) == []
    (report,) = reports
    (unread,) = report.plan.unreadable

    assert report.exit_code == 1
    assert unread.target == site.cluster
    assert f"Unknown: {site.cluster} cannot be read; nothing of it is changed or deleted" in text_of(report)
    for name in ("chat", "embeddings"):
        assert (status_of(report, name).word, status_of(report, name).reason) == (Health.UNKNOWN, "TargetUnreachable")
        assert site.is_there("Deployment", name)
    assert site.addresses("chat")
    assert before == {kind: site.live(kind, "embeddings")["metadata"]["resourceVersion"] for kind in before}
    return unread.problem, report


@contextmanager
def kubeconfig(site: Site, text: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(variable_of(site.cluster), text)
        yield


def as_user(plane: ControlPlane, **user: str) -> str:
    """The user's kubeconfig with other credentials."""
    document = yaml.safe_load(plane.user_kubeconfig.read_text())
    document["users"][0]["user"] = user
    return yaml.safe_dump(document)


def test_no_kubeconfig_in_the_store(served: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    variable = variable_of(served.cluster)
    monkeypatch.delenv(variable)
    problem, _ = dark(served)
    assert (problem.code, problem.what) == ("KUBE9", f"the kubeconfig {served.cluster} of cluster {served.cluster} is not in the store")
    assert f"set {variable} to the kubeconfig's text" in problem.todo


def test_a_kubeconfig_that_is_none(served: Site) -> None:
    with kubeconfig(served, "clusters: ["):
        problem, _ = dark(served)
    assert (problem.code, problem.where) == ("KUBE9", variable_of(served.cluster))


def test_a_context_that_is_not_in_it(served: Site) -> None:
    served.change_cluster(kubernetes={"context": "gpu-west"})
    problem, _ = dark(served)
    assert problem.code == "KUBE9"
    assert "gpu-west" in problem.text()
    assert "test" in problem.text()  # the contexts that it has
    served.change_cluster(kubernetes={"context": None})


def test_a_certificate_that_has_expired(served: Site, tmp_path: Path) -> None:
    expired(served.plane, tmp_path)
    user = {"client-certificate": str(tmp_path / "old.crt"), "client-key": str(tmp_path / "old.key")}
    with kubeconfig(served, as_user(served.plane, **user)):
        problem, _ = dark(served)
    assert problem.code == "KUBE2"
    assert problem.why.startswith("the client certificate ended on 20")
    assert problem.todo == "have a new one issued, and put it into the kubeconfig"


def expired(plane: ControlPlane, folder: Path) -> None:
    """A certificate of the ordinary user whose time was over yesterday."""

    class Yesterday(certificates.Authority):
        def _certificate(self, name: x509.Name, key: object) -> x509.CertificateBuilder:
            now = datetime.datetime.now(datetime.UTC)
            builder = x509.CertificateBuilder().subject_name(name).issuer_name(self.name).public_key(key)
            builder = builder.serial_number(x509.random_serial_number())
            return builder.not_valid_before(now - datetime.timedelta(days=2)).not_valid_after(now - datetime.timedelta(days=1))

    key = serialization.load_pem_private_key((plane.folder / "ca.key").read_bytes(), None)
    Yesterday(folder, key, x509.load_pem_x509_certificate(plane.ca.read_bytes()).subject).client("old", "reconciler")


def test_a_token_that_the_server_does_not_know(served: Site) -> None:
    with kubeconfig(served, as_user(served.plane, token="0" * 32)):
        problem, _ = dark(served)
    assert (problem.code, problem.what) == ("KUBE2", "Kubernetes refuses the credentials")
    assert problem.todo == "renew the token or certificate of this user in the kubeconfig"
    assert "0" * 32 not in problem.text()


def test_no_right_to_list_one_kind(served: Site) -> None:
    """Everything else could be read: a part is not the whole."""
    with limited(served, without="endpointslices") as text, kubeconfig(served, text):
        problem, _ = dark(served)
    assert (problem.code, problem.what) == ("KUBE3", "a right is missing in Kubernetes")
    assert "may not list endpointslices.discovery.k8s.io in the whole cluster" in problem.why
    assert '{apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: ["list"]}' in problem.todo


def may(site: Site, *words: str) -> bool:
    """May it list them? Rights are in force a moment after they are given."""
    who, what, *where = words
    try:
        return site.plane.kubectl("auth", "can-i", "list", what, who, *where).strip() == "yes"
    except KubectlFailed:
        return False


@contextmanager
def limited(site: Site, without: str) -> Iterator[str]:
    """The kubeconfig of an account that has all our rights but those of one resource."""
    name = f"limited-{site.id}"
    group = "rbac.authorization.k8s.io"
    roles, bindings = (f"/apis/{group}/v1/{plural}" for plural in ("clusterroles", "clusterrolebindings"))
    accounts = "/api/v1/namespaces/reconciler-system/serviceaccounts"
    rules = [rule for rule in site.api.request("GET", f"{roles}/reconciler")["rules"] if without not in rule.get("resources", ())]
    role = {"apiGroup": group, "kind": "ClusterRole", "name": name}
    who = {"kind": "ServiceAccount", "name": name, "namespace": "reconciler-system"}
    home, ours = f"/apis/{group}/v1/namespaces/reconciler-system/rolebindings", {"apiGroup": group, "kind": "Role", "name": "reconciler"}
    made: list[tuple[str, Object]] = [
        (accounts, {}),
        (roles, {"rules": rules}),
        (bindings, {"roleRef": role, "subjects": [who]}),
        (home, {"roleRef": ours, "subjects": [who]}),
    ]
    for path, body in made:
        site.api.request("POST", path, {"metadata": {"name": name}, **body})
    try:
        who_asks = f"--as=system:serviceaccount:reconciler-system:{name}"
        wait_until(lambda: may(site, who_asks, "pods", "-A") and may(site, who_asks, "configmaps", "-n", "reconciler-system"))
        token = site.api.request("POST", f"{accounts}/{name}/token", {"spec": {}})["status"]["token"]
        yield as_user(site.plane, token=token)
    finally:
        for path, _ in made:
            site.api.request("DELETE", f"{path}/{name}")


class OldServer(http.server.BaseHTTPRequestHandler):
    """Says which version it is, and has nothing: if that were believed, everything would be deleted."""

    def do_GET(self) -> None:
        body = OLD if self.path == "/version" else {"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": []}
        text = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def old_server(folder: Path) -> Iterator[str]:
    """Its kubeconfig."""
    certificates.Authority.make(folder).server("old", ["127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "old.crt", folder / "old.key")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), OldServer) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            cluster = {"server": f"https://127.0.0.1:{server.server_port}", "certificate-authority": str(folder / "ca.crt")}
            yield yaml.safe_dump(
                {
                    "clusters": [{"name": "old", "cluster": cluster}],
                    "users": [{"name": "old", "user": {"token": "t"}}],
                    "contexts": [{"name": "old", "context": {"cluster": "old", "user": "old"}}],
                    "current-context": "old",
                }
            )
        finally:
            server.shutdown()
            thread.join()


def test_a_server_that_is_too_old(served: Site, tmp_path: Path) -> None:
    with old_server(tmp_path) as text, kubeconfig(served, text):
        problem, _ = dark(served)
    assert problem.code == "KUBE5"
    assert "v1.29.4" in problem.text()
    assert "1.30" in problem.text()


def test_afterwards_everything_goes_on(served: Site) -> None:
    """What was to go goes now; what was Unknown is as it was."""
    last = served.apply()
    assert last.exit_code == 0
    assert status_of(last).word is Health.READY
    served.gone("Deployment", "embeddings")
