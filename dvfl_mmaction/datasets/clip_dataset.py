"""MMAction2's video data set, made robust against broken clips."""

import os.path as osp
from contextlib import nullcontext

import numpy as np
from mmaction.datasets import VideoDataset
from mmaction.registry import DATASETS
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

from ..errors import UserError
from .annotations import read_annotations
from .class_names import class_names_beside
from .stream import StreamIndex, seeded
from .video_reader import BrokenClipError

try:
    from decord import DECORDError
except ImportError:  # no wheel for this platform; PyAV is the default
    DECORDError = BrokenClipError

# Raised by the decoders; any other exception is a fault in the pipeline.
READ_ERRORS = (BrokenClipError, DECORDError, OSError, RuntimeError)
MAX_REPLACEMENTS = 100  # clips in a row that cannot be read


@DATASETS.register_module()
class ClipDataset(VideoDataset):
    """A ``VideoDataset`` that continues if a clip cannot be read.

    In training, a broken clip is replaced by another clip of the data set
    and its label, drawn from the same stream. In testing, the sample keeps
    its label and its position; its pixels are those of the next readable
    clip, and it is marked, so that ``ClipMetric`` counts it as wrong for any
    prediction. The meta information of such a sample has ``broken``, a tuple
    of (file, reason). ``BrokenClipsHook`` collects and reports them.

    With ``StreamSampler``, all random draws of the pipeline come from
    (seed, epoch, sample), also within MMEngine's ``ConcatDataset``,
    ``RepeatDataset`` and ``ClassBalancedDataset``; ``sample`` is then the
    index in the outermost one. With another sampler, or another wrapper,
    they come from the global generators, as in MMAction2.

    Lists are read by :func:`read_annotations`: MMAction2's format, with an
    optional header; names may contain spaces. Arguments are those of
    ``VideoDataset``. With ``multi_class`` a clip may have several labels,
    which become a vector of zeros and ones, (``num_classes``,).

    In training, the label -1 stands for none. The meta information of such
    a sample has ``unlabelled``; a distillation trains on it with the loss of
    the teacher alone.

    Attributes:
        header: Header of the list (data set, split, part).
        num_unlabelled: Number of clips without a label.

    Raises:
        UserError: If the list cannot be read, or has clips without a label
            in testing, or ``multi_class`` lacks ``num_classes`` or has a
            label beyond it.
    """

    num_unlabelled = 0

    def load_data_list(self) -> list[dict]:
        """Read the list; each clip has ``filename`` and ``label``."""
        annotations = read_annotations(
            self.ann_file,
            self.delimiter,
            self.multi_class,
            unlabelled=not self.test_mode,
        )
        if self.multi_class:
            check_several_labels(
                self.ann_file, annotations.clips, self.num_classes
            )
        else:
            labels = [label for _, label in annotations.clips]
            self.num_unlabelled = labels.count(-1)
        if self.num_unlabelled:
            print_log(
                f'{self.ann_file}: {self.num_unlabelled} of '
                f'{len(annotations.clips)} clips have no label; they get '
                "the teacher's loss alone",
                logger='current',
            )
        self.header = annotations.header
        folder = self.data_prefix.get('video') or ''
        return [
            dict(filename=osp.join(folder, name), label=label)
            for name, label in annotations.clips
        ]

    def get_cat_ids(self, idx: int) -> list[int]:
        """Labels of a clip, for MMEngine's ``ClassBalancedDataset``."""
        # The vector of several labels is made by VideoDataset, below this.
        label = BaseDataset.get_data_info(self, idx)['label']
        return label if self.multi_class else [label]

    @property
    def class_names(self) -> list[str] | None:
        """Lines of the ``classes.txt`` beside the list, if there is one."""
        return class_names_beside(self.ann_file)

    def __getitem__(self, idx: int) -> dict:
        """The sample of a clip, or of its replacement if it is broken."""
        self.full_init()
        broken, index = [], int(idx)
        tried = set()
        replacements = self._replacements(idx)
        while True:
            draws = (
                seeded(idx.generator(0, len(broken)))
                if isinstance(idx, StreamIndex) and not self.test_mode
                else nullcontext()
            )
            try:
                with draws:
                    data = self.prepare_data(index)
                break
            except READ_ERRORS as error:
                name = self.get_data_info(index)['filename']
                broken.append((name, ' '.join(str(error).split())))
            tried.add(index)
            # A clip that takes too long would take so each time.
            if len(tried) == len(self) or len(broken) == MAX_REPLACEMENTS:
                raise UserError(
                    f'{len(tried)} clips of {self.ann_file} in a row cannot '
                    f'be read; the last is {name}: {broken[-1][1]}; check the '
                    'data set with tools/prepare_dataset.py --check'
                )
            index = next(replacements)
        return self._mark(data, int(idx), broken)

    def _replacements(self, idx):
        """Replacements of a clip: drawn in training, the next in testing."""
        if self.test_mode:
            while True:
                idx = (int(idx) + 1) % len(self)
                yield idx
        draw = (
            idx.generator(1)
            if isinstance(idx, StreamIndex)
            else np.random.default_rng(np.random.randint(2**31, size=4))
        )
        while True:
            yield int(draw.integers(len(self)))

    def _mark(self, data: dict, idx: int, broken: list) -> dict:
        info = self.get_data_info(idx)
        sample = data['data_samples']
        meta = dict(sample_idx=idx, filename=info['filename'])
        if broken:
            # In testing only the clip itself counts, not its replacements.
            meta['broken'] = tuple(broken[: 1 if self.test_mode else None])
            if self.test_mode:
                sample.set_gt_label(info['label'])
        # A replacement has its own label.
        if self.num_unlabelled and int(sample.gt_label) < 0:
            meta['unlabelled'] = True
        sample.set_metainfo(meta)
        return data


def check_several_labels(path: str, clips: list, num_classes: int | None):
    """Reject labels that do not fit into ``num_classes`` zeros and ones.

    Raises:
        UserError: If there is one, or no number of classes.
    """
    if num_classes is None:
        raise UserError(
            f'the data set of {path} has multi_class=True but no '
            'num_classes; set it to the number of classes'
        )
    name, labels = max(clips, key=lambda clip: max(clip[1]))
    if max(labels) >= num_classes:
        raise UserError(
            f'{path} labels {name} with {max(labels)} but num_classes is '
            f'{num_classes}; correct num_classes of the data set or the list'
        )
