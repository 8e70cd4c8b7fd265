"""The documents of the systems: prose of people, and between two marks the table of the records."""

from __future__ import annotations

from pathlib import Path

from jaxode.checks import ConfigError, one_line
from jaxode.runs.files import write_whole
from scripts.systems.pictures import shown_pictures
from scripts.systems.records import FOLDERS, read
from scripts.systems.rows import SYSTEM_TABLES
from scripts.systems.tables import section

BEGIN = "<!-- python -m scripts.system_tables: what follows is made of the records -->"
RESULTS = Path("docs/results/README.md")
END = "<!-- end of what is made of the records -->"


def updated(text: str, table: str, where: object) -> str:
    """A document with another table between its marks.

    Args:
      text: of the document.
      table: Markdown.
      where: of the document, for messages.

    Raises:
      ConfigError: the marks are not there once each, in order.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or text.count(BEGIN) > 1 or text.count(END) > 1:
        raise ConfigError(f"{where} must have the line {BEGIN} once, and {END} behind it")
    return f"{before}{BEGIN}\n\n{table}\n\n{END}{after}"


def both(root: Path = Path()) -> str:
    """The tables of all systems under their titles, for the document of all results.

    Args:
      root: of the repository.

    Raises:
      ConfigError: a file that is no record.
    """
    parts = []
    for name, table in SYSTEM_TABLES.items():
        place = f"../{FOLDERS[name].name}/README.md"
        text = section(table, read(root / FOLDERS[name] / "records"))
        about = f"`python -m scripts.reproduce {name}`; more in [{place}]({place})."
        parts.append(f"## {table.title}\n\n{about}\n\n{text}")
    return "\n\n".join(parts)


def write_results(root: Path = Path()) -> Path | None:
    """Make the systems' tables in the document of all results anew.

    Args:
      root: of the repository.

    Returns:
      The document; None where there is none.

    Raises:
      ConfigError: a file that is no record, or a document without the marks.
      OSError: it could not be written.
    """
    path = root / RESULTS
    if not path.exists():
        return None
    write_whole(path, updated(path.read_text(encoding="utf-8"), both(root), path).encode())
    return path


def own_part(system: str, root: Path = Path()) -> str:
    """What a system's document has between its marks: the tables, and pictures of the runs.

    Args:
      system: of FOLDERS.
      root: of the repository.

    Raises:
      ConfigError: a file that is no record.
    """
    folder = root / FOLDERS[system]
    tables = section(SYSTEM_TABLES[system], read(folder / "records"))
    return "\n\n".join(filter(None, (tables, shown_pictures(folder, system))))


def write(system: str, root: Path = Path()) -> Path:
    """Make a system's table anew of its records.

    Args:
      system: of FOLDERS.
      root: of the repository.

    Returns:
      The document.

    Raises:
      ConfigError: a file that is no record, or a document without the marks.
      OSError: it could not be written.
    """
    path = root / FOLDERS[system] / "README.md"
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {one_line(error)}") from error
    write_whole(path, updated(text, own_part(system, root), path).encode())
    return path
