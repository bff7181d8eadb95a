"""Stand-ins for an arm64 machine's base images, and what makes building on them bearable.

Everything in them is arm64 and runs under qemu-user, as on a laptop that builds for a board, but
the compilers: those are programs of this machine that compile for arm64, put where the
distribution's own would lie, so that the Dockerfiles stay as they are. What they compiled is kept
by ccache across builds (tests/tools/object_cache.py).
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import subprocess
import tarfile
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from edgemoe_appliance.bench.paths import default_folders
from edgemoe_appliance.container.client import DockerEngine
from edgemoe_appliance.container.identity import read_identity
from tests.tools.object_cache import ObjectCache

TOOLS: Final = Path(__file__).resolve().parents[1] / "tools"
BASE_ARM64: Final = "edgemoe-test-base:bookworm-arm64"
# Part of the stand-in, and so of every digest that follows from it.
CACHE_PORT: Final = 8719

# The Dockerfiles install the same packages; here that is done already, and costs minutes under an
# emulator.
_PACKAGES: Final = "ca-certificates cmake g++ make python3 python3-pip"
CROSS_RECIPE: Final = """\
FROM {native} AS compilers
RUN apt-get update \\
 && apt-get install -y --no-install-recommends ccache g++-aarch64-linux-gnu
FROM {base}
RUN echo 'Acquire::Languages "none";' > /etc/apt/apt.conf.d/99languages \\
 && apt-get update && apt-get install -y --no-install-recommends {packages} \\
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin
COPY --from=compilers /usr/lib64/ /usr/lib64/
COPY --from=compilers /usr/lib/x86_64-linux-gnu/ /usr/lib/x86_64-linux-gnu/
COPY --from=compilers /usr/lib/gcc-cross/ /usr/lib/gcc-cross/
COPY --from=compilers /usr/aarch64-linux-gnu/ /usr/aarch64-linux-gnu/
COPY --from=compilers /usr/lib/ccache/ /usr/lib/ccache/
COPY --from=compilers /usr/bin/ccache /usr/bin/aarch64-linux-gnu-* /usr/bin/
RUN ln -sf usr/lib64 /lib64 && g++ --version && ccache --version \\
 && printf 'remote_storage = http://{cache}\\ncompiler_check = content\\n' > /etc/ccache.conf
ENV CC=/usr/lib/ccache/aarch64-linux-gnu-gcc CXX=/usr/lib/ccache/aarch64-linux-gnu-g++
"""
# nvcc lies where a board has it. It takes idle time only, as it takes most of an hour.
_NVCC: Final = """\
#!/bin/sh
CCACHE_COMPILERTYPE=nvcc exec chrt --idle 0 nice -n 19 ccache /usr/local/cuda-12.4/bin/nvcc "$@"
"""
L4T_RECIPE: Final = """\
FROM {cross}
COPY 12.4/ /usr/local/cuda-12.4/
RUN mkdir -p /usr/local/cuda/bin && cd /usr/local/cuda \\
 && for part in include lib64 nvvm targets; do ln -s ../cuda-12.4/$part $part; done \\
 && ln -s /usr/local/cuda-12.4/bin/* bin/ && rm bin/nvcc
COPY nvcc /usr/local/cuda/bin/nvcc
ENV CUDAHOSTCXX=/usr/lib/ccache/aarch64-linux-gnu-g++
"""
# As l4t-cuda's runtime image: the runtime libraries where the loader looks, and no driver.
L4T_RUNTIME_RECIPE: Final = """\
FROM {base}
COPY 12.4/targets/aarch64-linux/lib/*.so.* /usr/local/cuda-12.4/targets/aarch64-linux/lib/
RUN ln -s cuda-12.4 /usr/local/cuda \\
 && echo /usr/local/cuda/targets/aarch64-linux/lib > /etc/ld.so.conf.d/cuda.conf && ldconfig
"""


def require_arm64(engine: DockerEngine) -> str:
    """Return the base for arm64, made and loaded where it is missing (minutes, as root)."""
    if read_identity(engine, BASE_ARM64) is None:
        environment = {**os.environ, "DOCKER_HOST": engine.host, "EDGEMOE_BASE_ARCH": "arm64"}
        for tool in ("register-arm64.sh", "make-base-image.sh"):
            subprocess.run([TOOLS / tool], env=environment, check=True)
    subprocess.run([TOOLS / "register-arm64.sh"], check=True)
    return BASE_ARM64


def build_cross(engine: DockerEngine, native: str) -> str:
    """Return an arm64 base whose compilers are this machine's, which `native` is a base for."""
    recipe = CROSS_RECIPE.format(
        native=native,
        base=require_arm64(engine),
        packages=_PACKAGES,
        cache=f"{cache_address(engine)}:{CACHE_PORT}",
    )
    return build_with_files(engine, recipe, "edgemoe-test-cross:bookworm-arm64")


def build_l4t(engine: DockerEngine, native: str, toolkits: Path) -> tuple[str, str]:
    """Return stand-ins for both images of a board: with the compiler, and with the runtime.

    `toolkits` is the folder of what tests/tools/make-cuda-toolkit.sh made.
    """
    cross = build_cross(engine, native)
    recipe = L4T_RECIPE.format(cross=cross)
    libraries = L4T_RUNTIME_RECIPE.format(base=BASE_ARM64)
    (toolkits / "nvcc").write_text(_NVCC)
    (toolkits / "nvcc").chmod(0o755)
    return (
        build_with_files(engine, recipe, "edgemoe-test-l4t:devel-arm64", toolkits),
        build_with_files(engine, libraries, "edgemoe-test-l4t:runtime-arm64", toolkits),
    )


def build_with_files(
    engine: DockerEngine, recipe: str, tag: str, folder: Path | None = None
) -> str:
    """Build an image from a recipe and the files of a folder, unless that was done before."""
    label = {"edgemoe-test.recipe": hashlib.sha256(recipe.encode()).hexdigest()}
    known = read_identity(engine, tag)
    if known is not None and label.items() <= known.labels.items():
        return tag
    with tempfile.TemporaryFile() as context:
        with tarfile.open(fileobj=context, mode="w") as archive:
            member = tarfile.TarInfo("Dockerfile")
            member.size = len(recipe.encode())
            archive.addfile(member, io.BytesIO(recipe.encode()))
            for path in sorted(folder.iterdir()) if folder else ():
                archive.add(path, path.name, filter=_of_nobody)
        context.seek(0)
        answers = engine.api.build(
            fileobj=context, custom_context=True, tag=tag, labels=label, rm=True, decode=True
        )
        for answer in answers:
            print(answer.get("stream", answer.get("error", "")), end="")
            assert "error" not in answer, answer["error"]
    return tag


def _of_nobody(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.mtime = 0
    return member


def cache_address(engine: DockerEngine) -> str:
    """Return the address of this machine as the steps of a build see it."""
    bridge = engine.api.inspect_network("bridge")
    return str(bridge["IPAM"]["Config"][0]["Gateway"])


@contextlib.contextmanager
def object_cache(engine: DockerEngine) -> Iterator[Path]:
    """Keep compiled objects in the cache folder for as long as the context is open.

    Two builds at once share what the first of them opened.
    """
    folder = default_folders().cache / "objects-arm64"
    try:
        server = ObjectCache((cache_address(engine), CACHE_PORT), folder)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        yield folder
        return
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield folder
    finally:
        server.shutdown()
        server.server_close()
