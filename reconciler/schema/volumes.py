"""Volumes of a replica: what is mounted where, and what must not be covered."""

from typing import Annotated, Final, Self

from pydantic import Field, field_validator, model_validator

from reconciler.schema.base import Bool, Declared, fault
from reconciler.schema.kubernetes import Nfs
from reconciler.schema.metadata import Name
from reconciler.schema.text import AbsolutePath, KubernetesName, Relative, absolute_path

SYSTEM: Final = ("/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/root", "/run", "/sbin", "/sys", "/usr", "/var")
OURS: Final = ("/dev/shm", "/models")  # shared memory, and where the model is
OUR_NAMES: Final = frozenset({"model", "model-cache", "dshm"})


class Volume(Declared):
    """A volume of the replicas; Kubernetes only."""

    name: Name
    """Its name."""
    pvc: KubernetesName = ""
    """Name of a PersistentVolumeClaim in the endpoint's namespace."""
    nfs: Nfs | None = None
    """A folder of an NFS server."""
    host_path: AbsolutePath = ""
    """A folder of the node."""
    sub_path: Relative = ""
    """Folder of the volume that is mounted; empty: the whole."""
    mount_path: str
    """Where it is mounted."""
    read_only: Bool = False
    """The replicas cannot write to it."""

    @field_validator("name")
    @classmethod
    def _free_name(cls, name: str) -> str:
        if name in OUR_NAMES:
            raise fault("E53", f"volume '{name}'", "the platform mounts it", "rename it")
        return name

    @field_validator("mount_path")
    @classmethod
    def _free_place(cls, path: str) -> str:
        folder = "/" + "/".join(part for part in path.split("/") if part)
        if not absolute_path(path) or "." in path.split("/") or not path.isprintable() or ":" in path:
            raise fault("E44", f"mountPath '{path[:100]}'", "it is no absolute path of the container", "mount below /data")
        if folder == "/" or (_below(folder, SYSTEM) and not _below(folder, OURS)):
            raise fault("E44", f"mountPath '{path[:100]}'", "it would hide system files", "mount below /data")
        if _below(folder, OURS):
            raise fault("E53", f"mountPath '{path[:100]}'", "the platform mounts it", "mount below /data")
        return folder

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [source for source in (self.pvc, self.nfs, self.host_path) if source]
        if len(given) != 1:
            what = "no source" if not given else "several sources"
            raise fault("E75", f"{what} for volume '{self.name}'", "a volume is pvc, nfs or hostPath", "give exactly one of them")
        return self


def _below(folder: str, roots: tuple[str, ...]) -> bool:
    return any(folder == root or folder.startswith(f"{root}/") for root in roots)


def each_once(volumes: tuple[Volume, ...]) -> tuple[Volume, ...]:
    """One name, one place. Raises a fault (E69, E44)."""
    for index, volume in enumerate(volumes):
        earlier = volumes[:index]
        if volume.name in [other.name for other in earlier]:
            why = "one of them would be lost in silence"
            raise fault("E69", f"volume '{volume.name}' twice", why, "remove one", at=(index, "name"))
        taken = next((other.name for other in earlier if other.mount_path == volume.mount_path), "")
        if taken:
            what, why = f"mountPath '{volume.mount_path}'", f"volume '{taken}' has it"
            raise fault("E44", what, why, "mount it elsewhere below /data", at=(index, "mountPath"))
    return volumes


Volumes = Annotated[tuple[Volume, ...], Field(max_length=64)]
