"""Results that outlive the run which found them."""

import json
from pathlib import Path


class Journal:
    """Results by clip, a JSON line each, written as they come.

    A run that is stopped loses nothing that was noted. A line that was cut
    off, as by a full disk or a power failure, is as if it had not been
    written.

    Args:
        path: The file; made at the first result.
    """

    def __init__(self, path: Path):
        self.path = path
        self._entries = {}
        self._file = None
        if path.is_file():
            for line in path.read_bytes().splitlines():
                self._read(line)

    def _read(self, line: bytes):
        try:
            entry = json.loads(line)
            self._entries[entry['name']] = entry['stamp'], entry['result']
        except (ValueError, TypeError, KeyError):
            return

    def find(self, name: str, stamp: dict) -> dict | None:
        """The result of a clip, if one was noted under the same stamp."""
        noted, result = self._entries.get(name, (None, None))
        return result if noted == stamp else None

    def note(self, name: str, stamp: dict, result: dict):
        """Write a result; it is on its way to the disk on return."""
        if self._file is None:
            self._file = self.path.open('ab')
            if self._file.tell():
                # Ends a line that was cut off; an empty one is skipped.
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
