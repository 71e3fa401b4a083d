"""Results that are kept between runs."""

import json
from pathlib import Path


class Journal:
    """Results by clip, one JSON line each, written as they arrive.

    An interrupted run keeps every result that was appended. A line that was
    cut off, for example by a full disk or a power failure, is ignored.

    Args:
        path: The file; created by the first result.
    """

    def __init__(self, path: Path):
        self.path = path
        self._entries = {}
        self._file = None
        if path.is_file():
            for line in path.read_bytes().splitlines():
                self._read_line(line)

    def _read_line(self, line: bytes):
        try:
            entry = json.loads(line)
            self._entries[entry['name']] = entry['stamp'], entry['result']
        except (ValueError, TypeError, KeyError):
            return

    def lookup(self, name: str, stamp: dict) -> dict | None:
        """The result of a clip; None if there is none with this stamp."""
        known, result = self._entries.get(name, (None, None))
        return result if known == stamp else None

    def append(self, name: str, stamp: dict, result: dict):
        """Write a result and flush it to the operating system."""
        if self._file is None:
            self._file = self.path.open('ab')
            if self._file.tell():
                # Ends a line that was cut off; an empty line is ignored.
                self._file.write(b'\n')
        entry = dict(name=name, stamp=stamp, result=result)
        self._file.write(json.dumps(entry).encode() + b'\n')
        self._file.flush()
        self._entries[name] = stamp, result

    def __enter__(self) -> 'Journal':
        return self

    def __exit__(self, *_):
        if self._file is not None:
            self._file.close()
            self._file = None


def stamp(path: Path) -> dict:
    """Size and time of a file: a changed file has another stamp.

    A missing file has a stamp as well, which no file has.
    """
    try:
        status = path.stat()
    except OSError:
        return dict(size=-1, mtime_ns=0)
    return dict(size=status.st_size, mtime_ns=status.st_mtime_ns)
