"""Gateway: a target that routes. Only Envoy, by files, so far."""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from reconciler.schema.base import Bool, Declared, Int, Later, fault
from reconciler.schema.metadata import Document, GlobalMetadata, Name
from reconciler.schema.quantity import Bytes
from reconciler.schema.text import Relative, Url


class GatewayOutput(Declared):
    """Where the generated files go."""

    LATER: ClassVar[Mapping[str, Later]] = {
        "kubernetes": Later("a gateway that reads a ConfigMap"),
        "adminUrl": Later("a gateway that is fed by its admin address"),
    }

    directory: Relative = "gateway"
    """Folder below the state folder."""
    run: Bool = False
    """Start the gateway on these files and keep it up."""


class Listen(Declared):
    """Where the gateway listens."""

    LATER: ClassVar[Mapping[str, Later]] = {"tls": Later("TLS at the gateway")}

    address: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    """Address; `0.0.0.0` for every interface."""
    port: Annotated[Int, Field(ge=1, le=65535)] = 8080
    """Port."""

    @field_validator("address")
    @classmethod
    def _an_address(cls, address: str) -> str:
        """Envoy binds addresses; a name it would refuse only when it starts."""
        try:
            ip_address(address)
        except ValueError:
            why = "a gateway binds an address of this box, not a name"
            raise fault("E75", f"'{address}' is not an IP address", why, "write 127.0.0.1, 0.0.0.0 or an address of this box") from None
        return address


class GatewayLimits(Declared):
    """What the gateway refuses for its size."""

    max_request_bytes: Bytes = 10 * 1024 * 1024
    """Largest request body."""


class GatewaySpec(Declared):
    LATER: ClassVar[Mapping[str, Later]] = {
        "type=kong": Later("a Kong gateway"),
        "type=litellm": Later("a LiteLLM gateway"),
        "type=gateway-api": Later("a gateway by the Gateway API"),
        "secrets": Later("a secret store of a gateway"),
    }

    type: Literal["envoy"]
    """Kind of gateway."""
    clusters: tuple[Name, ...]
    """The clusters whose endpoints it routes to."""
    output: GatewayOutput = GatewayOutput()
    """Where the generated files go."""
    listen: Listen = Listen()
    """Where it listens."""
    base_url: Url = ""
    """Its address as clients see it; empty: `http://<address>:<port>`."""
    limits: GatewayLimits = GatewayLimits()
    """What it refuses for its size."""

    @field_validator("clusters")
    @classmethod
    def _some_and_each_once(cls, clusters: tuple[str, ...]) -> tuple[str, ...]:
        if not clusters:
            raise fault("E75", "no clusters", "a gateway routes to at least one", "name the clusters that it routes to")
        for index, name in enumerate(clusters):
            if name in clusters[:index]:
                raise fault("E69", f"cluster '{name}' twice", "one mention is enough", "remove one", at=(index,))
        return clusters


class Gateway(Document):
    """A target that routes."""

    kind: Literal["Gateway"]
    """Gateway."""
    metadata: GlobalMetadata
    """Identity."""
    spec: GatewaySpec
    """Which gateway, and what it routes to."""
