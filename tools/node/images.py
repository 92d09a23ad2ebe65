"""What is in the images that the nodes of the tests pull.

    pause    the first process of every pod
    tools    a shell and its commands: for pods that crash, hang or eat memory
    llama    what a manifest calls `ghcr.io/ggml-org/llama.cpp`: `/app/llama-server` with llama.cpp's own options
    models   one image for each of the demo's models, its file at the root: mounted as an image volume

The server is the one that runs on Ray nodes too, `reconciler.nodes.llama_server`: this machine's Python, the libraries that it loads, and
the package xllamacpp. Where the real image has llama.cpp's program, this one has its library; names, options and HTTP API are the same.
"""

import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from tools import models
from tools.environment import CHECKOUT
from tools.node.build import Programs
from tools.node.layout import Image, Layer, Recipe, Store, key_of

PAUSE: Final = "node.invalid/pause:1"
TOOLS: Final = "node.invalid/tools:1"
LLAMA: Final = "ghcr.io/ggml-org/llama.cpp:server-b11549"
MODELS: Final = "registry.example/models"  # below it `<folder of the model>:1`

PYTHON: Final = f"python{sys.version_info.major}.{sys.version_info.minor}"
INSIDE: Final = f"usr/local/lib/{PYTHON}"
# of the standard library: what no server imports, and what belongs to the machine
UNUSED: Final = (
    *("__pycache__", "site-packages", "dist-packages", "test", "tests"),
    *("idlelib", "tkinter", "turtledemo", "lib2to3", "ensurepip"),
)
UNWANTED: Final = ("config-*", "lib-dynload/_tkinter*")
PEOPLE: Final = """\
root:x:0:0:root:/root:/bin/sh
server:x:1000:1000:server:/tmp:/bin/sh
nobody:x:65534:65534:nobody:/:/bin/false
"""
GROUPS: Final = "root:x:0:\nserver:x:1000:\nnogroup:x:65534:\n"
ENVIRONMENT: Final = ("PATH=/usr/local/bin:/bin", "LD_LIBRARY_PATH=/usr/local/lib", "PYTHONHOME=/usr/local", "PYTHONDONTWRITEBYTECODE=1")
SERVER: Final = f'#!/bin/sh\nexec /usr/local/bin/{PYTHON} -m reconciler.nodes.llama_server "$@"\n'


def all_images(store: Store, programs: Programs) -> dict[str, str]:
    """Every image of ours: its name as manifests write it, and the digest in the store. Raises models.NotFetched."""
    shell = _shell(programs.find("busybox"))
    found = {
        PAUSE: Image((_pause(programs.folder / "pause"),), {"Entrypoint": ["/pause"]}),
        TOOLS: Image((shell,), {"Entrypoint": ["/bin/sh"], "Env": ["PATH=/bin"]}),
        LLAMA: Image((shell, _python(), _server()), {"Entrypoint": ["/app/llama-server"], "User": "1000", "Env": list(ENVIRONMENT)}),
    }
    found |= {f"{MODELS}/{model.folder}:1": Image((_model(model),), {}) for model in models.MODELS}
    return {name: store.put(image) for name, image in found.items()}


def _recipe_key(*parts: str) -> str:
    """With this module's text in it: what is changed here is made again."""
    return key_of(Path(__file__).read_text(), platform.machine(), *parts)


def _pause(program: Path) -> Recipe:
    return Recipe(_recipe_key("pause", _bytes_key(program)), lambda layer: layer.file(program, "pause"))


def _bytes_key(file: Path) -> str:
    return key_of(file.read_bytes().hex())


