"""Build the wheel, install it into an empty environment, and use it from an empty directory.

    python -m scripts.wheel_check            # what continuous integration runs, under a minute
    python -m scripts.wheel_check --all      # also weight files, an ODENet, tolerances, Python

The wheel is built of the tracked files; native kernels that are built already are taken, others are
compiled. The environment has the dependencies that the wheel declares, and theirs, and nothing
else: links to this environment's, where pip has just installed them for the tests, or with --all
whatever pip finds and installs anew. Prints every command with the seconds
that it took and those of CPU time, and ends with exit code 1 at the first that fails.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
import zipfile
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from jaxode.cli import process
from jaxode.cli.parser import Parser, parse_flags

ROOT = Path(__file__).resolve().parents[1]
NATIVE = Path("jaxode", "nn", "native")

PICTURES = """
import jaxode
from PIL import Image

data = jaxode.load_dataset("mnist", data="sample")
for number in range(3):
    Image.fromarray(data.test_images[number, :, :, 0]).save(f"digit{number}.png")
"""
"""Writes three PNGs."""

WITHOUT_JAXODE = """
import jax
import numpy as np
from jax import export
from PIL import Image

with open("digits.stablehlo", "rb") as file:
    program = export.deserialize(file.read())
images = np.stack([np.asarray(Image.open(f"digit{n}.png"))[..., None] for n in range(3)])
print(np.asarray(program.call(images)).argmax(1))
"""
"""The exported program, run by JAX alone."""

IN_PYTHON = """
import jaxode

data = jaxode.load_dataset("mnist", data="sample", limit_train=128, limit_test=64)
for seed in (0, 1):
    config = jaxode.config.preset("mnist").replaced(data="sample", width=8, epochs=1, seed=seed)
    jaxode.train.run(config, data, f"python/seed{seed}")
print(jaxode.compare_runs(["python/seed0", "python/seed1"]))
model = jaxode.load("python/seed0")
print(model.predict(["digit0.png", "digit1.png", "digit2.png"]))
for tolerance in (1e-1, 1e-2, 1e-3, 1e-4, 1e-5):
    print(jaxode.evaluate(model, data, rtol=tolerance, atol=tolerance))
