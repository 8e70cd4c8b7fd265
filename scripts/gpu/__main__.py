"""One part of the check in this process: python -m scripts.gpu NAME OUT [tiny].

`scripts.gpu_check` starts it. The first line of OUT/rows/NAME.jsonl says where the rows come from;
each row follows as soon as it is known, so that the end of the time loses none.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

# Several parts share the GPU, some of them with PyTorch. JAX reads it once, when it starts.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

from jaxode.runs.provenance import origin
from scripts.gpu.parts import PARTS
from scripts.gpu.row import FULL, TINY


def main(name: str, out: Path, size: str = "") -> None:
    """Measure the named part."""
    part = next(part for part in PARTS if part.name == name)
    with open(out / "rows" / f"{name}.jsonl", "w", encoding="utf-8", buffering=1) as file:
        head = origin("python -m scripts.gpu_check", "torch", "torchdiffeq")
        file.write(json.dumps(head) + "\n")
        for row in part.rows(TINY if size == "tiny" else FULL, out):
            file.write(json.dumps(asdict(row)) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
