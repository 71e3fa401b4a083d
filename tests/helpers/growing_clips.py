"""Videos whose pictures change their size."""

import av
import numpy as np


def write_sizes(path, codec, sizes, frames=5):
    """Write square pictures of each size, in pixels; returns the path.

    The header has the first size.
    """
    pixels = 'yuvj420p' if codec == 'mjpeg' else 'yuv420p'
    with av.open(str(path), 'w') as container:
        stream, encoder, count = None, None, 0
        for size in sizes:
            if stream is None:
                stream = container.add_stream(codec, rate=25)
                encoder = stream.codec_context
            else:
                encoder = av.CodecContext.create(codec, 'w')
                encoder.time_base = stream.codec_context.time_base
            encoder.width = encoder.height = size
            encoder.pix_fmt = pixels
            images = [
                np.full((size, size, 3), 9 * number, np.uint8)
                for number in range(frames)
            ]
            packets = [
                packet
                for image in images
                for packet in encoder.encode(
                    av.VideoFrame.from_ndarray(image, format='rgb24')
                )
            ]
            for packet in packets + encoder.encode(None):
                packet.stream = stream
                packet.pts = packet.dts = count
                packet.time_base = stream.codec_context.time_base
                container.mux(packet)
                count += 1
    return str(path)
