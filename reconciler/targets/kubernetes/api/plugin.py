"""Credentials that a program issues: an exec plugin of the kubeconfig, or one of the older auth providers by the official package.

A plugin runs without a terminal, within a time limit, in a session of its own so that what it has started ends with it. What it prints to
stderr is shown, cut; what it prints to stdout is the secret and is shown nowhere.
"""

import contextlib
import os
import signal
import subprocess
from datetime import datetime
from typing import Final

import msgspec

from reconciler.resource import Json
from reconciler.targets.kubernetes.api import failures
from reconciler.targets.kubernetes.api.access import Access, Certificate, Login, Plugin, Provider, Secret, bearer
from reconciler.targets.kubernetes.api.certificate import end_of
from reconciler.targets.kubernetes.api.failures import KubeUnavailable, refused
from reconciler.targets.kubernetes.api.refusal import NO_JSON, SHOWN, cut

PLUGIN_LIMIT: Final = 30.0  # seconds that a plugin may take
PROVIDER_LIFE: Final = 300.0  # seconds after which an old auth provider is asked again: it does not say when its token ends


def issued(access: Access, now: float) -> tuple[Login, float]:
    """A fresh login, and when it ends in seconds since the epoch (never: infinity).

    Raises KubeUnavailable (KUBE2) for a plugin that fails; KubeRefused: KUBE9 for one that is not there, KUBE2 for a provider that gives no
    token.
    """
    if access.user.provider is not None:
        return _from_provider(access.user.provider, access.where), now + PROVIDER_LIFE
    assert access.user.plugin is not None
    login, end = _from_plugin(access.user.plugin, access.where)
    if end <= now:
        raise _failed(access.user.plugin, "what it gives has ended already", access.where)
    return login, end


class _Issue(msgspec.Struct, rename="camel"):
    token: str = ""
    client_certificate_data: str = ""
    client_key_data: str = ""
    expiration_timestamp: str | None = None


class _ExecCredential(msgspec.Struct, rename="camel"):
    api_version: str = ""
    kind: str = ""
    status: _Issue | None = None


def _from_plugin(plugin: Plugin, where: str) -> tuple[Login, float]:
    """Run it. Its login, and when that ends (never: infinity)."""
    output = _run(plugin, where)
    try:
        found = msgspec.json.decode(output, type=_ExecCredential)
    except NO_JSON:
        raise _failed(plugin, "it prints no ExecCredential in JSON", where) from None
    issue = found.status
    if found.kind != "ExecCredential" or found.api_version != plugin.version or issue is None:
        raise _failed(plugin, f"it does not print an ExecCredential of {plugin.version} with a status", where)
    if bool(issue.client_certificate_data) != bool(issue.client_key_data) or not (issue.token or issue.client_certificate_data):
        raise _failed(plugin, "it gives neither a token nor a certificate with its key", where)
    certificate = Certificate(issue.client_certificate_data, Secret(issue.client_key_data)) if issue.client_key_data else None
    try:
        return Login(bearer(Secret(issue.token)), certificate), _end(plugin, issue, where)
    except ValueError as error:
        raise _failed(plugin, str(error), where) from None


def _end(plugin: Plugin, issue: _Issue, where: str) -> float:
    if not issue.expiration_timestamp:
        return (issue.client_certificate_data and end_of(issue.client_certificate_data)) or float("inf")
    try:
        return datetime.fromisoformat(issue.expiration_timestamp).timestamp()
    except ValueError:
        raise _failed(plugin, "its expirationTimestamp is no time", where) from None


def _run(plugin: Plugin, where: str) -> bytes:
    """In a session of its own, so that what it has started ends with it."""
    told: dict[str, Json] = {"apiVersion": plugin.version, "kind": "ExecCredential", "spec": {"interactive": False}}
    if plugin.cluster is not None:
        told["spec"] = {"interactive": False, "cluster": plugin.cluster}
    environment = os.environ | {name: value.reveal() for name, value in plugin.environment}
    environment["KUBERNETES_EXEC_INFO"] = msgspec.json.encode(told).decode()
    try:
        process = subprocess.Popen(
            [plugin.command, *plugin.arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        why = f"the plugin {plugin.command} cannot be started: {getattr(error, 'strerror', None) or error}"
        raise refused(failures.KUBECONFIG, why, cut(plugin.hint) or "install it, or correct its command", where) from error
    return _output(process, plugin, where)


def _output(process: subprocess.Popen[bytes], plugin: Plugin, where: str) -> bytes:
    try:
        output, said = process.communicate(timeout=PLUGIN_LIMIT)
    except subprocess.TimeoutExpired:
        _kill(process)
        raise _failed(plugin, f"it did not end within {PLUGIN_LIMIT:.0f} s", where) from None
    if process.returncode != 0:
        text = cut(said.decode(errors="replace").strip()[-SHOWN:])
        raise _failed(plugin, f"it ended with {process.returncode}" + (f": {text}" if text else ""), where)
    return output


def _kill(process: subprocess.Popen[bytes]) -> None:
    """The program and what it has started; its pipes are closed even when something of it lives on."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def _failed(plugin: Plugin, why: str, where: str) -> KubeUnavailable:
    """Most plugins ask a service of theirs, which may answer the next time."""
    return KubeUnavailable(
        "the credentials' plugin fails",
        code=failures.CREDENTIALS,
        where=where,
        why=f"{plugin.command}: {why}",
        todo=f"run it by hand, and sign in as it says: {plugin.command}",
    )


def _from_provider(provider: Provider, where: str) -> Login:
    """The official package knows the providers of before 2022, and refreshes their tokens."""
    why = f"auth-provider {provider.name} is an older way to sign in"
    try:
        import yaml
        from kubernetes.client import Configuration
        from kubernetes.config.kube_config import KubeConfigLoader
    except ImportError:
        raise refused(failures.KUBECONFIG, why, "pip install kubernetes, or have the user sign in by an exec plugin", where) from None
    configuration = Configuration()
    try:
        loader = KubeConfigLoader(yaml.safe_load(provider.document.reveal()), active_context=provider.context)
        loader.load_and_set(configuration)
        header = configuration.get_api_key_with_prefix("BearerToken")
    except Exception as error:  # whatever the provider's own libraries raise
        text = f"{why}, and gives no token: {type(error).__name__}: {cut(str(error))}"
        raise failures.raised(
            failures.CREDENTIALS, "the auth provider fails", text, "have the user sign in by an exec plugin", where
        ) from error
    if not header:
        raise refused(failures.CREDENTIALS, f"{why}, and gives no token", "have the user sign in by an exec plugin", where)
    return Login(Secret(str(header)))
