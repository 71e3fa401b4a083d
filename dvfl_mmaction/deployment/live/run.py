"""Classify a source, and write and show what was asked for."""

import json
import os
import sys
import time
from collections.abc import Iterable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

from ...analysis.text import printable
from ...errors import UserError
from ...files import DISK_FAULTS, check_outputs, check_writable
from ...preparation.clips.runner import show_progress
from .classifier import Classifier
from .frames import Answer, Frame
from .measures import RateMeter
from .outputs import answer_line, video_output, write_line
from .overlay import Overlay
from .segments import Segmenter, SegmentRule
from .session import Session
from .source import Source
from .timeline import check_format, write_timeline
from .window import Window

STDOUT = Path('-')


@dataclass
class StreamOutputs:
    """What becomes of the answers.

    Attributes:
        window: Whether a window shows the stream.
        lines: File of JSON lines; ``-`` for standard output.
        video: MP4 file with the classes over the frames.
        timelines: Files of segments.
        top: Classes per answer.
    """

    window: bool = False
    lines: Path | None = None
    video: Path | None = None
    timelines: list[Path] = field(default_factory=list)
    top: int = 5

    def check(self, inputs: Iterable[str | Path | None] = ()):
        """Try to write before the work starts.

        Args:
            inputs: What the run reads: the source, and files of the model.

        Raises:
            UserError: If a file cannot be written, would replace an input or
                another output, or has the suffix of another format.
        """
        for path in self.timelines:
            check_format(path)
        paths = (self.lines, self.video, *self.timelines)
        files = [path for path in paths if path not in (None, STDOUT)]
        check_outputs(files, inputs)
        if self.video and self.video.suffix.lower() != '.mp4':
            raise UserError(
                f'--video {printable(self.video)} is no MP4 file, which is '
                'what is written; give a name that ends with .mp4'
            )
        for path in files:
            check_writable(path)


def run_stream(
    source: Source,
    classifier: Classifier,
    outputs: StreamOutputs,
    rule: SegmentRule | None = None,
    in_turn: bool = False,
) -> Session:
    """Classify a source until it ends, or until the user quits.

    JSON lines are written as they come, the other files at the end, also if
    the run is interrupted or the source is lost.

    Args:
        source: The source.
        classifier: Its classifier.
        outputs: What to write and show.
        rule: Of the segments of timelines.
        in_turn: Classify every frame or window, as fast as possible, and
            show the progress; otherwise run live.

    Returns:
        The session, with its measures.

    Raises:
        UserError: If the source cannot be opened, is lost, or is live where
            a recording is needed, or an output cannot be written or would
            replace it.
        KeyboardInterrupt: After Ctrl-C, with the time that was reached.
    """
    outputs.check([source.name])
    source.check()
    if in_turn and source.is_live:
        raise UserError(
            f'{source.name} is live; leave out --as-fast-as-possible, or '
            'give a recording'
        )
    rule = rule or SegmentRule()
    classifier.warm_up()
    try:
        session = run_session(source, classifier, outputs, rule, in_turn)
    except OSError as error:
        if error.errno not in DISK_FAULTS:
            raise
        raise UserError(
            f'an output cannot be written: {error}; free space on its disk, '
            'or give another path, and run again'
        ) from error
    if session.is_complete and not session.measures.answered:
        raise UserError(
            f'{source.name} ended after {session.measures.read} frames, '
            'before its first window was full; lower --stride'
        )
    return session


