"""The kubeconfig as we read it, what it says when something is wrong, and the credentials that follow from it."""

import base64
import copy
import datetime
import json
import os
import pickle
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from reconciler.errors import TargetError
from reconciler.targets.kubernetes.api import plugin
from reconciler.targets.kubernetes.api.access import Access, Login, Proxy, Secret
from reconciler.targets.kubernetes.api.certificate import end_of
from reconciler.targets.kubernetes.api.credentials import REST, Credentials
from reconciler.targets.kubernetes.api.failures import KubeRefused, KubeUnavailable
from reconciler.targets.kubernetes.api.kubeconfig import in_cluster, read_file, read_text
from reconciler.targets.kubernetes.settings import KubernetesSettings
from reconciler.targets.kubernetes.target import access_of as opened_by

pytestmark = pytest.mark.slow  # hundreds of cases: `make test` has them

ROOT = Path(__file__).resolve().parent.parent
V1 = "client.authentication.k8s.io/v1"
NOW = 1_800_000_000.0  # seconds since the epoch: 2027-01-15 08:00:00 UTC


def document(cluster: Mapping[str, object] | None = None, user: Mapping[str, object] | None = None) -> dict[str, object]:
    """A kubeconfig of one context, `lab`."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "far", "cluster": {"server": "https://api.example.org:6443", **(cluster or {})}}],
        "users": [{"name": "me", "user": dict(user or {"token": "t0ken"})}],
        "contexts": [{"name": "lab", "context": {"cluster": "far", "user": "me", "namespace": "models"}}],
        "current-context": "lab",
    }


def access_of(
    cluster: Mapping[str, object] | None = None, user: Mapping[str, object] | None = None, folder: Path = Path(), **environment: str
) -> Access:
    return read_text(yaml.safe_dump(document(cluster, user)), "", folder, environment=environment)


def complaint(call: object, code: str = "KUBE9") -> str:
    with pytest.raises(TargetError) as caught:
        call()  # type: ignore[operator]
    assert caught.value.problem.code == code, str(caught.value)
    assert caught.value.problem.todo, "every message says what to do"
    return str(caught.value)


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def certificate(ends: datetime.datetime) -> tuple[str, str]:
    """A client certificate that ends then, and its key, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "me")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    made = builder.not_valid_before(ends - datetime.timedelta(days=300)).not_valid_after(ends).sign(key, hashes.SHA256())
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return made.public_bytes(serialization.Encoding.PEM).decode(), key.private_bytes(*form).decode()


# What it says


def test_the_current_context_and_all_that_belongs_to_it() -> None:
    found = access_of({"certificate-authority-data": encoded("-----BEGIN CERTIFICATE-----\n")})

    assert (found.server, found.namespace, found.verify) == ("https://api.example.org:6443", "models", True)
    assert found.authority == "-----BEGIN CERTIFICATE-----\n"
    assert (found.user.name, found.user.token.reveal()) == ("me", "t0ken")
    assert found.where == "https://api.example.org:6443 (context lab)"


def test_a_context_is_chosen_by_its_name() -> None:
    config = document()
    config["contexts"] += [{"name": "other", "context": {"cluster": "near"}}]  # type: ignore[operator]
    config["clusters"] += [{"name": "near", "cluster": {"server": "https://127.0.0.1:1/below/"}}]  # type: ignore[operator]

    found = read_text(yaml.safe_dump(config), "other", Path(), environment={})

    assert (found.server, found.user.name, found.namespace) == ("https://127.0.0.1:1/below", "", "")


def test_json_is_a_kubeconfig_too() -> None:
    assert read_text(json.dumps(document()), "lab", Path(), environment={}).user.token.reveal() == "t0ken"


def test_paths_are_relative_to_the_kubeconfig(tmp_path: Path) -> None:
    chain, key = certificate(datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC))
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "me.crt").write_text(chain)
    (tmp_path / "keys" / "me.key").write_text(key)
    (tmp_path / "ca.crt").write_text(chain)
    user = {"client-certificate": "keys/me.crt", "client-key": "keys/me.key", "tokenFile": "token"}
    (tmp_path / "config").write_text(yaml.safe_dump(document({"certificate-authority": "ca.crt"}, user)))
    (tmp_path / "token").write_text("t0ken\n")

    found = read_file(tmp_path / "config", environment={})
    login = Credentials(found, lambda: NOW).current()

    assert found.authority == chain
    assert login.certificate is not None
    assert (login.certificate.chain, login.certificate.key.reveal()) == (chain.strip(), key.strip())
    assert login.authorization.reveal() == "Bearer t0ken"


