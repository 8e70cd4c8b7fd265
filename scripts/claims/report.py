"""Finished claims on disk, and the document that is made of them."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from jaxode.checks import ConfigError
from jaxode.runs.files import write_json, write_whole
from jaxode.runs.provenance import versions_text
from jaxode.strict_json import need, read_object
from scripts.claims import CLAIMS

NOT_YET = "Not yet measured"
ORIGIN = {"command": str, "date": str, "device": str, "cores": int, "versions": dict}
"""The origin of a record, with its types."""


def module(name: str) -> Any:
    """The module of a claim."""
    return importlib.import_module(f"scripts.claims.{name}")


def stored(out: Path) -> dict[str, dict[str, Any]]:
    """The finished claims of a folder.

    Raises ConfigError naming a file that is not one of this program's.
    """
    found = {}
    for name in CLAIMS:
        path = out / f"{name}.json"
        try:
            found[name] = _stored(path)
        except FileNotFoundError:
            continue
        except (ValueError, OSError) as error:
            reason = " ".join(str(error).split()).removeprefix(f"{path}: ")
            raise ConfigError(
                f"{path} is not the record of a claim ({reason}): delete it to measure again"
            ) from error
    return found


def _stored(path: Path) -> dict[str, Any]:
    """The record in a file. Raises OSError, ValueError."""
    content = read_object(path)
    origin = need(content, "origin", dict, path)
    for key, kind in ORIGIN.items():
        need(origin, key, kind, f"{path}: origin")
    return {"origin": origin, "found": need(content, "found", dict, path)}


def store(out: Path, name: str, content: dict[str, Any]) -> None:
    """Write one claim's record and picture. Raises ConfigError, OSError."""
    write_json(out / f"{name}.json", content)
    write_whole(out / f"{name}.png", made(out, name, "picture", content["found"]))


def made(out: Path, name: str, what: str, found: dict[str, Any]) -> Any:
    """The picture or the paragraph of a record.

    Raises ConfigError if it lacks what it is made of.
    """
    try:
        return getattr(module(name), what)(found)
    except (LookupError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{out / name}.json is not of this version: delete it and measure {name} again"
        ) from error


def source(origin: dict[str, Any]) -> str:
    """Where a measurement comes from, in one line, with the note that its record may have."""
    shown = versions_text(origin["versions"], ("python", "jax", "flax", "diffrax", "torch"))
    cores = f"{origin['cores']} core{'s' if origin['cores'] > 1 else ''}"
    text = f"`{origin['command']}`, {origin['date']}, {cores}, {origin['device']}; {shown}."
    return f"{text} {origin['note']}" if "note" in origin else text


def markdown(claims: dict[str, dict[str, Any]], out: Path) -> str:
    """The document: a picture and a paragraph of every claim, and what is missing."""
    lines = ["# Claims of the literature, measured", ""]
    for name in CLAIMS:
        about = module(name)
        lines += [f"## {about.TITLE}", "", f"Claim: {about.CLAIM}", ""]
        if name not in claims:
            lines += [
                f"{NOT_YET} (`python -m scripts.claims {name}{' --run DIR' * about.NEEDS_RUN}`).",
                "",
            ]
            continue
        content = claims[name]
        lines += [
            f"![{about.TITLE}]({name}.png)",
            "",
            made(out, name, "paragraph", content["found"]),
            "",
            source(content["origin"]),
            "",
        ]
    return "\n".join(lines)


def write(out: Path, *, redraw: bool = False) -> dict[str, dict[str, Any]]:
    """Write the document from the records on disk, and all pictures with `redraw`.

    Raises ConfigError, OSError.
    """
    claims = stored(out)
    for name in claims if redraw else ():
        store(out, name, claims[name])
    write_whole(out / "claims.md", markdown(claims, out))
    return claims
