"""The optional part of the build: the kernels in C++. Everything else is in pyproject.toml.

Where no compiler is found, or it fails, the package is installed without them (`optional`).
"""

from __future__ import annotations

import copy
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from glob import glob

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.modified import newer_group

ROOM = "jaxode/nn/native"
SOURCES = [f"{ROOM}/cpp/kernels.cc", f"{ROOM}/cpp/module.cc"]
INCLUDED = sorted([*glob(f"{ROOM}/cpp/*"), *glob(f"{ROOM}/xla/**/*.h", recursive=True)])
WINDOWS = sys.platform == "win32"
X86 = platform.machine().lower() in ("x86_64", "amd64")


def targets() -> dict[str, list[str]]:
    """A module for each kind of processor that one machine may turn out to be, and its flags."""
    if not X86:
        return {"_native": []}
    if WINDOWS:
        return {"_avx2": ["/arch:AVX2"]}
    return {
        "_avx2": ["-mavx2", "-mfma"],
        "_avx512": ["-mavx512f", "-mavx512vl", "-mavx512dq", "-mavx512bw", "-mfma"],
    }


@contextmanager
def in_turn() -> Iterator[None]:
    """Builds of one checkout take turns, so that the second one finds what the first has built."""
    try:
        import fcntl

        os.makedirs("build", exist_ok=True)
        lock = open("build/kernels.lock", "w")  # noqa: SIM115
    except (ImportError, OSError):  # Windows, or a folder that cannot be written: both build
        yield
        return
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class BuildKernels(build_ext):
    """Builds the modules side by side: each takes half a minute."""

    def initialize_options(self) -> None:
        """As many at a time as there are."""
        super().initialize_options()
        self.parallel = len(targets())

    def build_extension(self, ext: Extension) -> None:
        """Build each module's objects in a folder of their own.

        They come from the same sources with other flags. An editable installation takes a module of
        the checkout that is newer than all of them.
        """
        built = self.get_ext_filename(self.get_ext_fullname(ext.name))
        if self.editable_mode and not newer_group([*SOURCES, *ext.depends], built):
            target = self.get_ext_fullpath(ext.name)
            self.mkpath(os.path.dirname(target))
            self.copy_file(built, target)
            return
        own = copy.copy(self)
        own.build_temp = os.path.join(self.build_temp, ext.name)
        build_ext.build_extension(own, ext)

    def build_extensions(self) -> None:
        """MSVC knows no vector extensions; LLVM's compiler takes its flags."""
        if WINDOWS:
            self.compiler.initialize()
            self.compiler.cc = "clang-cl"
        with in_turn():
            super().build_extensions()


COMMON = (
    ["/std:c++17", "/O2", "/EHsc"]
    if WINDOWS
    else [
        "-std=c++17",
        "-O2",
        "-ftree-vectorize",
        "-g0",
        "-fvisibility=hidden",
        "-ffp-contract=fast",
        "-Wno-psabi",
    ]
)

setup(
    cmdclass={"build_ext": BuildKernels},
    ext_modules=[
        Extension(
            f"jaxode.nn.native.{name}",
            SOURCES,
            depends=[*INCLUDED, "setup.py"],
            include_dirs=[ROOM, f"{ROOM}/cpp"],
            define_macros=[("JAXODE_MODULE", name), ("NDEBUG", None)],
            extra_compile_args=[*COMMON, *flags],
            language="c++",
            py_limited_api=True,
            optional=True,
        )
        for name, flags in targets().items()
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