def test_data_in_the_kubeconfig_wins_over_files(tmp_path: Path) -> None:
    pem = "-----BEGIN CERTIFICATE-----\n"

    assert access_of({"certificate-authority-data": encoded(pem), "certificate-authority": "no-such-file"}).authority == pem


def test_names_proxy_and_a_check_that_is_off() -> None:
    found = access_of(
        {"insecure-skip-tls-verify": True, "tls-server-name": "inside", "proxy-url": "http://me:p%40ss@proxy.example.org:3128"}
    )

    assert (found.verify, found.server_name) == (False, "inside")
    assert found.proxy is not None
    assert found.proxy == Proxy("proxy.example.org", 3128, "me", Secret("p@ss"))


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://proxy", Proxy("proxy", 80)),
        ("proxy:3128", Proxy("proxy", 3128)),
        ("socks5://localhost:1080", Proxy("localhost", 1080, socks=True)),
        ("socks5h://me:p%40ss@[::1]", Proxy("::1", 1080, "me", Secret("p@ss"), socks=True)),
    ],
)
def test_kinds_of_proxies(url: str, proxy: Proxy) -> None:
    assert access_of({"proxy-url": url}).proxy == proxy


@pytest.mark.parametrize(
    ("environment", "goes_by"),
    [
        ({"HTTPS_PROXY": "http://proxy:3128"}, "proxy"),
        ({"https_proxy": "proxy:3128"}, "proxy"),
        ({"HTTP_PROXY": "http://proxy:3128"}, None),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "example.org"}, None),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "a, .example.org"}, None),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "ample.org"}, "proxy"),
        ({"HTTPS_PROXY": "http://proxy:3128", "no_proxy": "*"}, None),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "10.0.0.0/8"}, "proxy"),
    ],
)
def test_the_environments_proxy(environment: dict[str, str], goes_by: str | None) -> None:
    proxy = access_of(**environment).proxy

    assert (proxy.host if proxy is not None else None) == goes_by


@pytest.mark.parametrize("server", ["https://127.0.0.1:6443", "https://localhost:6443", "https://10.1.2.3:6443"])
def test_no_proxy_for_this_box_or_an_exempt_network(server: str) -> None:
    assert access_of({"server": server}, HTTPS_PROXY="http://proxy:3128", NO_PROXY="10.0.0.0/8").proxy is None


def test_impersonation_is_carried_over() -> None:
    """Left out, we would act with other rights than kubectl does."""
    found = access_of(user={"token": "t", "as": "robot", "as-groups": ["a", "b"], "as-uid": "7", "as-user-extra": {"Scope": ["x"]}})

    assert found.user.headers == (
        ("Impersonate-User", "robot"),
        ("Impersonate-Uid", "7"),
        ("Impersonate-Group", "a"),
        ("Impersonate-Group", "b"),
        ("Impersonate-Extra-scope", "x"),
    )


