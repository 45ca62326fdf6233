"""Writing: whole files or none, and the text of CSV files."""

from __future__ import annotations

import csv
import io
import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

__all__ = ["csv_text", "write_atomically"]


def csv_text(columns: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    """Text of a CSV file: numbers to ten significant digits, Unix line ends."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for line in lines:
        writer.writerow(f"{value:.10g}" if isinstance(value, float) else value for value in line)
    return out.getvalue()


def write_atomically(path: Path, content: str | bytes) -> None:
    """Writes `content` (text as UTF-8) so that a reader sees the old file or the new one, never a part.

    Line ends stay as they are. Makes the parent folders. Raises `OSError` as the file system does; then the
    old file is untouched and no temporary file stays behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)  # mkstemp makes it private
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
