"""The pages of raw tables in ``benchmarks/results``."""

from __future__ import annotations

from pathlib import Path


def write_tables(page: Path, name: str, text: str) -> None:
    """Replace what is between the markers of a page; a page that is not there yet is made.

    Parameters
    ----------
    page : Path
        Page in Markdown.
    name : str
        Name of the markers, ``<!-- name: begin -->`` and ``<!-- name: end -->``.
    text : str
        New tables.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    old = page.read_text(encoding="utf-8") if page.is_file() else f"{begin}{end}\n"
    before, rest = old.split(begin)
    page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{rest.split(end)[1]}", encoding="utf-8")