def _shell(busybox: Path) -> Recipe:
    def fill(layer: Layer) -> None:
        for name in ("etc", "root", "proc", "sys", "dev"):
            layer.folder(name)
        layer.folder("tmp", 0o1777)
        for name, text in (("passwd", PEOPLE), ("group", GROUPS), ("nsswitch.conf", "hosts: files dns\n")):
            layer.data(f"etc/{name}", text.encode())
        layer.file(busybox, "bin/busybox")
        listed = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout
        for command in sorted(set(listed.split()) - {"busybox"}):
            layer.link(f"bin/{command}", "busybox")

    return Recipe(_recipe_key("shell", _bytes_key(busybox)), fill)


def _python() -> Recipe:
    """This machine's Python with its standard library, xllamacpp, and every library that these load."""
    program = Path(sys.base_prefix, "bin", PYTHON).resolve()
    library = Path(sysconfig.get_path("stdlib", vars={"installed_base": sys.base_prefix}))
    wheel = Path(str(find_spec("xllamacpp").origin)).parent  # type: ignore[union-attr]  # pinned by the lock file

    def fill(layer: Layer) -> None:
        layer.file(program, f"usr/local/bin/{PYTHON}")
        for name in ("python3", "python"):
            layer.link(f"usr/local/bin/{name}", PYTHON)
        _modules(layer, library, INSIDE)
        _modules(layer, wheel, f"{INSIDE}/site-packages/xllamacpp")
        extensions = [file for file in sorted(library.glob("lib-dynload/*.so")) if not file.name.startswith("_tkinter")]
        _libraries(layer, [program, *extensions, *sorted(wheel.rglob("*.so"))])

    what = (sys.version, str(program), str(program.stat().st_mtime_ns), version("xllamacpp"), platform.libc_ver()[1])
    return Recipe(_recipe_key("python", *what), fill)


def _modules(layer: Layer, source: Path, path: str) -> None:
    """A tree of modules, compiled: a pod's file system is read-only, so each start would compile them again.

    By a process that does nothing else, so that what else is loaded here does not change their bytes.
    """
    unwanted = {file.name for pattern in UNWANTED for file in source.glob(pattern)}
    with tempfile.TemporaryDirectory() as scratch:
        tree = shutil.copytree(
            source, Path(scratch, "tree"), ignore=shutil.ignore_patterns(*UNUSED, *unwanted), ignore_dangling_symlinks=True
        )
        options = ["-q", "--invalidation-mode", "unchecked-hash", "-s", str(tree), "-p", f"/{path}"]  # no times to check against
        subprocess.run([sys.executable, "-I", "-S", "-m", "compileall", *options, str(tree)], env={"PYTHONHASHSEED": "0"}, check=True)
        layer.tree(tree, path)


def _libraries(layer: Layer, programs: list[Path]) -> None:
    """What the dynamic linker would load for these, the linker included, where the image's LD_LIBRARY_PATH finds it."""
    listed = subprocess.run(["ldd", *map(str, programs)], capture_output=True, text=True, check=False).stdout
    for words in map(str.split, listed.splitlines()):
        if len(words) > 2 and words[1] == "=>" and words[2].startswith("/"):
            layer.file(Path(words[2]), f"usr/local/lib/{Path(words[0]).name}")
        elif len(words) == 2 and words[0].startswith("/") and "ld-linux" in words[0]:
            layer.file(Path(words[0]), words[0])


def _server() -> Recipe:
    """Our code: the only layer that changes with this checkout."""
    nodes = CHECKOUT / "reconciler" / "nodes"
    sources = [CHECKOUT / "reconciler" / "__init__.py", *sorted(nodes.glob("*.py"))]

    def fill(layer: Layer) -> None:
        for source in sources:
            layer.file(source, f"{INSIDE}/site-packages/{source.relative_to(CHECKOUT)}")
        layer.data("app/llama-server", SERVER.encode(), 0o755)

    return Recipe(_recipe_key("server", *(source.read_text() for source in sources)), fill)


def _model(model: models.Model) -> Recipe:
    file = models.fetch(model)
    return Recipe(_recipe_key("model", model.folder, model.key), lambda layer: layer.file(file, model.file))
