"""Predict many clips, with a journal, and write what was asked for."""

import hashlib
import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...datasets.video_file import BrokenClipError
from ...distillation.fingerprint import shorten as shorten_value
from ...errors import UserError
from ...files import (
    cannot_write,
    check_outputs,
    check_writable,
    file_id,
    normal_path,
)
from ...preparation.clips.journal import Journal, stamp
from ...preparation.clips.runner import show_progress
from ..text import printable
from .bars import is_right, rows_of, top_classes
from .batches import ClipReader, Prediction, predict_clips
from .clips import Clip, is_inside
from .frames import frames_of
from .predictor import Predictor
from .report import (
    Result,
    accuracy_line,
    rounded,
    write_results_csv,
    write_results_json,
)
from .sheet import Tile, choose, draw_sheet
from .strip import draw_strip, save_png
from .video import write_video

SETTINGS = ''  # the journal's entry of what all its results have in common


@dataclass
class Outputs:
    """What is written of the predictions.

    Attributes:
        json: File of all predictions.
        csv: The same as a table.
        folder: Gets a picture per clip.
        video: Whether it also gets a video per clip.
        sheet: Picture of many clips.
        top: Classes per clip.
    """

    json: Path | None = None
    csv: Path | None = None
    folder: Path | None = None
    video: bool = False
    sheet: Path | None = None
    top: int = 5

    @property
    def journal(self) -> Path | None:
        """File of the results of a run that is interrupted."""
        if self.folder:
            return self.folder / 'predictions.journal'
        file = self.json or self.csv
        return file and file.with_name(f'{file.name}.journal')

    def check(self, inputs: Iterable[str | Path | None] = ()):
        """Create the folders, and try to write, before the work starts.

        Args:
            inputs: What the run reads: clips, lists, and files of the model.

        Raises:
            UserError: If one cannot be written, or would replace an input
                or another output.
        """
        paths = (self.json, self.csv, self.sheet, self.journal)
        files = [file for file in paths if file is not None]
        check_outputs(files, inputs)
        for file in files:
            check_writable(file)


def run_prediction(
    predictor: Predictor,
    clips: Sequence[Clip],
    outputs: Outputs,
    batch_size: int = 8,
    workers: int = 0,
) -> tuple[list[Result], list[str]]:
    """Predict clips and write the outputs; finished clips are skipped.

    Results are appended to the journal as they come. Broken clips are not,
    so the next run tries them again. Their pictures of an earlier run are
    removed.

    Args:
        predictor: The model.
        clips: The clips.
        outputs: What to write.
        batch_size: Most clips per forward pass.
        workers: Processes that read clips; 0 reads them here.

    Returns:
        The results in the order of the clips, and a line per clip whose
        video cannot be drawn.

    Raises:
        UserError: If the journal is of another model or other options, an
            output cannot be written, or a picture would replace a clip.
        KeyboardInterrupt: With a line on how to resume.
    """
    outputs.check(clip.path for clip in clips)
    targets = picture_paths(clips, outputs)
    stamps = [stamp_of(clip, predictor, outputs) for clip in clips]
    results = [None] * len(clips)
    undrawn = []
    try:
        with open_journal(predictor, outputs) as journal:
            pending = []
            for i, clip in enumerate(clips):
                known = journal and find_kept(
                    journal, clip, stamps[i], targets[i]
                )
                if known:
                    scores = np.array(known['scores'], np.float32)
                    results[i] = Result(clip, scores)
                else:
                    pending.append(i)
            if len(pending) < len(clips):
                print(
                    f'{len(clips) - len(pending)} of {len(clips)} clips are '
                    f'in {outputs.journal} already',
                    file=sys.stderr,
                )
            todo = [clips[i] for i in pending]
            if len(todo) <= batch_size:
                workers = 0
            found = predict_clips(todo, predictor, batch_size, workers)
            with closing(show_progress(found, len(todo), 'predict')) as found:
                for outcome in found:
                    i = pending[outcome.index]
                    clip, scores = clips[i], outcome.scores
                    results[i] = Result(clip, scores, outcome.error)
                    if scores is None:
                        remove(targets[i])
                        continue
                    undrawn += draw(
                        outcome, clip, predictor, outputs, targets[i]
                    )
                    if journal:
                        kept = dict(scores=[rounded(s) for s in scores])
                        journal.append(key_of(clip), stamps[i], kept)
        write_outputs(results, predictor, outputs)
    except OSError as error:
        path = Path(error.filename or outputs.journal or 'the output')
        raise cannot_write(path, error) from error
    except KeyboardInterrupt:
        hint = resume_hint(clips, stamps, targets, outputs)
        raise KeyboardInterrupt(hint) from None
    return results, undrawn


