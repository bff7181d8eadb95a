"""A lock of an image that never was, whole in every part."""

from __future__ import annotations

from typing import Any

from edgemoe_appliance.schema.configs import SdistSource
from edgemoe_appliance.schema.imagelock import (
    BuildTools,
    ImageInputs,
    ImageLock,
    ImagePackages,
    LockedBase,
    LockedBases,
    LockedEngine,
    LockedImage,
    PinnedBy,
)


def digest(letter: str) -> str:
    return "sha256:" + letter * 64


def a_base(tag: str = "debian:bookworm-1-slim", letter: str = "b") -> LockedBase:
    return LockedBase(
        tag=tag,
        digest=digest("1"),
        pinned_by=PinnedBy.BASES_FILE,
        config_sha256=digest(letter),
    )


def an_engine() -> LockedEngine:
    return LockedEngine(
        source=SdistSource(
            kind="sdist", package="p", version="1", sha256="a" * 64, subdirectory="vendor"
        ),
        source_sha256="a" * 64,
        build_key="c" * 64,
        cmake={"GGML_NATIVE": "OFF"},
        compiler="cc 12.2.0, x86_64-linux-gnu",
        files_sha256={"llama-cli": "d" * 64, "libllama.so": "e" * 64},
        probe_sha256="f" * 64,
    )


def a_lock(**changes: Any) -> ImageLock:
    lock = ImageLock(
        target="host",
        built_utc="2026-11-25T12:00:00+00:00",
        tools=BuildTools(engine="Docker 20.10.24", builder="classic"),
        inputs=ImageInputs(
            bases=LockedBases(build=a_base(), run=a_base()),
            arguments={
                "BASE_IMAGE": f"debian:bookworm-1-slim@{digest('1')}",
                "CMAKE_FLAGS": "-DGGML_NATIVE=OFF",
            },
            context={"Dockerfile": "2" * 64, "app": "3" * 64, "sources/b4447": "4" * 64},
            recipe_sha256="5" * 64,
        ),
        image=LockedImage(
            config_sha256=digest("6"),
            diff_ids=(digest("7"), digest("8"), digest("9")),
            base_layers=1,
            architecture="amd64",
            settings_sha256="0" * 64,
        ),
        engines={"b4447": an_engine()},
        packages=ImagePackages(
            distribution="debian-12",
            system={"libc6:amd64": "2.36-9+deb12u9", "python3:amd64": "3.11.2-1+b1"},
            python={"psutil": "7.0.0"},
        ),
    )
    return lock.model_copy(update=changes)
