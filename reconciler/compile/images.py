"""Which image an engine version runs from on a Kubernetes cluster: by the accelerator's vendor, from the cluster's mirror.

ghcr.io/ggml-org/llama.cpp:server-b11549  ->  harbor.local/inference/ggml-org/llama.cpp:server-b11549
"""

import re
from typing import Final

from reconciler.compile.engines import Version
from reconciler.compile.findings import Findings, listed
from reconciler.schema.cluster import ClusterAccelerator
from reconciler.schema.image_registry import ImageRegistrySpec

WITHOUT_ACCELERATOR: Final = "cpu"
IMAGE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,511}", re.ASCII)


def image_of(findings: Findings, version: Version, accelerator: ClusterAccelerator | None, mirror: ImageRegistrySpec | None) -> str:
    """The reference, worth something only if nothing was found wrong (E8)."""
    vendor = accelerator.vendor if accelerator else WITHOUT_ACCELERATOR
    images = version.spec.images
    if accelerator and not vendor:
        what, why = f"accelerator '{accelerator.type}' has no vendor", f"{version.title} has images for {listed(images)}"
        findings.error("E8", "/spec/resources/accelerator/type", what, why, "set vendor in the cluster's accelerators")
        return ""
    if vendor not in images:
        what, why = f"{version.title} has no image for {vendor}", f"images exist for {listed(images)}"
        findings.error("E8", "/spec/engine", what, why, "choose another engine version or accelerator, or declare the image")
        return ""
    image = images[vendor]
    if not IMAGE.fullmatch(image):
        what, why = f"'{image[:100]}' is not the name of an image", "nodes could not pull it"
        findings.error("E75", f"{version.pointer}/images/{vendor}", what, why, "correct it", on=version.engine)
    return mirrored(image, mirror) if mirror else image


def mirrored(image: str, mirror: ImageRegistrySpec) -> str:
    return "/".join(part for part in (mirror.url, mirror.repository, _without_host(image)) if part)


def _without_host(image: str) -> str:
    """The first part is a host where it has a dot or a port, or is `localhost`: so container runtimes read it."""
    first, slash, rest = image.partition("/")
    return rest if slash and ("." in first or ":" in first or first == "localhost") else image