def resume_hint(
    clips: Sequence[Clip],
    stamps: Sequence[dict],
    targets: Sequence[tuple[Path, ...]],
    outputs: Outputs,
) -> str:
    """How to continue a run that was interrupted."""
    if outputs.journal is None:
        return 'stopped; nothing is kept without --json, --csv or --out'
    # What a rerun will find: the last clip may not have been written.
    journal = Journal(outputs.journal)
    each = zip(clips, stamps, targets, strict=True)
    done = sum(find_kept(journal, *of_clip) is not None for of_clip in each)
    return (
        f'stopped; {done} of {len(clips)} clips are kept in '
        f'{outputs.journal}; rerun the command to resume'
    )


def open_journal(predictor: Predictor, outputs: Outputs):
    """Open the journal of a run; a context with None if it has none.

    Raises:
        UserError: If it is of another model or other options.
    """
    if outputs.journal is None:
        return nullcontext()
    journal = Journal(outputs.journal)
    known = journal.lookup(SETTINGS, {})
    if known is None:
        journal.append(SETTINGS, {}, predictor.settings)
        return journal
    for key, ours in predictor.settings.items():
        if known.get(key) != ours:
            theirs = shorten_value(known.get(key))
            raise UserError(
                f'{outputs.journal} is of another run: its {key} is '
                f'{theirs}, but this run has {shorten_value(ours)}; give '
                'another output, or remove it to begin anew'
            )
    return journal


def key_of(clip: Clip) -> str:
    """Name of a clip in the journal."""
    return os.fspath(normal_path(clip.path))


def find_result(journal: Journal, clip: Clip, stamped: dict) -> dict | None:
    """A clip's result in a journal; earlier ones name it with its ``..``."""
    earlier = os.fspath(clip.path.absolute())
    return journal.lookup(key_of(clip), stamped) or journal.lookup(
        earlier, stamped
    )


def find_kept(
    journal: Journal, clip: Clip, stamped: dict, targets: Sequence[Path]
) -> dict | None:
    """A clip's result in a journal, if its pictures are there, too."""
    known = find_result(journal, clip, stamped)
    return known if all(path.exists() for path in targets) else None


def stamp_of(clip: Clip, predictor: Predictor, outputs: Outputs) -> dict:
    """What a clip's result and its pictures depend on, beside the model."""
    found = stamp(clip.path)
    if outputs.folder:
        names = '\n'.join(predictor.class_names or [])
        found |= dict(
            top=outputs.top,
            label=clip.label,
            names=hashlib.sha256(names.encode()).hexdigest()[:16],
        )
    return found


def picture_paths(
    clips: Sequence[Clip], outputs: Outputs
) -> list[tuple[Path, ...]]:
    """Picture and video of each clip, in folders as the clips' own."""
    if outputs.folder is None:
        return [()] * len(clips)
    suffixes = ['.png', '.mp4'] if outputs.video else ['.png']
    return paths_in(outputs.folder, clips, suffixes)


