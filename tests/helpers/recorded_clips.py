"""Videos as a browser records them."""

import av
import numpy as np


def write_recording(path, frames, rate=10):
    """Write WebM whose header has no duration; returns the path."""
    options = dict(live='1')
    with av.open(str(path), 'w', format='webm', options=options) as container:
        stream = container.add_stream('libvpx', rate=rate)
        stream.width = stream.height = 32
        stream.pix_fmt = 'yuv420p'
        for number in range(frames):
            image = np.full((32, 32, 3), number % 256, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format='rgb24')
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return str(path)