def test_in_a_pod_the_service_account_is_used(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("first")
    (tmp_path / "ca.crt").write_text("-----BEGIN CERTIFICATE-----\n")
    (tmp_path / "namespace").write_text("reconciler-system")

    found = in_cluster({"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}, tmp_path)

    assert (found.server, found.namespace, found.in_cluster) == ("https://[fd00::1]:443", "reconciler-system", True)
    credentials = Credentials(found)
    assert credentials.current().authorization.reveal() == "Bearer first"
    _rotate(tmp_path / "token", "second")
    assert credentials.current().authorization.reveal() == "Bearer second"


def _rotate(path: Path, text: str) -> None:
    """As the kubelet does it: another file under the same name."""
    other = path.with_name("next")
    other.write_text(text)
    other.replace(path)


# What is wrong with it


def test_no_file(tmp_path: Path) -> None:
    assert f"there is no file {tmp_path / 'nowhere'}" in complaint(lambda: read_file(tmp_path / "nowhere"))


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    assert "cannot be read: Is a directory" in complaint(lambda: read_file(tmp_path))


def test_a_wrong_context_lists_the_right_ones() -> None:
    said = complaint(lambda: read_text(yaml.safe_dump(document()), "lap", Path()))

    assert "there is no context 'lap' in it" in said
    assert "it has: lab" in said


def test_no_current_context_lists_what_there_is() -> None:
    config = document() | {"current-context": ""}

    assert "name one of its contexts: lab" in complaint(lambda: read_text(yaml.safe_dump(config), "", Path()))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a:\n  - b: [c", "it is no YAML, line"),
        ("just words", "it has no list of clusters"),
        ("", "it has no list of clusters"),
        ("clusters: {}", "it has no list of clusters"),
        ("clusters: []\ncontexts: {}\ncurrent-context: x", "contexts of the kubeconfig is no list"),
        ("clusters: []\ncurrent-context: 7", "current-context of the kubeconfig is no text"),
        ("clusters: []\ncontexts: [{name: x, context: {cluster: y}}]\ncurrent-context: x", "there is no cluster 'y' in it"),
    ],
)
def test_what_is_no_kubeconfig(text: str, why: str) -> None:
    assert why in complaint(lambda: read_text(text, "", Path()))


@pytest.mark.parametrize(
    ("cluster", "why"),
    [
        ({"server": "api.example.org:6443"}, "'api.example.org:6443' is no address of a server"),
        ({"server": ""}, "'' is no address of a server"),
        ({"server": "https://me:secret@api.example.org"}, "`server` is no address of a server"),
        ({"server": "https://api:port"}, "is no address of a server"),
        ({"certificate-authority-data": "%%%"}, "certificate-authority-data of the cluster is no base64"),
        ({"certificate-authority-data": encoded("text")}, "certificate-authority is no certificate in PEM"),
        ({"certificate-authority": "nowhere.crt"}, "there is no file"),
        ({"certificate-authority-data": encoded("-----BEGIN"), "insecure-skip-tls-verify": True}, "exclude each other"),
        ({"insecure-skip-tls-verify": "yes"}, "is neither true nor false"),
        ({"proxy-url": "https://proxy:1080"}, "proxy-url is no address that we can use"),
        ({"proxy-url": "http://me:s3cret@proxy:port"}, "proxy-url is no address that we can use"),
    ],
)
def test_a_wrong_cluster(cluster: dict[str, object], why: str) -> None:
    said = complaint(lambda: access_of(cluster))

    assert why in said
    assert "secret" not in said
    assert "s3cret" not in said


@pytest.mark.parametrize(
    ("user", "why"),
    [
        ({"username": "admin", "password": "s3cret"}, "Kubernetes ended basic authentication"),
        ({"client-certificate-data": encoded("x")}, "user me has no client-key"),
        ({"client-key-data": encoded("x")}, "user me has no client-certificate"),
        ({"client-certificate-data": "s3cret!", "client-key-data": encoded("x")}, "client-certificate-data of user me is no base64"),
        ({"token": 7}, "token of user me is no text"),
        ({"exec": ["aws"]}, "exec of user me is no mapping"),
        ({"exec": {"apiVersion": "client.authentication.k8s.io/v1alpha1", "command": "aws"}}, "is not supported"),
        ({"exec": {"apiVersion": V1}}, "exec of user me has no command"),
        ({"exec": {"apiVersion": V1, "command": "x", "interactiveMode": "Always"}}, "needs a terminal"),
    ],
)
def test_a_wrong_user(user: dict[str, object], why: str) -> None:
    said = complaint(lambda: access_of(user=user))

    assert why in said
    assert "s3cret" not in said


@pytest.mark.parametrize("user", [{"exec": {"apiVersion": V1, "command": "aws"}}, {"auth-provider": {"name": "gcp"}}])
def test_a_kubeconfig_that_must_not_run_programs(user: dict[str, object]) -> None:
    assert "needs a program to be run" in complaint(lambda: read_text(yaml.safe_dump(document(user=user)), "", Path(), plugins=False))


def test_outside_of_a_pod(tmp_path: Path) -> None:
    assert "KUBERNETES_SERVICE_HOST is not set" in complaint(lambda: in_cluster({}, tmp_path))
    assert "ca.crt" in complaint(lambda: in_cluster({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, tmp_path))


# Secrets


def test_secrets_do_not_print() -> None:
    chain, key = certificate(datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC))
    env = [{"name": "A", "value": "s3cret-value"}]
    user = {
        "token": "s3cret-token",
        "client-certificate-data": encoded(chain),
        "client-key-data": encoded(key),
        "exec": {"apiVersion": V1, "command": "x", "env": env},
    }
    found = access_of({"proxy-url": "http://me:s3cret@proxy:3128"}, user)
    printed = repr(found) + str(found) + f"{found.user.token}" + repr(Credentials(replace(found, user=access_of().user)).current())

    assert "***" in printed
    for secret in ("s3cret", "t0ken", key.splitlines()[1], encoded("me:s3cret")):
        assert secret not in printed


def test_secrets_are_written_nowhere() -> None:
    for write in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="a secret is written nowhere"):
            write(Secret("s3cret"))


def test_a_token_that_no_header_can_carry_is_told_without_it() -> None:
    said = complaint(lambda: Credentials(access_of(user={"token": "s3cret\nX: y"})).current(), "KUBE2")

    assert "the token has characters that no token has" in said
    assert "s3cret" not in said


def test_over_plain_http_nobody_hears_a_secret() -> None:
    credentials = Credentials(access_of({"server": "http://api.example.org"}))

    assert credentials.current() == Login()
    assert not credentials.renew(Login())


# Certificates


@pytest.mark.parametrize("year", [2026, 2049, 2050, 2124])
def test_the_end_of_a_certificate_is_read(year: int) -> None:
    """From 2050 on it is written in another form."""
    ends = datetime.datetime(year, 2, 3, 4, 5, 6, tzinfo=datetime.UTC)

    assert end_of(certificate(ends)[0]) == ends.timestamp()


@pytest.mark.parametrize("pem", ["", "-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----", "-----BEGIN CERTIFICATE-----\n%"])
def test_what_is_no_certificate_has_no_end_that_we_know(pem: str) -> None:
    assert end_of(pem) == 0.0


def test_a_certificate_that_has_ended_says_when() -> None:
    chain, key = certificate(datetime.datetime(2026, 2, 3, 4, 5, 6, tzinfo=datetime.UTC))
    credentials = Credentials(access_of(user={"client-certificate-data": encoded(chain), "client-key-data": encoded(key)}), lambda: NOW)

    assert "the client certificate ended on 2026-02-03 04:05:06 UTC" in complaint(credentials.current, "KUBE2")


def test_a_certificate_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    old, key = certificate(datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC))
    new, new_key = certificate(datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC))
    for name, text in (("crt", old), ("key", key)):
        (tmp_path / name).write_text(text)
    credentials = Credentials(access_of(user={"client-certificate": "crt", "client-key": "key"}, folder=tmp_path), lambda: NOW)
    complaint(credentials.current, "KUBE2")

    _rotate(tmp_path / "crt", new)
    _rotate(tmp_path / "key", new_key)
    login = credentials.current()

    assert login.certificate is not None
    assert login.certificate.chain == new.strip()
    assert credentials.current().certificate is login.certificate, "the same object: connections are kept by it"


