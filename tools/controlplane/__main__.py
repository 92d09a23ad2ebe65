"""python3 tools/environment.py -m tools.controlplane build|path|start|stop"""

import argparse
from pathlib import Path

from tools.controlplane import KubectlFailed, NotAvailable, ProcessFailed, assets, cluster, processes, programs


def build(names: list[str]) -> None:
    """Build into the cache; the folder is printed last."""
    unknown = sorted(set(names) - set(programs.PROGRAMS))
    if unknown:
        raise SystemExit(f"controlplane: {', '.join(unknown)} is none of {', '.join(programs.PROGRAMS)}")
    folder = programs.build(names or programs.CONTROL_PLANE)
    assets.definitions()
    print(folder)


def start(folder: Path, mode: cluster.Mode) -> None:
    """Start and leave it running."""
    plane = cluster.start(folder, mode)
    plane.processes.keep()
    print(f"{plane.url}\n  admin, for set-up:       {plane.admin_kubeconfig}")
    print(f"  reconciler, by token:    {plane.user_kubeconfig}\n  ... and by certificate:  {plane.cert_kubeconfig}")
    print(f"  stop it:                 python3 tools/environment.py -m tools.controlplane stop {folder}")


def stop(folder: Path) -> None:
    print("stopped" if processes.stop(folder) else f"nothing runs in {folder}")


def words() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="controlplane", description="A real control plane for tests and benchmarks.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("build", help="build the programs into the cache (once, some minutes)")
    verb.add_argument("names", nargs="*", metavar="PROGRAM", help="by default those of the control plane")
    verbs.add_parser("path", help="print where the programs stand in the cache")
    verb = verbs.add_parser("start", help="start a control plane and leave it running")
    verb.add_argument("folder", type=Path, help="for its files")
    verb.add_argument("--mode", choices=("api", "full"), default="full", help="api: etcd and API server only; full: with simulated nodes")
    verb = verbs.add_parser("stop", help="end it")
    verb.add_argument("folder", type=Path)
    return parser.parse_args()


def main() -> None:
    given = words()
    try:
        if given.verb == "build":
            build(given.names)
        elif given.verb == "path":
            print(programs.folder())
        elif given.verb == "start":
            start(given.folder, given.mode)
        else:
            stop(given.folder)
    except (NotAvailable, ProcessFailed, KubectlFailed) as error:
        raise SystemExit(f"controlplane: {error}") from None


if __name__ == "__main__":
    main()
