"""Engine: one inference server and its versions. What a version accepts is a JSON Schema, named here and checked in compile."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import Field, JsonValue, field_validator

from reconciler.schema.base import Bool, Declared, Int, Later, fault
from reconciler.schema.metadata import Document, GlobalMetadata

Task: TypeAlias = Literal["text-generation", "text-embedding", "text-rerank"]
Port = Annotated[Int, Field(ge=1, le=65535)]


class ArgStyle(Declared):
    """How arguments become words of a command line."""

    LATER: ClassVar[Mapping[str, Later]] = {
        "as=env": Later("arguments by environment variables"),
        "as=configFile": Later("arguments by a configuration file"),
    }

    as_: Annotated[Literal["flags"], Field(alias="as")] = "flags"
    """Options of the command line."""
    case: Literal["kebab", "snake"] = "kebab"
    """Spelling of an option: `--max-model-len` or `--max_model_len`."""
    bool_: Annotated[Literal["flag", "negate", "value"], Field(alias="bool")] = "flag"
    """A boolean: `--x` or nothing; `--x` or `--no-x`; `--x true`."""
    list_: Annotated[Literal["space", "repeat", "comma"], Field(alias="list")] = "space"
    """A list: `--x a b`, `--x a --x b`, or `--x a,b`."""
    object_: Annotated[Literal["json"], Field(alias="object")] = "json"
    """An object: as JSON."""


class EnginePorts(Declared):
    """Ports of the engine in a container of its own; on Ray each replica gets a free one."""

    http: Port = 8000
    """The API."""
    management: Port | None = None
    """Management; absent: the API's."""
    metrics: Port | None = None
    """Metrics; absent: the API's."""


class EnginePaths(Declared):
    """Paths of the engine that we ask."""

    startup: str = "/health"
    """Answers 200 once the model is loaded."""
    readiness: str = "/health"
    """Answers 200 while it can take requests."""
    liveness: str = "/health"
    """Answers while the process is sound."""
    metrics: str = ""
    """Prometheus metrics; empty: none."""
    models: str = "/v1/models"
    """List of models."""

    @field_validator("*")
    @classmethod
    def _absolute(cls, path: str) -> str:
        if path and not path.startswith("/"):
            raise fault("E75", f"'{path}' is not a path", "it is asked at the engine's own address", f"write /{path}")
        return path


class Shutdown(Declared):
    """How the engine is told to finish its requests."""

    LATER: ClassVar[Mapping[str, Later]] = {"path": Later("shutdown by a request")}

    args: tuple[str, ...] = ()
    """Arguments that set its own time to finish."""


class EngineCapabilities(Declared):
    """What the engine can do beside serving."""

    lora: Literal["none", "start", "runtime"] = "none"
    """LoRA adapters: none, at start, or at run time."""
    metrics: Bool = False
    """Has metrics of its own."""


class RayRunner(Declared):
    """How the engine runs on Ray."""

    LATER: ClassVar[Mapping[str, Later]] = {
        "runner=ray.serve.llm": Later("Ray's own LLM builder", todo="use runner: process"),
        "runner=importPath": Later("a Serve application of your own", todo="use runner: process"),
        "importPath": Later("a Serve application of your own", todo="use runner: process"),
    }

    runner: Literal["process"] = "process"
    """`process`: the engine's own server as a supervised child process of each replica."""
    command: tuple[str, ...] = ()
    """Command on Ray's nodes, where it differs from the image's."""


class EngineVersion(Declared):
    """One version of the engine."""

    LATER: ClassVar[Mapping[str, Later]] = {"templates": Later("templates of your own")}

    version: Annotated[str, Field(min_length=1)]
    """The version, as its project writes it."""
    images: Mapping[str, str] = Field(default_factory=dict)
    """Container image by accelerator vendor; not used on Ray."""
    tasks: tuple[Task, ...] = ("text-generation",)
    """What it can serve."""
    apis: tuple[Literal["openai", "tgi", "triton", "native"], ...] = ("openai",)
    """Families of paths that a gateway may expose."""
    args_schema: str
    """JSON Schema of its arguments: `builtin:engines/<file>.json`."""
    command: tuple[str, ...] = ()
    """Command line; words may hold `{{ model.path }}`, `{{ host }}`, `{{ ports.http }}`, `{{ model.servedName }}`."""
    arg_style: ArgStyle = ArgStyle()
    """How arguments become words of a command line."""
    task_args: Mapping[Task, Mapping[str, JsonValue]] = Field(default_factory=dict)
    """Arguments that a task adds."""
    parallel_args: Mapping[Literal["tensor", "pipeline", "data"], str] = Field(default_factory=dict)
    """Names of the arguments that set the degrees of parallelism."""
    memory_fraction_arg: str = ""
    """Name of the argument that bounds its share of an accelerator's memory."""
    ports: EnginePorts = EnginePorts()
    """Ports in a container of its own."""
    paths: EnginePaths = EnginePaths()
    """Paths that we ask."""
    shutdown: Shutdown = Shutdown()
    """How it is told to finish."""
    capabilities: EngineCapabilities = EngineCapabilities()
    """What it can do beside serving."""
    ray: RayRunner = RayRunner()
    """How it runs on Ray."""

    @field_validator("args_schema")
    @classmethod
    def _builtin(cls, name: str) -> str:
        if not name.startswith("builtin:"):
            raise fault(
                "E73",
                "an argument schema of your own is not supported yet",
                "this version knows the schemas that it ships",
                "write builtin:engines/<file>.json",
            )
        return name


class EngineSpec(Declared):
    versions: Annotated[tuple[EngineVersion, ...], Field(min_length=1)]
    """The versions that endpoints may name."""

    @field_validator("versions")
    @classmethod
    def _each_once(cls, versions: tuple[EngineVersion, ...]) -> tuple[EngineVersion, ...]:
        names = [version.version for version in versions]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise fault("E69", f"version '{name}' twice", "one of them would be lost in silence", "remove one", at=(index, "version"))
        return versions


class Engine(Document):
    """An inference server."""

    kind: Literal["Engine"]
    """Engine."""
    metadata: GlobalMetadata
    """Identity."""
    spec: EngineSpec
    """Its versions."""
