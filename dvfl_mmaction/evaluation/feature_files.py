"""Write the features of videos to files, for a localizer."""

from collections import Counter
from pathlib import Path

import numpy as np
from mmaction.registry import METRICS
from mmengine.evaluator import BaseMetric

from ..errors import UserError
from ..files import write_whole
from .clip_metric import is_count

SAMPLES_PER_ROW = 3
BROKEN, NOT_FINITE = 'broken', 'not_finite'


@METRICS.register_module()
class FeatureFiles(BaseMetric):
    """Write one CSV file of features per video, and count the files.

    A video that cannot be read gets no file, and is counted as broken. So
    does one whose features are not finite, as of a model that diverged; such
    videos are counted as ``not_finite``, if there are any. A file that an
    earlier test wrote for such a video is removed after the test.

    It takes the features of a recognizer with MMAction2's ``FeatureHead``,
    pooled in space and time, and ``average_clips=None``. The files have a
    heading line and are what MMAction2's ``LoadLocalizationFeature`` reads.
    The file of ``a/b.mp4`` is ``b.csv``.

    Args:
        out_dir: The folder of the files; it is made.
        num_rows: Rows per file; a video's features are resampled to them,
            see :func:`resample`. ``None`` writes one row per clip.
        collect_device: MMEngine's, ``'cpu'`` or ``'gpu'``.
        prefix: Prefix of the metric's name.

    Raises:
        UserError: If features are not pooled, if a sample has no ``filename``,
            or if two videos would share a file.
    """

    default_prefix = 'features'

    def __init__(
        self, out_dir, num_rows=100, collect_device='cpu', prefix=None
    ):
        super().__init__(collect_device=collect_device, prefix=prefix)
        if num_rows is not None and not is_count(num_rows):
            raise UserError(
                f'num_rows of FeatureFiles is {num_rows!r}; give a whole '
                'number of 1 or more, or None for one row per clip'
            )
        self.out_dir, self.num_rows = Path(out_dir), num_rows

    def process(self, data_batch, data_samples):
        """Write the files of a batch.

        Args:
            data_batch: Its ``data_samples`` have ``filename``.
            data_samples: Features, (clips, C) per video.
        """
        for sample, features in zip(
            data_batch['data_samples'], data_samples, strict=True
        ):
            if 'filename' not in sample.metainfo_keys():
                raise UserError(
                    'FeatureFiles needs the name of the video; use '
                    "ClipDataset, or meta_keys=('filename',) of "
                    'PackActionInputs'
                )
            if sample.get('broken'):
                self.results.append((*name_and_video(sample), BROKEN))
                continue
            features = np.atleast_2d(features.float().cpu().numpy())
            if features.ndim != 2:
                raise UserError(
                    f'a video has features {features.shape}; FeatureFiles '
                    "takes (clips, channels); set spatial_type='avg' and "
                    "temporal_type='avg' of FeatureHead"
                )
            if not np.isfinite(features).all():
                self.results.append((*name_and_video(sample), NOT_FINITE))
                continue
            if self.num_rows:
                features = resample(features, self.num_rows)
            name, video = name_and_video(sample)
            heading = ','.join(f'f{i}' for i in range(features.shape[1]))
            rows = [','.join(f'{x:.6g}' for x in row) for row in features]
            self.out_dir.mkdir(parents=True, exist_ok=True)
            write_whole(self.path_of(name), '\n'.join([heading, *rows, '']))
            self.results.append((name, video, None))

    def path_of(self, name: str) -> Path:
        """The file of a video, by its name without folder and suffix."""
        return self.out_dir / f'{name}.csv'

    def compute_metrics(self, results) -> dict:
        """Return the numbers of files and of videos without one."""
        videos = {}
        for name, video, _ in results:
            if videos.setdefault(name, video) != video:
                raise UserError(
                    f'{video} and {videos[name]} both have the file '
                    f'{self.path_of(name)}; rename one of the videos'
                )
        written = {name for name, _, fault in results if fault is None}
        for name in videos.keys() - written:
            self.path_of(name).unlink(missing_ok=True)
        without = Counter(fault for *_, fault in results if fault)
        return dict(files=len(written), broken=0) | without


def name_and_video(sample) -> tuple[str, str]:
    """A video's name without folder and suffix, and its path."""
    return Path(sample.filename).stem, str(sample.filename)


def resample(features: np.ndarray, num_rows: int) -> np.ndarray:
    """Resample features along time, as MMAction2 does for ActivityNet.

    Each row is the mean of three equally spaced, linearly interpolated
    points; see ``pool_feature`` of its
    ``activitynet_feature_postprocessing.py``.

    Args:
        features: (clips, C).
        num_rows: Rows to return.

    Returns:
        (num_rows, C).
    """
    points = num_rows * SAMPLES_PER_ROW
    last = len(features) - 1
    at = np.arange(points) * (last / points)
    lower = at.astype(int)
    upper = np.minimum(lower + 1, last)
    weight = (at - lower)[:, None]
    values = (1 - weight) * features[lower] + weight * features[upper]
    return values.reshape(num_rows, SAMPLES_PER_ROW, -1).mean(axis=1)
