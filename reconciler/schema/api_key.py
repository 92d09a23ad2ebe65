"""ApiKey: who may use which endpoints. Only hashes stand in the repo; `reconciler keys` writes them and prints a key once."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from reconciler.schema.base import Bool, Declared, Later, fault
from reconciler.schema.metadata import Document, Name, ScopedMetadata
from reconciler.schema.text import Time


class Credential(Declared):
    """One key, by its hash."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9]{4,32}$")]
    """Public id: the second part of the key."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """SHA-256 of the whole key, in lower-case hex."""
    hint: Annotated[str, Field(max_length=8)] = ""
    """Last characters of the key, so that its owner recognises it."""
    created_at: Time = ""
    """When it was made (RFC 3339)."""
    expires_at: Time = ""
    """From when on it is refused (RFC 3339); empty: never."""


class ApiKeySpec(Declared):
    LATER: ClassVar[Mapping[str, Later]] = {"limits": Later("rate and token limits")}

    owner: str = ""
    """Who answers for it."""
    endpoints: tuple[Name, ...] | None = None
    """Endpoints of the workspace that it opens; absent: every one; []: none."""
    models: tuple[str, ...] | None = None
    """Models that it opens, by name; absent: every one; []: none."""
    credentials: tuple[Credential, ...] = ()
    """The keys: two during a rotation."""
    disabled: Bool = False
    """Refuse it for now."""

    @model_validator(mode="after")
    def _sound_credentials(self) -> Self:
        hashes = [credential.sha256 for credential in self.credentials]
        for index, hashed in enumerate(hashes):
            if hashed in hashes[:index]:  # one id twice is a rotation: the public id stays, the secret changes
                raise fault(
                    "E69", "one key twice", "one of them would be lost in silence", "remove one", at=("credentials", index, "sha256")
                )
        if self.disabled and len(hashes) > 1:
            raise fault(
                "E72",
                "disabled: true",
                "a rotation is in progress: there are two credentials",
                "finish it: remove the old credential",
                at=("disabled",),
            )
        return self


class ApiKey(Document):
    """Who may use which endpoints."""

    kind: Literal["ApiKey"]
    """ApiKey."""
    metadata: ScopedMetadata
    """Identity."""
    spec: ApiKeySpec
    """What it opens, and its hashes."""
