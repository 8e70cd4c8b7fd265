"""Seconds from the start of a training to its first step, with an empty and with a full cache."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from scripts.gpu.row import Row, Size


def seconds(words: list[str], environment: dict[str, str]) -> float:
    """Until a command prints its first loss, at the end of its first step.

    Raises RuntimeError with the command's last words if it prints none.
    """
    begin = time.perf_counter()
    with subprocess.Popen(
        words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        taken = time.perf_counter() - begin
        _, errors = process.communicate()  # it ends by itself: the programs go into the cache
    if not line.strip() or process.returncode:
        raise RuntimeError(f"exit code {process.returncode}: {errors.strip()[-200:]}")
    return taken


def measure(_: str, size: Size, out: Path) -> Iterator[Row]:
    """Rows of the first start, which compiles everything, and of the second."""
    del out
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": f"{folder}/cache"}
        small = f"--width {size.width} --limit-train {2 * size.batch} --limit-test {size.batch}"
        words = f"-m experiments.mnist --data sample {small} --batch-size {size.batch} --epochs 1"
        for number, state in enumerate(("empty", "full")):
            command = [sys.executable, *words.split(), "--losses", "1", "--quiet"]
            try:
                taken = seconds([*command, "--out", f"{folder}/{number}"], environment)
            except RuntimeError as error:
                yield Row("startup", f"{state} cache", passed=False, note=str(error))
                return
            yield Row("startup", f"to the end of the first step, {state} cache", taken, "s")
