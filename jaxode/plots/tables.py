"""Tables of Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown, without a line break at its end.

    Args:
      head: titles of the columns.
      rows: cells of each row, as many as there are columns.

    Example:
      >>> print(markdown_table(("solver", "order"), [("euler", "1"), ("dopri5", "5")]))
      | solver | order |
      |---|---|
      | euler | 1 |
      | dopri5 | 5 |
    """
    lines = [f"| {' | '.join(cells)} |" for cells in (head, *rows)]
    lines.insert(1, "|" + "---|" * len(head))
    return "\n".join(lines)
