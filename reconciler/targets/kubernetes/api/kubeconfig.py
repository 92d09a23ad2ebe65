"""The kubeconfig, read by ourselves: which server, by what TLS, as whom. The official package is imported for old auth providers only.

Everything that is wrong with it is KUBE9 and says the way out. Relative paths in it are relative to its folder, as with kubectl. What a
secret is has a type that does not print. Nothing is sent and no plugin is run here; `credentials.py` does that, when a request needs it.
"""

import base64
import binascii
import os
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reconciler.resource import Json
from reconciler.targets.kubernetes.api import failures
from reconciler.targets.kubernetes.api.access import Access, Pair, Plugin, Provider, Proxy, Secret, User
from reconciler.targets.kubernetes.api.failures import KubeRefused

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
LIMIT: Final = 4 * 1024 * 1024  # bytes of a file that is read here
PLUGIN_VERSIONS: Final = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
PLUGIN_CONFIG: Final = "client.authentication.k8s.io/exec"  # the extension of a cluster that its plugins are given
PROXIES: Final = {"http": 80, "socks5": 1080, "socks5h": 1080}  # and its usual port; curl says socks5h for what kubectl's socks5 does
UNSUPPORTED_PROXY: Final = "write http://host:port or socks5://host:port; proxies that speak TLS themselves (https) are not supported"


def read_file(path: Path, context: str = "", *, environment: Mapping[str, str] = os.environ, plugins: bool = True) -> Access:
    """The context ("" for the current one) of a kubeconfig. plugins=False refuses to have programs run. Raises KubeRefused (KUBE9)."""
    text = _file(path, str(path), "name the kubeconfig's file")
    return read_text(text, context, path.absolute().parent, where=str(path), environment=environment, plugins=plugins)


def read_text(
    text: str,
    context: str,
    folder: Path,
    *,
    where: str = "kubeconfig",
    environment: Mapping[str, str] = os.environ,
    plugins: bool = True,
) -> Access:
    """The same of a text; folder: what relative paths in it are relative to. Raises KubeRefused (KUBE9)."""
    return _Reading(_yaml(text, where), Secret(text), folder, where, plugins).access(context, environment)


def in_cluster(environment: Mapping[str, str] = os.environ, folder: Path = SERVICE_ACCOUNT) -> Access:
    """What a pod has: the service account's token, read again as it rotates. Raises KubeRefused (KUBE9)."""
    host, port = environment.get("KUBERNETES_SERVICE_HOST", ""), environment.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise wrong("in-cluster", "KUBERNETES_SERVICE_HOST is not set: this is no pod", "name a kubeconfig")
    todo = "give the pod its service account's token (automountServiceAccountToken)"
    authority = _file(folder / "ca.crt", "in-cluster", todo)
    _file(folder / "token", "in-cluster", todo)
    namespace = folder / "namespace"
    return Access(
        server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
        user=User("service account", token_file=folder / "token"),
        where="in-cluster",
        authority=authority,
        namespace=_file(namespace, "in-cluster", todo).strip() if namespace.exists() else "",
        in_cluster=True,
    )


def wrong(where: str, why: str, todo: str) -> KubeRefused:
    return failures.refused(failures.KUBECONFIG, why, todo, where)


def _file(path: Path, where: str, todo: str) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(LIMIT + 1)
    except FileNotFoundError:
        raise wrong(where, f"there is no file {path}", todo) from None
    except OSError as error:
        raise wrong(where, f"{path} cannot be read: {error.strerror or error}", "correct its rights, or name another") from error
    if len(raw) > LIMIT:
        raise wrong(where, f"{path} is larger than {LIMIT} bytes", todo)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise wrong(where, f"{path} is no text in UTF-8", todo) from None


def _yaml(text: str, where: str) -> Mapping[str, Json]:
    import yaml

    try:
        found = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark is not None else ""
        raise wrong(where, f"it is no YAML{place}", "see the file with kubectl config view") from None
    if not isinstance(found, dict) or not isinstance(found.get("clusters"), list):
        raise wrong(where, "it is no kubeconfig: it has no list of clusters", "see the file with kubectl config view")
    return found


