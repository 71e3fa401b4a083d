"""Draw the current classes over the frames of a stream."""

from collections import deque
from collections.abc import Callable

from PIL import Image

from ...analysis.prediction.bars import Row, draw_panel, overlay, top_classes
from ...analysis.prediction.video import enlarge
from ...analysis.text import printable
from .frames import Answer, Frame

HISTORY = 3  # previous classes
REDRAWN_S = 0.1  # faster changes of the text cannot be read


class Overlay:
    """Draws the top classes, the previous ones, and the frame rate.

    Args:
        name_of: Names the classes.
        top: Number of classes.
    """

    def __init__(self, name_of: Callable[[int], str], top: int):
        self.name_of, self.top = name_of, top
        # (class, time of its first answer), the newest last
        self.history = deque(maxlen=HISTORY + 1)
        self._panel, self._drawn = None, None
        # Opening the font takes longer than a frame lasts.
        draw_panel(320, 240, [Row(printable(name_of(0)))])

    def note(self, answer: Answer):
        """Note the class of an answer for the history."""
        (best,) = top_classes(answer.scores, 1)
        if not self.history or self.history[-1][0] != best:
            self.history.append((best, answer.time_s))

    def rows(
        self, frame: Frame, answer: Answer | None, rate: float
    ) -> list[Row]:
        """Lines of the panel.

        Args:
            frame: The frame.
            answer: The newest answer; None before the first.
            rate: Frames shown per second.
        """
        rows = [Row(f'{rate:.1f} frames/s')]
        if answer is None:
            return rows
        rows[0].text += f', lag {1e3 * answer.lag_s:.0f} ms'
        rows += [
            Row(printable(self.name_of(i)), float(answer.scores[i]))
            for i in top_classes(answer.scores, self.top)
        ]
        for label, time_s in list(self.history)[-2::-1]:
            ago = max(0.0, frame.time_s - time_s)
            rows.append(Row(f'-{ago:.0f} s: {printable(self.name_of(label))}'))
        return rows

    def draw(
        self, frame: Frame, answer: Answer | None, rate: float
    ) -> Image.Image:
        """The frame with its panel, of an even size, 240 pixels high or
        more."""
        picture = enlarge(frame.image)
        if answer is not None:
            self.note(answer)
        size, now = picture.size, frame.due_s
        is_old = self._drawn is None or now - self._drawn[0] >= REDRAWN_S
        if is_old or self._drawn[1] != size:
            rows = self.rows(frame, answer, rate)
            self._panel, self._drawn = draw_panel(*size, rows), (now, size)
        return overlay(picture, self._panel)
