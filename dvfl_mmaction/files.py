"""Files that are there whole, or not at all."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path


def write_whole(path: Path, content: str | bytes):
    """Write under another name, then rename; text is UTF-8."""
    if isinstance(content, str):
        content = content.encode('utf-8')
    part = path.with_name(path.name + '.part')
    part.write_bytes(content)
    os.replace(part, path)


def write_json(path: Path, content):
    """Plain dicts, lists, strings and numbers, to be read by people too."""
    text = json.dumps(content, indent=1, ensure_ascii=False)
    write_whole(path, text + '\n')


def hash_file(
    path: str | Path,
    algorithm: str = 'sha256',
    advance: Callable[[int], None] | None = None,
) -> str:
    """Hash of a file's content, in hexadecimal.

    Args:
        path: The file.
        algorithm: As :mod:`hashlib` names it.
        advance: Told how many bytes were read, as they are.
    """
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with open(path, 'rb') as file:
        while block := file.read(1 << 22):
            digest.update(block)
            if advance:
                advance(len(block))
    return digest.hexdigest()