def paths_in(
    folder: Path, clips: Sequence[Clip], suffixes: Sequence[str]
) -> list[tuple[Path, ...]]:
    """Files of each clip in a folder, one per suffix.

    Raises:
        UserError: If a file is a clip itself, or lies outside the folder.
    """
    paths = [normal_path(clip.path) for clip in clips]
    common = os.path.commonpath([path.parent for path in paths])
    # a.avi and a.mp4 are two clips, and a.avi.mkv is a third one. To some
    # disks, A.png is a.png.
    taken = Counter(caseless(path.with_suffix('')) for path in paths)
    taken.update(caseless(path) for path in paths if path.suffix)
    found = []
    for path in paths:
        is_only = taken[caseless(path.with_suffix(''))] == 1
        name = path.stem if is_only else path.name
        place = folder / path.parent.relative_to(common)
        found.append(tuple(place / (name + suffix) for suffix in suffixes))
    check_targets(folder, clips, found)
    return found


def caseless(path: Path) -> str:
    """What paths have in common that differ in case only."""
    return os.fspath(path).casefold()


def remove(paths: Iterable[Path]):
    """Remove files of an earlier run, if there are any."""
    for path in paths:
        path.unlink(missing_ok=True)


def check_targets(
    folder: Path, clips: Sequence[Clip], targets: list[tuple[Path, ...]]
):
    """Reject files that replace a clip or, by a link, leave their folder.

    Raises:
        UserError: With the first one.
    """
    sources = {file_id(clip.path) for clip in clips} - {None}
    for path in (path for of_clip in targets for path in of_clip):
        if file_id(path) in sources:
            raise UserError(
                f'{path} is a clip itself and would be overwritten; give '
                'another --out'
            )
    for path in {
        of_clip[0].parent: of_clip[0] for of_clip in targets
    }.values():
        if not is_inside(path, folder):
            raise UserError(
                f'{path} lies outside {folder}, where a link leads; remove '
                'the link, or give another --out'
            )


def draw(
    outcome: Prediction,
    clip: Clip,
    predictor: Predictor,
    outputs: Outputs,
    targets: tuple[Path, ...],
) -> list[str]:
    """Draw the picture and the video of a clip.

    Returns:
        A line if the video cannot be drawn.
    """
    if not targets:
        return []
    rows = rows_of(outcome.scores, predictor, outputs.top, clip.label)
    targets[0].parent.mkdir(parents=True, exist_ok=True)
    save_png(targets[0], draw_strip(frames_of(outcome.inputs), rows))
    try:
        for target in targets[1:]:
            write_video(clip.path, target, rows)
    except BrokenClipError as error:
        remove(targets[1:])
        return [f'{clip.name}: {error}']
    return []


def write_outputs(
    results: list[Result], predictor: Predictor, outputs: Outputs
):
    """Write the files that hold all clips."""
    if outputs.json:
        write_results_json(outputs.json, results, predictor, outputs.top)
    if outputs.csv:
        write_results_csv(outputs.csv, results, predictor, outputs.top)
    read = [result for result in results if result.scores is not None]
    if outputs.sheet and read:
        chosen = [read[i] for i in choose(len(read))]
        reader = ClipReader([result.clip for result in chosen], predictor)
        samples = (reader[i] for i in range(len(chosen)))
        tiles = [
            tile_of(result, data['inputs'], predictor)
            for result, (_, data, _) in zip(chosen, samples, strict=True)
            if data is not None
        ]
        title = f'{len(tiles)} of {len(results)} clips'
        if line := accuracy_line(results):
            title += f'; {line}'
        save_png(outputs.sheet, draw_sheet(tiles, title))


def tile_of(result: Result, inputs, predictor: Predictor) -> Tile:
    """A clip of the contact sheet: the frame in its middle."""
    frames, label = frames_of(inputs), result.clip.label
    (best,) = top_classes(result.scores, 1)
    return Tile(
        frames[len(frames) // 2],
        printable(predictor.name_of(best)),
        float(result.scores[best]),
        '' if label is None else printable(predictor.name_of(label)),
        None if label is None else is_right(result.scores, label),
        result.clip.name,
    )
