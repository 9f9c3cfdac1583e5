"""Reports as parts of one document, such as docs/benchmarks.md."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["put_part"]


def put_part(document: Path, report: str) -> None:
    """Put a report into a document, in place of the one with its heading.

    The report's headings become one level lower.
    """
    part = re.sub(r"^#", "##", report.strip(), flags=re.MULTILINE)
    heading = part.partition("\n")[0]
    text = document.read_text() if document.exists() else ""
    parts = re.split(r"^(?=## )", text, flags=re.MULTILINE)
    headings = [one.partition("\n")[0] for one in parts]
    place = headings.index(heading) if heading in headings else len(parts)
    parts[place : place + 1] = [part]
    document.write_text("\n\n".join(filter(None, map(str.strip, parts))) + "\n")