# Token files


def test_a_token_file_that_is_away_for_a_moment_is_remembered(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t0ken")
    credentials = Credentials(access_of(user={"tokenFile": "token"}, folder=tmp_path))
    assert credentials.current().authorization.reveal() == "Bearer t0ken"

    (tmp_path / "token").unlink()

    assert credentials.current().authorization.reveal() == "Bearer t0ken"


def test_a_token_file_that_never_was(tmp_path: Path) -> None:
    credentials = Credentials(access_of(user={"tokenFile": "token"}, folder=tmp_path))

    assert "token cannot be read: No such file" in complaint(credentials.current)


def test_an_empty_token_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("\n")

    assert "is empty" in complaint(Credentials(access_of(user={"tokenFile": "token"}, folder=tmp_path)).current, "KUBE2")


# Plugins


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where `program` puts a plugin; its calls are lines of `log`."""
    return tmp_path


def program(folder: Path, body: str) -> dict[str, object]:
    """A user whose credentials this Python program prints."""
    text = f"#!{sys.executable}\nimport json, os, sys\nopen({str(folder / 'log')!r}, 'a').write('run\\n')\n" + textwrap.dedent(body)
    (folder / "plugin").write_text(text)
    (folder / "plugin").chmod(0o700)
    return {"exec": {"apiVersion": V1, "command": "./plugin", "args": ["token"], "env": [{"name": "PLUGIN_ENV", "value": "e"}]}}


def issues(**status: str) -> str:
    return f"print(json.dumps({{'apiVersion': {V1!r}, 'kind': 'ExecCredential', 'status': {status!r}}}))"


def runs(folder: Path) -> int:
    return (folder / "log").read_text().count("run")


def test_a_plugin_is_told_what_it_needs_to_know(folder: Path) -> None:
    body = "info = json.loads(os.environ['KUBERNETES_EXEC_INFO'])\n"
    body += "token = ' '.join([*sys.argv[1:], os.environ['PLUGIN_ENV'], json.dumps(info['spec'])]).encode().hex()\n"
    user = program(folder, body + issues(token="TOKEN").replace("'TOKEN'", "token"))
    user["exec"] |= {"provideClusterInfo": True}  # type: ignore[operator]
    extension = {"name": "client.authentication.k8s.io/exec", "extension": {"audience": "a"}}
    cluster = {"certificate-authority-data": encoded("-----BEGIN"), "tls-server-name": "n", "extensions": [extension]}

    header = Credentials(access_of(cluster, user, folder)).current().authorization.reveal()

    words = bytes.fromhex(header.removeprefix("Bearer ")).decode().split(" ", 2)
    assert words[:2] == ["token", "e"]
    assert json.loads(words[2]) == {
        "interactive": False,
        "cluster": {
            "server": "https://api.example.org:6443",
            "certificate-authority-data": encoded("-----BEGIN"),
            "tls-server-name": "n",
            "config": {"audience": "a"},
        },
    }


def test_a_plugin_may_give_a_certificate(folder: Path) -> None:
    chain, key = certificate(datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC))
    user = program(folder, issues(clientCertificateData=chain, clientKeyData=key))

    login = Credentials(access_of(user=user, folder=folder), lambda: NOW).current()

    assert not login.authorization
    assert login.certificate is not None
    assert (login.certificate.chain, login.certificate.key.reveal()) == (chain, key)


def test_a_plugin_runs_again_shortly_before_the_end(folder: Path) -> None:
    clock = [NOW]
    user = program(folder, issues(token="t0ken", expirationTimestamp="2027-01-15T09:00:00Z"))
    credentials = Credentials(access_of(user=user, folder=folder), lambda: clock[0])

    for minutes in (0, 30, 59):
        clock[0] = NOW + minutes * 60
        credentials.current()
    assert runs(folder) == 1
    clock[0] = NOW + 3600 - 29
    credentials.current()

    assert runs(folder) == 2


def test_a_plugin_without_an_end_runs_again_only_when_its_token_is_refused(folder: Path) -> None:
    clock = [NOW]
    credentials = Credentials(access_of(user=program(folder, issues(token="first")), folder=folder), lambda: clock[0])
    refused = credentials.current()
    clock[0] += 1e9
    assert credentials.current() == refused
    program(folder, issues(token="second"))

    assert credentials.renew(refused)
    assert credentials.renew(refused), "another thread with the same refusal: it has been renewed already"
    assert credentials.current().authorization.reveal() == "Bearer second"
    assert runs(folder) == 2


BROKEN_PLUGINS = {
    "exit code": ("sys.exit('you must sign in: aws sso login')", "it ended with 1: you must sign in: aws sso login"),
    "no json": ("print('s3cret')", "it prints no ExecCredential in JSON"),
    "another version": (issues(token="s3cret").replace(V1, V1 + "beta1"), f"does not print an ExecCredential of {V1}"),
    "nothing": (issues(), "gives neither a token nor a certificate"),
    "half a certificate": (issues(clientCertificateData="s3cret"), "gives neither a token nor a certificate with its key"),
    "ended": (issues(token="s3cret", expirationTimestamp="2020-01-01T00:00:00Z"), "what it gives has ended already"),
    "no time": (issues(token="s3cret", expirationTimestamp="soon"), "its expirationTimestamp is no time"),
    "two lines": (issues(token="s3cret\ns3cret"), "the token has characters that no token has"),
}


@pytest.mark.parametrize(("body", "why"), BROKEN_PLUGINS.values(), ids=BROKEN_PLUGINS)
def test_a_plugin_that_fails_says_why(folder: Path, body: str, why: str) -> None:
    credentials = Credentials(access_of(user=program(folder, body), folder=folder), lambda: NOW)

    said = complaint(credentials.current, "KUBE2")

    assert why in said
    assert "s3cret" not in said


def test_a_plugin_that_fails_may_succeed_the_next_time(folder: Path) -> None:
    """It rests a moment: sixteen threads would want it at once."""
    clock = [NOW]
    credentials = Credentials(access_of(user=program(folder, "sys.exit(1)"), folder=folder), lambda: clock[0])
    for _ in range(3):
        with pytest.raises(KubeUnavailable):
            credentials.current()
    program(folder, issues(token="t0ken"))
    assert runs(folder) == 1

    clock[0] += REST

    assert credentials.current().authorization.reveal() == "Bearer t0ken"


def test_a_clock_that_is_set_back_keeps_no_plugin_at_rest(folder: Path) -> None:
    clock = [NOW]
    credentials = Credentials(access_of(user=program(folder, "sys.exit(1)"), folder=folder), lambda: clock[0])
    with pytest.raises(KubeUnavailable):
        credentials.current()
    program(folder, issues(token="t0ken"))
    clock[0] -= 3600

    assert credentials.current().authorization.reveal() == "Bearer t0ken"


def test_a_plugin_that_does_not_end_is_ended_with_all_it_started(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugin, "PLUGIN_LIMIT", 1.0)
    body = "import subprocess\nchild = subprocess.Popen(['sleep', '600'])\n"
    body += f"open({str(folder / 'pid')!r}, 'w').write(str(child.pid))\nchild.wait()"
    credentials = Credentials(access_of(user=program(folder, body), folder=folder))

    assert "it did not end within 1 s" in complaint(credentials.current, "KUBE2")
    _wait_for_end(int((folder / "pid").read_text()))


def _wait_for_end(pid: int) -> None:
    limit = time.monotonic() + 20
    while _alive(pid):
        assert time.monotonic() < limit, "the plugin's child lives on"
        time.sleep(0.02)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_plugin_that_is_not_installed_says_how_to_get_it(folder: Path) -> None:
    user = {"exec": {"apiVersion": V1, "command": "no-such-plugin-here", "installHint": "see https://example.org/plugin"}}

    with pytest.raises(KubeRefused) as caught:
        Credentials(access_of(user=user)).current()

    assert "no-such-plugin-here cannot be started: No such file" in str(caught.value)
    assert "see https://example.org/plugin" in str(caught.value)


# Auth providers of before plugins


def test_an_old_auth_provider_is_asked_by_the_official_package() -> None:
    pytest.importorskip("kubernetes")
    token = ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({}, {"exp": 4102444800}, {}))
    user = {"auth-provider": {"name": "oidc", "config": {"id-token": token}}}

    assert Credentials(access_of(user=user)).current().authorization.reveal() == f"Bearer {token}"


def test_without_that_package_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kubernetes.client", None)

    said = complaint(Credentials(access_of(user={"auth-provider": {"name": "gcp"}})).current)

    assert "auth-provider gcp is an older way to sign in" in said
    assert "pip install kubernetes" in said


# Cost


def test_the_client_needs_no_package_that_is_slow_to_import() -> None:
    code = "import sys, reconciler.targets.kubernetes.api.client; print(*sorted(name for name in sys.modules if '.' not in name))"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)

    loaded = set(done.stdout.split())
    assert not loaded & {"kubernetes", "requests", "urllib3", "aiohttp", "yaml", "pydantic", "subprocess", "asyncio", "tempfile"}


def test_a_path_in_the_place_of_the_text_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECONCILER_SECRET_GPU_EAST", "~/.kube/config")
    said = complaint(lambda: opened_by(KubernetesSettings("east", kubeconfig=("gpu-east", ""))), "KUBE9")

    assert said.startswith("east: RECONCILER_SECRET_GPU_EAST holds a path, and not the text of a kubeconfig")
    assert "put the file at gpu-east/kubeconfig below $RECONCILER_SECRETS" in said