@dataclass(frozen=True, slots=True)
class _Reading:
    """One kubeconfig while it is taken apart."""

    document: Mapping[str, Json]
    text: Secret
    folder: Path
    where: str
    plugins: bool

    def access(self, context: str, environment: Mapping[str, str]) -> Access:
        name = context or self._text(self.document, "current-context", "the kubeconfig")
        if not name:
            raise self._wrong("it has no current-context", f"name one of its contexts: {self._names('contexts')}")
        chosen = self._named("contexts", name)
        cluster = self._named("clusters", self._text(chosen, "cluster", f"context {name}"))
        known = self._text(chosen, "user", f"context {name}")
        user = self._user(known, self._named("users", known) if known else {}, cluster, name)
        authority, verify = self._authority(cluster)
        server = self._server(cluster)
        return Access(
            server=server,
            user=user,
            where=f"{server} (context {name})",
            authority=authority,
            verify=verify,
            server_name=self._text(cluster, "tls-server-name", "the cluster"),
            proxy=self._proxy(cluster, server, environment),
            namespace=self._text(chosen, "namespace", f"context {name}"),
        )

    def _server(self, cluster: Mapping[str, Json]) -> str:
        server = self._text(cluster, "server", "the cluster").rstrip("/")
        todo = "write https://host:port into `server` of the cluster"
        try:
            parts = urllib.parse.urlsplit(server)
            good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and not parts.query
        except ValueError:
            good = False
        if not good or parts.username is not None:
            raise self._wrong(f"{server!r} is no address of a server" if "@" not in server else "`server` is no address of a server", todo)
        return server

    def _authority(self, cluster: Mapping[str, Json]) -> tuple[str, bool]:
        verify = not self._flag(cluster, "insecure-skip-tls-verify")
        authority = self._pem(cluster, "certificate-authority", "the cluster")
        text = _file(authority, self.where, "correct certificate-authority") if isinstance(authority, Path) else authority
        if text and not verify:
            raise self._wrong("certificate-authority and insecure-skip-tls-verify exclude each other", "remove one of them")
        if text and "-----BEGIN" not in text:
            raise self._wrong("certificate-authority is no certificate in PEM", "see kubectl config view --raw")
        return text, verify

    def _proxy(self, cluster: Mapping[str, Json], server: str, environment: Mapping[str, str]) -> Proxy | None:
        given = self._text(cluster, "proxy-url", "the cluster")
        url = given or _usual_proxy(server, environment)
        if not url:
            return None
        source = "proxy-url" if given else "the environment's proxy"
        try:
            parts = urllib.parse.urlsplit(url if "://" in url else f"http://{url}")
            host, port = parts.hostname, parts.port or PROXIES.get(parts.scheme)
        except ValueError:
            host, port = None, None
        if not host or port is None or parts.scheme not in PROXIES:
            raise self._wrong(f"{source} is no address that we can use", UNSUPPORTED_PROXY)
        user, password = (urllib.parse.unquote(part or "") for part in (parts.username, parts.password))
        return Proxy(host, port, user, Secret(password), socks=parts.scheme != "http")

    def _user(self, name: str, user: Mapping[str, Json], cluster: Mapping[str, Json], context: str) -> User:
        if user.get("username") or user.get("password"):
            raise self._wrong(
                f"user {name} has a password: Kubernetes ended basic authentication in 1.19", "use a token, a certificate or an exec plugin"
            )
        token_file = self._text(user, "tokenFile", f"user {name}")
        return User(
            name=name,
            pair=self._pair(user, name),
            token=Secret(self._text(user, "token", f"user {name}")),
            token_file=self.folder / token_file if token_file else None,
            plugin=self._plugin(user, name, cluster),
            provider=self._provider(user, name, context),
            headers=self._impersonation(user, name),
        )

    def _pair(self, user: Mapping[str, Json], name: str) -> Pair | None:
        chain = self._pem(user, "client-certificate", f"user {name}")
        key = self._pem(user, "client-key", f"user {name}")
        if not chain and not key:
            return None
        if not chain or not key:
            missing = "client-key" if chain else "client-certificate"
            raise self._wrong(f"user {name} has no {missing}", "a client certificate needs both client-certificate and client-key")
        return Pair(chain, key if isinstance(key, Path) else Secret(key))

    def _plugin(self, user: Mapping[str, Json], name: str, cluster: Mapping[str, Json]) -> Plugin | None:
        if not user.get("exec"):
            return None
        found = self._mapping(user.get("exec"), f"exec of user {name}")
        whose = f"exec of user {name}"
        version, command = self._text(found, "apiVersion", whose), self._text(found, "command", whose)
        self._may_run(name)
        if version not in PLUGIN_VERSIONS:
            raise self._wrong(f"{whose}: apiVersion {version!r} is not supported", f"have the plugin write {PLUGIN_VERSIONS[0]}")
        if not command:
            raise self._wrong(f"{whose} has no command", "write the plugin's program into command")
        if self._text(found, "interactiveMode", whose) == "Always":
            raise self._wrong(f"{whose} needs a terminal (interactiveMode: Always)", "use a plugin that asks nobody")
        return Plugin(
            version=version,
            command=str(self.folder / command) if "/" in command else command,
            arguments=tuple(self._plain(one, f"args of {whose}") for one in self._list(found, "args", whose)),
            environment=tuple(self._variable(one, whose) for one in self._list(found, "env", whose)),
            cluster=self._cluster_info(cluster) if self._flag(found, "provideClusterInfo") else None,
            hint=self._text(found, "installHint", whose),
        )

    def _may_run(self, name: str) -> None:
        if not self.plugins:
            raise self._wrong(
                f"user {name} needs a program to be run, which this kubeconfig may not ask for", "use a token or a certificate"
            )

    def _variable(self, one: Json, whose: str) -> tuple[str, Secret]:
        entry = self._mapping(one, f"env of {whose}")
        return self._text(entry, "name", whose), Secret(self._text(entry, "value", whose))

    def _cluster_info(self, cluster: Mapping[str, Json]) -> Mapping[str, Json]:
        """`spec.cluster` of ExecCredential: what the kubeconfig says, with files read in and the extension for plugins."""
        authority, verify = self._authority(cluster)
        info: dict[str, Json] = {"server": self._server(cluster)}
        if not verify:
            info["insecure-skip-tls-verify"] = True
        if authority:
            info["certificate-authority-data"] = base64.b64encode(authority.encode()).decode()
        info |= {key: value for key in ("tls-server-name", "proxy-url") if (value := cluster.get(key))}
        for one in self._list(cluster, "extensions", "the cluster"):
            if isinstance(one, dict) and one.get("name") == PLUGIN_CONFIG:
                info["config"] = one.get("extension")
        return info

    def _provider(self, user: Mapping[str, Json], name: str, context: str) -> Provider | None:
        if not user.get("auth-provider"):
            return None
        self._may_run(name)
        whose = f"auth-provider of user {name}"
        return Provider(self._text(self._mapping(user.get("auth-provider"), whose), "name", whose), self.text, context)

    def _impersonation(self, user: Mapping[str, Json], name: str) -> tuple[tuple[str, str], ...]:
        """Left out, we would act with other rights than kubectl does."""
        whose = f"user {name}"
        headers = [("Impersonate-User", self._text(user, "as", whose)), ("Impersonate-Uid", self._text(user, "as-uid", whose))]
        headers += [("Impersonate-Group", self._plain(one, whose)) for one in self._list(user, "as-groups", whose)]
        extra = self._mapping(user.get("as-user-extra") or {}, f"as-user-extra of {whose}")
        for key, values in extra.items():
            safe = urllib.parse.quote(key.lower(), safe="")
            headers += [(f"Impersonate-Extra-{safe}", self._plain(one, whose)) for one in (values if isinstance(values, list) else [])]
        return tuple((header, value) for header, value in headers if value)

    def _pem(self, mapping: Mapping[str, Json], key: str, whose: str) -> str | Path:
        """`key-data` (base64), which wins as with kubectl, or the file that `key` names; "" for neither."""
        if data := self._text(mapping, f"{key}-data", whose):
            try:
                return base64.b64decode("".join(data.split()), validate=True).decode()
            except (binascii.Error, UnicodeDecodeError):
                raise self._wrong(f"{key}-data of {whose} is no base64 of a PEM text", "copy it again, whole") from None
        name = self._text(mapping, key, whose)
        return self.folder / name if name else ""

    def _named(self, plural: str, name: str) -> Mapping[str, Json]:
        singular = plural.removesuffix("s")
        for one in self._list(self.document, plural, "the kubeconfig"):
            if isinstance(one, dict) and one.get("name") == name:
                return self._mapping(one.get(singular) or {}, f"{singular} {name}")
        raise self._wrong(f"there is no {singular} {name!r} in it", f"it has: {self._names(plural)}")

    def _names(self, plural: str) -> str:
        names = [str(one.get("name")) for one in self._list(self.document, plural, "the kubeconfig") if isinstance(one, dict)]
        return ", ".join(sorted(names)) or "none"

    def _mapping(self, value: Json, whose: str) -> Mapping[str, Json]:
        if not isinstance(value, dict):
            raise self._wrong(f"{whose} is no mapping", "see kubectl config view")
        return value

    def _list(self, mapping: Mapping[str, Json], key: str, whose: str) -> list[Json]:
        value = mapping.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self._wrong(f"{key} of {whose} is no list", "see kubectl config view")
        return value

    def _text(self, mapping: Mapping[str, Json], key: str, whose: str) -> str:
        value = mapping.get(key)
        return "" if value is None else self._plain(value, f"{key} of {whose}")

    def _plain(self, value: Json, whose: str) -> str:
        if not isinstance(value, str):
            raise self._wrong(f"{whose} is no text", "write it in quotation marks")
        return value

    def _flag(self, mapping: Mapping[str, Json], key: str) -> bool:
        value = mapping.get(key, False)
        if not isinstance(value, bool):
            raise self._wrong(f"{key} is neither true nor false", "write true or false")
        return value

    def _wrong(self, why: str, todo: str) -> KubeRefused:
        return wrong(self.where, why, todo)


def _usual_proxy(server: str, environment: Mapping[str, str]) -> str:
    """HTTPS_PROXY and its relatives, as every client of Kubernetes reads them; never for this box."""
    parts = urllib.parse.urlsplit(server)
    host = parts.hostname or ""
    name = f"{parts.scheme}_proxy"
    url = environment.get(name.upper()) or environment.get(name) or ""
    if not url or is_loopback(host) or _exempt(host, environment.get("NO_PROXY") or environment.get("no_proxy") or ""):
        return ""
    return url


def is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


def _exempt(host: str, exceptions: str) -> bool:
    for word in (part.strip().lower() for part in exceptions.split(",")):
        if word == "*" or (word and (host == word.lstrip(".") or host.endswith(f".{word.lstrip('.')}"))):
            return True
        if "/" in word and _in_network(host, word):
            return True
    return False


def _in_network(host: str, network: str) -> bool:
    import ipaddress

    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