jaxode.export.save(model, "python.stablehlo")
jaxode.export.save(model, "python.safetensors")
"""
"""What the commands do, as the README shows it."""

TRAIN = "train mnist --data sample --epochs 1 --quiet"
SMALL = "--limit-train 128 --limit-test 64"
OF_RUN = "predict mlp digit0.png digit1.png digit2.png"
OF_WEIGHTS = "predict digits.safetensors digit0.png digit1.png digit2.png"
COMMANDS = (
    f"{TRAIN} {SMALL} --model mlp --out mlp",
    OF_RUN,
    "export mlp digits.stablehlo",
)
MORE_COMMANDS = (
    "export mlp digits.safetensors",
    OF_WEIGHTS,
    f"{TRAIN} {SMALL} --width 8 --out odenet0",
    f"{TRAIN} {SMALL} --width 8 --seed 1 --out odenet1",
    "predict odenet0 digit0.png digit1.png digit2.png",
    "evaluate odenet0 --tolerances 1e-1,1e-2,1e-3,1e-4,1e-5",
    "compare odenet0 odenet1",
    "export odenet0 odenet.stablehlo",
    "export odenet0 odenet.safetensors",
    "info odenet.safetensors",
)


EXTRA = "export"


class CheckFailed(Exception):
    """A command that failed, or a wheel that holds what it should not."""


def run(*words: str | Path, cwd: Path, env: dict[str, str] | None = None) -> str:
    """Carry out a command and print it with its seconds; returns what it printed.

    Raises:
      CheckFailed: its exit code is not 0.
    """
    begin, before = time.perf_counter(), cpu_seconds()
    done = subprocess.run(
        list(map(str, words)), cwd=cwd, env=env, capture_output=True, encoding="utf-8", check=False
    )
    shown = " ".join(line.strip() for line in map(str, words) if "\n" not in line)
    seconds, busy = time.perf_counter() - begin, cpu_seconds() - before
    print(f"{seconds:6.1f} s, CPU {busy:5.1f} s  {shown}", flush=True)
    if done.returncode:
        raise CheckFailed(f"exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def cpu_seconds() -> float:
    """CPU time of the commands that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def copy_sources(folder: Path) -> None:
    """Copy the tracked files, and the built kernels to where setuptools looks for its own."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, encoding="utf-8", check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)  # times too: setuptools compares them
    tag = f"{sysconfig.get_platform()}-{sys.implementation.cache_tag}"
    built = folder / "build" / f"lib.{tag}" / NATIVE
    built.mkdir(parents=True)
    for kernels in (ROOT / NATIVE).glob("*.abi3.so"):
        shutil.copy2(kernels, built)


def build_wheel(folder: Path) -> Path:
    """Build the wheel in `folder`.

    Raises:
      CheckFailed: it cannot be built, or holds another package than jaxode.
    """
    source = folder / "source"
    source.mkdir()
    copy_sources(source)
    pip = (sys.executable, "-m", "pip", "wheel", "-q", ".", "--no-deps", "-w", folder)
    run(*pip, cwd=source)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}
    if {name for name in tops if not name.endswith(".dist-info")} != {"jaxode"}:
        raise CheckFailed(f"the wheel must hold jaxode alone, and holds {', '.join(sorted(tops))}")
    return wheel


def install(wheel: Path, folder: Path, *, anew: bool) -> Path:
    """Install the wheel with what its StableHLO needs; returns the folder of its commands.

    Args:
      wheel: the file.
      folder: of the environment that is made.
      anew: whether pip finds and installs the dependencies; else they are linked.
    """
    venv.create(folder, symlinks=os.name != "nt")
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    # Byte code is written of the modules that are imported: compiling all of them takes longer.
    pip = (sys.executable, "-m", "pip", "--python", programs / "python", "install", "-q")
    dependencies = () if anew else ("--no-deps",)
    run(*pip, "--no-compile", *dependencies, f"{wheel}[{EXTRA}]", cwd=folder)
    if not anew:
        paths = {"base": str(folder), "platbase": str(folder)}
        link_dependencies(wheel, Path(sysconfig.get_path("purelib", vars=paths)))
    return programs


def link_dependencies(wheel: Path, packages: Path) -> None:
    """Link what this environment has of the wheel's dependencies and of theirs.

    Args:
      wheel: the file.
      packages: the folder of the other environment's packages.
    """
    (own,) = metadata.distributions(path=[str(wheel)])
    tops = {
        Path(str(file.locate())).parents[len(file.parts) - 1] / file.parts[0]
        for found in dependencies_of(own)
        for file in found.files or ()
        if file.parts[0] not in ("..", "__pycache__")
    }
    for top in tops:
        (packages / top.name).symlink_to(top)


def dependencies_of(own: metadata.Distribution) -> Iterator[metadata.Distribution]:
    """The distributions of this environment that a distribution with its extra needs."""
    waiting, seen = [(own, EXTRA)], set()
    while waiting:
        distribution, extra = waiting.pop()
        for text in distribution.requires or ():
            needed = Requirement(text)
            if needed.marker and not needed.marker.evaluate({"extra": extra}):
                continue
            for wanted in ("", *needed.extras):
                if (needed.name, wanted) not in seen:
                    seen.add((needed.name, wanted))
                    found = metadata.distribution(needed.name)
                    waiting.append((found, wanted))
                    yield found


def use(programs: Path, work: Path, *, every: bool) -> None:
    """Use the installed package from an empty directory.

    Raises:
      CheckFailed: a command fails, or its output is not what it should be.
    """
    unset = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "XLA_FLAGS")
    env = {name: value for name, value in os.environ.items() if name not in unset}
    env["JAX_ENABLE_COMPILATION_CACHE"] = "false"  # writes nothing into the user's folders

    def python(code: str) -> str:
        return run(programs / "python", "-c", code, cwd=work, env=env)

    python(PICTURES)
    found = {}
    for line in (*COMMANDS, *(MORE_COMMANDS if every else ())):
        found[line] = run(programs / "jaxode", *line.split(), cwd=work, env=env)
        if every:
            print(found[line], end="")
    of_run = found[OF_RUN]
    of_weights = found.get(OF_WEIGHTS, of_run)
    if of_run != of_weights or of_run.count("\n") != 3:
        raise CheckFailed(f"predictions must be three and equal, got\n{of_run}and\n{of_weights}")
    classes = [line.split()[1] for line in of_run.splitlines()]
    answer = python(WITHOUT_JAXODE)
    if answer.strip() != f"[{' '.join(classes)}]":
        raise CheckFailed(f"the exported program must predict {' '.join(classes)}, got {answer}")
    if every:
        print(python(IN_PYTHON), end="")


def build_parser() -> Parser:
    """The flags."""
    parser = Parser.from_doc("python -m scripts.wheel_check", __doc__)
    parser.add_argument(
        "--all", action="store_true", help="also an ODENet, its weights, Python and pip"
    )
    return parser


@process.command("scripts.wheel_check")
def main(argv: Sequence[str] | None = None) -> int:
    """Check; returns the exit code."""
    options = argparse.Namespace(**parse_flags(build_parser(), argv))
    begin = time.perf_counter()
    try:
        with tempfile.TemporaryDirectory(prefix="jaxode-wheel-") as name:
            folder, work = Path(name), Path(name, "work")
            work.mkdir()
            wheel = build_wheel(folder)
            programs = install(wheel, folder / "environment", anew=options.all)
            use(programs, work, every=options.all)
    except CheckFailed as error:
        print(f"the wheel does not work: {error}", file=sys.stderr)
        return 1
    seconds = time.perf_counter() - begin
    print(f"the wheel works: {seconds:.0f} s in all, CPU {cpu_seconds():.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
