"""A window that shows a stream."""

import os
import sys

import cv2
import numpy as np
from PIL import Image

QUIT_KEYS = (ord('q'), ord('Q'), 27)  # 27 is Esc


def why_no_window() -> str | None:
    """Why no window can be opened; None if one can."""
    line = next(
        (x for x in cv2.getBuildInformation().split('\n') if ' GUI:' in x), ''
    )
    if line.split()[-1:] == ['NONE']:
        return 'this OpenCV cannot open windows'
    has_display = any(map(os.environ.get, ('DISPLAY', 'WAYLAND_DISPLAY')))
    if sys.platform.startswith('linux') and not has_display:
        return 'there is no display'
    return None


class Window:
    """A window; the keys q and Esc, or closing it, quit.

    It must be used from the main thread.
    """

    def __init__(self, title: str):
        self.title, self.has_picture = title, False
        cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)

    def show(self, picture: Image.Image) -> bool:
        """Show a picture; returns whether to continue."""
        cv2.imshow(self.title, np.asarray(picture)[..., ::-1])
        self.has_picture = True
        return self.is_open()

    def is_open(self) -> bool:
        """Handle keys; returns whether to continue."""
        if cv2.waitKey(1) & 0xFF in QUIT_KEYS:
            return False
        if not self.has_picture:  # some systems do not show it before
            return True
        return cv2.getWindowProperty(self.title, cv2.WND_PROP_VISIBLE) >= 1

    def close(self):
        cv2.destroyWindow(self.title)