def run_session(
    source: Source,
    classifier: Classifier,
    outputs: StreamOutputs,
    rule: SegmentRule,
    in_turn: bool,
) -> Session:
    """Run, and write the files at the end; see :func:`run_stream`."""
    ended = None
    with ExitStack() as stack:
        sinks = Sinks(source, classifier, outputs, rule, stack)
        session = Session(
            source,
            classifier,
            sinks.take_answer,
            sinks.take_frame,
            on_idle=sinks.is_watched,
        )
        try:
            if in_turn:
                frames = session.run_in_turn()
                total = source.num_frames
                progress = show_progress(frames, total, 'classify', 'frames')
                with closing(progress):
                    for _ in progress:
                        pass
            else:
                session.run_live()
        except BrokenPipeError:
            sinks.drop_lines()
        except (KeyboardInterrupt, UserError) as error:
            ended = error
        except OSError as error:
            if error.errno not in DISK_FAULTS:
                raise
            ended = error  # of one output; the others are kept
        if session.is_complete and not session.measures.read:
            ended = UserError(
                f'{source.name} has no frame that can be decoded; give '
                'another recording'
            )
        else:
            # An exception would remove the video.
            fault = sinks.finish(session)
            ended = fault or ended
    if isinstance(ended, KeyboardInterrupt):
        raise KeyboardInterrupt(
            f'stopped at {session.reached_s:.1f} s; the files hold what was '
            'classified until then'
        ) from None
    if ended is not None:
        raise ended
    return session


class Sinks:
    """The open files and the window of a run.

    Args:
        source: The source.
        classifier: Names the classes.
        outputs: What to write and show.
        rule: Of the segments.
        stack: Closes them.
    """

    def __init__(
        self,
        source: Source,
        classifier: Classifier,
        outputs: StreamOutputs,
        rule: SegmentRule,
        stack: ExitStack,
    ):
        self.source, self.outputs, self.rule = source, outputs, rule
        self.name_of = classifier.name_of
        is_drawn = outputs.video or outputs.window
        self.overlay = Overlay(self.name_of, outputs.top) if is_drawn else None
        self.rate = RateMeter()
        self.segmenter = Segmenter(rule) if outputs.timelines else None
        self.lines = self.video = self.window = None
        if outputs.lines == STDOUT:
            self.lines = sys.stdout
        elif outputs.lines:
            file = outputs.lines.open('w', encoding='utf-8')
            self.lines = stack.enter_context(file)
        if outputs.video:
            self.video = stack.enter_context(video_output(outputs.video))
        if outputs.window:
            self.window = Window(source.name)
            stack.callback(self.window.close)

    def take_answer(self, answer: Answer):
        """Write an answer."""
        if self.lines:
            line = answer_line(answer, self.name_of, self.outputs.top)
            write_line(self.lines, line)
        if self.segmenter:
            self.segmenter.add(answer.middle_s, answer.scores)

    def take_frame(self, frame: Frame, answer: Answer | None) -> bool:
        """Draw a frame; returns whether to continue."""
        rate = self.rate.add(time.monotonic())
        if self.overlay is None:
            return True
        picture = self.overlay.draw(frame, answer, rate)
        if self.video:
            self.video.write(picture, frame.time_s)
        return self.window is None or self.window.show(picture)

    def is_watched(self) -> bool:
        """Whether to continue while no frame comes."""
        return self.window is None or self.window.is_open()

    def drop_lines(self):
        """Write no more lines; nobody reads them."""
        if self.lines:
            with open(os.devnull, 'w') as nowhere:
                # What the file still holds is written when it is closed.
                os.dup2(nowhere.fileno(), self.lines.fileno())
        self.lines = None

    def finish(self, session: Session) -> OSError | None:
        """Write the timelines and the summary.

        Returns:
            The first fault of an output; the others are written.
        """
        measures = session.measures
        end_s, faults = session.end_s, []
        if self.segmenter:
            segments = self.segmenter.finish(end_s)
            for path in self.outputs.timelines:
                try:
                    write_timeline(
                        path,
                        segments,
                        self.name_of,
                        self.rule,
                        self.source.name,
                        end_s,
                        session.is_complete,
                    )
                except OSError as error:
                    faults.append(error)
        if self.lines:
            line = json.dumps(dict(summary=measures.summary()))
            try:
                write_line(self.lines, line)
            except OSError as error:
                if not isinstance(error, BrokenPipeError):
                    faults.append(error)
                self.drop_lines()
        print(measures.line(), file=sys.stderr, flush=True)
        return faults[0] if faults else None
