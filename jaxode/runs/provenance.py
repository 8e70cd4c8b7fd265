"""Where a result comes from: versions of the libraries, commit of the source, and the device."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

ROOT = Path(__file__).resolve().parents[2]
LIBRARIES = (
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "diffrax",
    "orbax-checkpoint",
    "tensorflow-datasets",
    "numpy",
)


def versions(*more: str) -> dict[str, str | None]:
    """Versions of Python and of the libraries that a result depends on.

    None for one that is not installed.

    Args:
      more: names of other packages, besides those that every result depends on.
    """
    result: dict[str, str | None] = {"python": platform.python_version()}
    for name in (*LIBRARIES, *more):
        try:
            result[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            result[name] = None
    return result


def versions_text(
    found: Mapping[str, str | None], names: Sequence[str] = ("python", "jax", "flax", "diffrax")
) -> str:
    """Versions in one line, less those that are not known.

    Example:
      >>> versions_text({"python": "3.12.3", "jax": "0.10.2", "flax": None})
      'python 3.12.3, jax 0.10.2'
    """
    return ", ".join(f"{name} {found[name]}" for name in names if found.get(name))


def short_commit(commit: str | None, digits: int = 10) -> str:
    """A commit's first digits, with its "-dirty" if files were changed.

    Example:
      >>> short_commit("e65432080ed4c698104bc65e1fd62370e5d100ca-dirty")
      'e65432080e-dirty'
    """
    if commit is None:
        return "unknown"
    return commit[:digits] + ("-dirty" if commit.endswith("-dirty") else "")


def git(root: Path, *arguments: str) -> str | None:
    """Output of a git command; None if it fails or git is not installed."""
    try:
        command = ["git", *arguments]
        done = subprocess.run(
            command,
            cwd=root,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def commit(root: Path = ROOT) -> str | None:
    """The commit of the source checkout, with "-dirty" if tracked files are changed.

    None outside a checkout.

    Args:
        root: of the checkout.
    """
    # An installed package may lie inside some other project's checkout: this file must be one of
    # its own.
    here = Path(__file__).resolve()
    if not here.is_relative_to(root.resolve()):
        return None
    own = here.relative_to(root.resolve()).as_posix()
    if git(root, "ls-files", "--error-unmatch", own) is None:
        return None
    head = git(root, "rev-parse", "HEAD")
    changed = git(root, "status", "--porcelain", "--untracked-files=no")
    return f"{head}-dirty" if head and changed else head


def processor() -> str:
    """Model name of the CPU, as far as the system reports it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def device() -> str:
    """Kind and model of the device that JAX computes on."""
    first = jax.devices()[0]
    return (
        f"cpu: {processor()}"
        if first.platform == "cpu"
        else f"{first.platform}: {first.device_kind}"
    )


def origin(command: str, *more: str) -> dict[str, Any]:
    """The provenance of a measurement: command, date, device, cores, versions and commit.

    Args:
        command: the command line that printed the measurement.
        more: packages whose versions are stated besides those that every result depends on.
    """
    return {
        "command": command,
        "date": time.strftime("%Y-%m-%d"),
        "device": device(),
        "cores": cores(),
        "versions": versions(*more),
        "commit": commit(),
    }
