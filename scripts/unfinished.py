"""Results of a long measurement, stored after each one, so that a kill loses none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jaxode.runs.files import write_json
from jaxode.runs.provenance import commit, device, versions
from jaxode.strict_json import need, read_object


class Unfinished:
    """Named results in a hidden file of a folder.

    Taken up again only by the same commit, libraries and device.
    """

    def __init__(self, out: Path) -> None:
        """Look for what an interrupted run left in the folder."""
        self._file = out / ".unfinished.json"
        self._origin = {**versions(), "device": device(), "commit": commit()}
        self.results: dict[str, dict[str, Any]] = {}
        certain = self._origin["commit"] is not None and not self._origin["commit"].endswith(
            "-dirty"
        )
        try:
            left = read_object(self._file)
            results = need(left, "results", dict, self._file)
            if (
                certain
                and left.get("origin") == self._origin
                and all(isinstance(one, dict) for one in results.values())
            ):
                self.results = results
        except (OSError, ValueError):
            pass  # nothing there, or nothing that this program wrote

    def add(self, name: str, result: dict[str, Any]) -> None:
        """Keep one more result. Raises OSError."""
        self.results[name] = result
        write_json(self._file, {"origin": self._origin, "results": self.results})

    def finish(self) -> None:
        """Forget them: the final files are written."""
        self._file.unlink(missing_ok=True)
