"""Endpoints for tests on a control plane: small workloads whose pods the simulated nodes run."""

from dataclasses import replace

from reconciler.targets.rendering import Container, Meta, Probe, Workload

PROBE = Probe("/health", 0, 5, 5, 10)


def a_workload(
    name: str, workspace: str, *, replicas: int = 1, image: str = "example.org/llama:1", mode: str = "", **fields: object
) -> Workload:
    """mode: what the simulated node makes of its pods (crash, pull, stuck), as an environment variable that a test turns into a label."""
    container = Container("llama-cpp", "b1", image, 8080, PROBE, PROBE, PROBE)
    workload = Workload(
        meta=Meta(f"Endpoint/{workspace}/{name}", f"{name}.yaml:1"),
        workspace=workspace,
        name=name,
        command=("/app/llama-server", "--host", "{host}", "--port", "{port}", "--alias", name),
        env={"MODE": mode} if mode else {},
        secrets=(),
        replicas=replicas,
        cpu=0.01,
        memory=16 * 1024**2,
        accelerator=None,
        health_path="/health",
        startup_timeout=60,
        health_period=5,
        health_timeout=5,
        grace=330,
        surge=True,
        spread_required=False,
        restarted_at="",
        container=container,
    )
    return replace(workload, **fields)  # type: ignore[arg-type]
