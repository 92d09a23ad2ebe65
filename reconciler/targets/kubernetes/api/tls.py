"""The TLS of a cluster: whose certificates we trust, and which one we show. Made once, and again for another client certificate."""

import contextlib
import os
import ssl
from collections.abc import Iterator

from reconciler.targets.kubernetes.api import failures
from reconciler.targets.kubernetes.api.access import Access, Certificate
from reconciler.targets.kubernetes.api.refusal import cut


def tls_context(access: Access, certificate: Certificate | None) -> ssl.SSLContext:
    """Raises KubeRefused: KUBE9 for a CA, KUBE2 for a client certificate that OpenSSL does not take."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # as Go: a certificate that is trusted by name needs no root above it
    if not access.verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    elif not access.authority:
        context.load_default_certs()
    else:
        try:
            context.load_verify_locations(cadata=access.authority)
        except (ssl.SSLError, ValueError) as error:
            why = f"certificate-authority is no certificate: {cut(str(error))}"
            raise failures.refused(failures.KUBECONFIG, why, "see kubectl config view --raw", access.where) from error
    if certificate is not None:
        _load(context, certificate, access.where)
    return context


def _load(context: ssl.SSLContext, certificate: Certificate, where: str) -> None:
    def no_password() -> str:
        raise ValueError("the key is encrypted")

    try:
        with _as_file(f"{certificate.chain.strip()}\n{certificate.key.reveal().strip()}\n") as path:
            context.load_cert_chain(path, password=no_password)
    except (OSError, ValueError) as error:
        why = f"the client certificate and its key cannot be used: {cut(str(error))}"
        raise failures.refused(failures.CREDENTIALS, why, "put a certificate and its unencrypted key into the kubeconfig", where) from None


@contextlib.contextmanager
def _as_file(text: str) -> Iterator[str]:
    """OpenSSL reads keys from files only: one in memory where the kernel has that, else one that only we may read, for a moment."""
    if hasattr(os, "memfd_create"):
        number = os.memfd_create("client-certificate", os.MFD_CLOEXEC)
        try:
            with open(number, "wb", closefd=False) as file:
                file.write(text.encode())
            yield f"/proc/self/fd/{number}"
        finally:
            os.close(number)
    else:
        import tempfile

        with tempfile.NamedTemporaryFile("w") as file:
            file.write(text)
            file.flush()
            yield file.name
