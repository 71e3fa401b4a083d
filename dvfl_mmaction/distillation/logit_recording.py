"""File format for the logits of every batch of a training."""

import json
import os
import struct
import zlib
from pathlib import Path

import numpy as np

from ..errors import UserError
from ..files import kind_of_special_file, write_whole

MAGIC = b'DVFLREC1'
ALIGNMENT = 4096  # bytes; the first record starts at a multiple of it
RECORD = struct.Struct('<II')  # checksum, rows
DTYPES = ('float16', 'float32')
MAX_TOP_K_CLASSES = 1 << 16  # their numbers are stored in 16 bits
MAX_COUNT = 1 << 24  # of classes, or of clips per batch


class LogitRecording:
    """Logits by iteration, in a file that stays readable after a crash.

    Each iteration has a record at a fixed position, with a checksum and
    room for a full batch. Records are read and written independently, and
    an incomplete record is detected. Writing the same logits again leaves
    the file unchanged.

    With ``top_k`` a row keeps its largest logits and one number that
    replaces each of the others. It preserves their total share of the
    softmax at ``temperature``.

    Args:
        path: The file.
        about: The header: ``num_classes``, ``rows`` (of a full batch),
            ``dtype``, ``top_k``, ``temperature`` (needed with ``top_k``),
            ``fingerprint``.
        descriptor: Descriptor of the open file.
        start: Offset of the first record, in bytes.
    """

    def __init__(self, path: Path, about: dict, descriptor: int, start: int):
        self.path, self.about = path, about
        self._descriptor, self._start = descriptor, start
        self._dtype = np.dtype(about['dtype']).newbyteorder('<')
        kept = about['top_k'] or about['num_classes']
        fields = [('logits', self._dtype, (kept,))]
        if about['top_k']:
            fields += [('classes', '<u2', (kept,)), ('others', '<f4')]
        self._row = np.dtype(fields)
        self._size = RECORD.size + about['rows'] * self._row.itemsize

    @classmethod
    def create(cls, path: Path, about: dict) -> 'LogitRecording':
        """Create a file; an existing one is replaced.

        Raises:
            UserError: If an argument is out of range.
        """
        top_k, num_classes = about['top_k'], about['num_classes']
        if about['dtype'] not in DTYPES:
            raise UserError(
                f'record_dtype is {about["dtype"]!r}; give one of '
                f'{", ".join(DTYPES)}'
            )
        if top_k is not None and num_classes > MAX_TOP_K_CLASSES:
            raise UserError(
                f'top_k is {top_k!r}, with which a recording holds up to '
                f'{MAX_TOP_K_CLASSES} classes, but there are {num_classes}; '
                'leave it out to record all logits'
            )
        if top_k is not None and not 0 < top_k < num_classes:
            raise UserError(
                f'top_k is {top_k!r}; give a number from 1 to '
                f'{num_classes - 1}, or None for all {num_classes} classes'
            )
        text = json.dumps(about).encode()
        head = MAGIC + struct.pack('<I', len(text)) + text
        start = -(-len(head) // ALIGNMENT) * ALIGNMENT
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, head.ljust(start, b'\0'))
        return cls(path, about, os.open(path, os.O_RDWR), start)

    @classmethod
    def open(cls, path: Path, writable: bool = False) -> 'LogitRecording':
        """Open an existing file.

        Raises:
            UserError: If it is missing, cannot be read, is not a recording,
                or is damaged.
        """
        try:
            kind = kind_of_special_file(path)
            flags = os.O_RDWR if writable else os.O_RDONLY
            descriptor = -1 if kind else os.open(path, flags)
        except FileNotFoundError:
            raise UserError(
                f'{path} not found; a recording has one file per process, in '
                'a folder that all machines see; copy it there, or record '
                'again with the same command'
            ) from None
        except OSError as error:
            raise UserError(
                f'{path} cannot be read: {error.strerror}; correct its '
                'permissions, or record to another folder'
            ) from None
        if kind:
            raise UserError(
                f'{path} is a {kind}, not a recording of a teacher; give '
                'another folder'
            )
        try:
            head = os.pread(descriptor, len(MAGIC) + 4, 0)
            (length,) = struct.unpack('<I', head[len(MAGIC) :])
            if not head.startswith(MAGIC):
                raise ValueError
            if length > os.fstat(descriptor).st_size:
                raise ValueError
            about = json.loads(os.pread(descriptor, length, len(head)))
            check_header(about)
            start = -(-(len(head) + length) // ALIGNMENT) * ALIGNMENT
            return cls(path, about, descriptor, start)
        except (
            ValueError,
            KeyError,
            TypeError,
            RecursionError,
            struct.error,
        ):
            os.close(descriptor)
            raise UserError(
                f'{path} is not a recording of a teacher, or its header is '
                'damaged; record one with '
                'model.teacher.record_to=FOLDER, or give another folder'
            ) from None

    def write(self, iteration: int, logits: np.ndarray):
        """Record a batch.

        Args:
            iteration: Iteration of the run, from 0.
            logits: (N, K), N up to ``rows``.

        Raises:
            UserError: If the batch is too large, its logits are not finite
                in the data type of the file, or the disk is full.
        """
        if len(logits) > self.about['rows']:
            raise UserError(
                f'{self.path} has room for {self.about["rows"]} clips per '
                f'batch but the batch has {len(logits)}; record to another '
                'folder'
            )
        rows = np.zeros(len(logits), self._row)
        if self.about['top_k']:
            self._keep_largest(rows, logits.astype(np.float64))
        else:
            rows['logits'] = cast(logits, self._dtype)
        broken = int((~np.isfinite(rows['logits'])).any(1).sum())
        if broken:
            raise UserError(
                f'the logits of {broken} of {len(rows)} clips are NaN or too '
                f'large for {self.about["dtype"]} in {self.path}; check the '
                "teacher, or set record_dtype='float32' and record to "
                'another folder'
            )
        content = rows.tobytes()
        record = RECORD.pack(zlib.crc32(content), len(rows)) + content
        offset = self._start + iteration * self._size
        try:
            written = os.pwrite(self._descriptor, record, offset)
        except OSError as error:
            raise UserError(
                f'{self.path} cannot be written: {error.strerror}; free disk '
                'space and resume the run'
            ) from error
        if written != len(record):
            raise UserError(
                f'{self.path} cannot be written completely; free disk space '
                'and resume the run'
            )

    def _keep_largest(self, rows: np.ndarray, logits: np.ndarray):
        k, temperature = self.about['top_k'], self.about['temperature']
        order = np.argsort(-logits, axis=1, kind='stable')
        rows['classes'] = order[:, :k]
        largest = np.take_along_axis(logits, order[:, :k], 1)
        rows['logits'] = cast(largest, self._dtype)
        rest = np.take_along_axis(logits, order[:, k:], 1) / temperature
        top = rest.max(1, keepdims=True)
        share = np.log(np.exp(rest - top).mean(1)) + top[:, 0]
        rows['others'] = temperature * share

    def read(self, iteration: int) -> np.ndarray | None:
        """Read the logits of a batch, (N, K) float32.

        Returns None if the iteration is not recorded or is damaged.

        Raises:
            UserError: If it contradicts the header of the file.
        """
        offset = self._start + iteration * self._size
        held = os.fstat(self._descriptor).st_size - offset
        if held < RECORD.size:  # a damaged header may name any size
            return None
        record = os.pread(self._descriptor, min(self._size, held), offset)
        checksum, count = RECORD.unpack_from(record)
        content = record[RECORD.size :][: count * self._row.itemsize]
        if not count or zlib.crc32(content) != checksum:
            return None
        if len(content) % self._row.itemsize:
            return None
        rows = np.frombuffer(content, self._row)
        if not self.about['top_k']:
            return rows['logits'].astype(np.float32)
        shape = (len(rows), self.about['num_classes'])
        if rows['classes'].max() >= shape[1]:
            raise UserError(
                f'{self.path} is damaged: it has logits of class '
                f'{rows["classes"].max()}, but its header names {shape[1]} '
                'classes; record it again with the same command'
            )
        logits = np.repeat(rows['others'][:, None], shape[1], axis=1)
        np.put_along_axis(
            logits,
            rows['classes'].astype(np.int64),
            rows['logits'].astype(np.float32),
            axis=1,
        )
        return logits

    def count(self) -> int:
        """Count the recorded iterations, up to the first gap."""
        size = os.fstat(self._descriptor).st_size - self._start
        known = 0
        for iteration in range(-(-max(size, 0) // self._size)):
            if self.read(iteration) is None:
                break
            known = iteration + 1
        return known

    def close(self):
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def cast(logits: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Convert to a data type; what is too large for it becomes infinite."""
    with np.errstate(over='ignore'):
        return logits.astype(dtype)


def check_header(about: dict):
    """Check the values in the header of a recording.

    Raises:
        ValueError: If one is impossible.
        KeyError: If one is missing.
    """
    top_k, temperature = about['top_k'], about['temperature']
    counts = [about['num_classes'], about['rows']]
    if top_k is not None:
        counts.append(top_k)
    sound = (
        all(type(count) is int and 0 < count <= MAX_COUNT for count in counts)
        and (top_k is None or top_k < about['num_classes'])
        and (top_k is None or (is_number(temperature) and temperature > 0))
        and about['dtype'] in DTYPES
        and isinstance(about['fingerprint'], dict)
    )
    if not sound:
        raise ValueError


def is_number(value) -> bool:
    """Whether a value read from JSON is a finite number."""
    return type(value) in (int, float) and np.isfinite(value)
