"""One run with too little space, and on to its end with enough.

    python -m scripts.fuzzing.small_disk BYTES DIR RUN

Started by `scripts.fuzzing.processes`, in a namespace of its own where file systems may be mounted.
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
from pathlib import Path

from scripts.fuzzing.processes import COMMON, RUNS, command

ENOUGH = 256 << 20


def mounted(size: int, place: Path) -> bool:
    """Whether a file system of so many bytes could be mounted."""
    words = ["mount", "-t", "tmpfs", "-o", f"size={max(size, 4096)}", "tmpfs", str(place)]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def limited(size: int) -> None:
    """Let no file of the next process grow beyond so many bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def main(size: int, place: Path, name: str) -> int:
    """Run short of space, then go on.

    Returns 0 if the first ended as it should and the second did all.
    """
    disk = place / "disk"
    disk.mkdir()
    small = mounted(size, disk)
    out = disk / "run"
    words = command(*COMMON, *RUNS[name].split(), "--out", out)
    first = subprocess.run(
        words, stderr=subprocess.PIPE, text=True, check=False,
        preexec_fn=None if small else lambda: limited(size),
    )  # fmt: skip
    sys.stderr.write(first.stderr)
    if first.returncode not in (0, 1, 2) or (first.returncode and ": error: " not in first.stderr):
        print(f"exit code {first.returncode} without a clear line", file=sys.stderr)
        return 1
    if small:
        subprocess.run(["mount", "-o", f"remount,size={ENOUGH}", str(disk)], check=True)
    if (out / "config.json").exists():
        words = command("--resume", out, "--quiet")
    last = subprocess.run(words, stderr=subprocess.PIPE, text=True, check=False)
    sys.stderr.write(last.stderr)
    # Out of the namespace, whose file system ends with it.
    shutil.copytree(out, place / "run", symlinks=True)
    return last.returncode


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]))
