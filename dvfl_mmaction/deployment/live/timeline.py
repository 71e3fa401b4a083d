"""Write the segments of a recording as JSON, CSV or SRT."""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from ...analysis.text import printable
from ...errors import UserError
from ...files import write_json, write_whole
from .segments import Segment, SegmentRule

FORMATS = ('.json', '.csv', '.srt')


def check_format(path: Path):
    """
    Raises:
        UserError: If the suffix names no format of a timeline.
    """
    if path.suffix.lower() not in FORMATS:
        raise UserError(
            f'--to {printable(path)} is no timeline; give a file that ends '
            f'with one of {", ".join(FORMATS)}'
        )


def write_timeline(
    path: Path,
    segments: Sequence[Segment],
    name_of: Callable[[int], str],
    rule: SegmentRule,
    source: str,
    end_s: float,
    is_complete: bool = True,
):
    """Write a timeline in the format of the file's suffix.

    Args:
        path: The file.
        segments: In order.
        name_of: Names the classes.
        rule: That made the segments.
        source: Name of the recording.
        end_s: The time up to which it was classified.
        is_complete: Whether that is its end.
    """
    kind = path.suffix.lower()
    if kind == '.srt':
        write_whole(path, srt_text(segments, name_of))
    elif kind == '.csv':
        write_whole(path, csv_text(segments, name_of))
    else:
        entries = [
            {
                'start_s': round(s.start_s, 3),
                'end_s': round(s.end_s, 3),
                'class': s.label,
                'name': name_of(s.label),
                'score': round(s.score, 4),
            }
            for s in segments
        ]
        write_json(
            path,
            dict(
                source=printable(source),
                end_s=round(end_s, 3),
                complete=is_complete,
                rule=asdict(rule),
                segments=entries,
            ),
        )


def csv_text(
    segments: Sequence[Segment], name_of: Callable[[int], str]
) -> str:
    """A row per segment: start and end in s, class, name, score."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(['start_s', 'end_s', 'class', 'name', 'score'])
    for s in segments:
        times = [f'{s.start_s:.3f}', f'{s.end_s:.3f}']
        writer.writerow([*times, s.label, name_of(s.label), f'{s.score:.4f}'])
    return text.getvalue()


def srt_text(
    segments: Sequence[Segment], name_of: Callable[[int], str]
) -> str:
    """SubRip subtitles: the name and score of each segment."""
    parts = [
        f'{number}\n{srt_time(s.start_s)} --> {srt_time(s.end_s)}\n'
        f'{printable(name_of(s.label))} ({100 * s.score:.0f} %)\n'
        for number, s in enumerate(segments, 1)
    ]
    return '\n'.join(parts)


def srt_time(seconds: float) -> str:
    """A time as SubRip has it, such as ``'01:02:03,456'``."""
    total = round(1000 * seconds)
    minutes, ms = divmod(total, 60_000)
    return (
        f'{minutes // 60:02}:{minutes % 60:02}:{ms // 1000:02},{ms % 1000:03}'
    )
