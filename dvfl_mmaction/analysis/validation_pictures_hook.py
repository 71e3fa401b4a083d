"""Pictures of each validation in TensorBoard."""

from mmaction.registry import HOOKS
from mmengine.dist import all_gather_object, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop

from ..datasets.stream import innermost_datasets
from ..distillation.class_names import class_names_of as metainfo_names
from ..engine.tensorboard_option import BACKEND
from ..errors import UserError
from ..evaluation.clip_metric import ClipMetric, is_count
from ..evaluation.hard_clips import HardClip, hardest, judge
from ..evaluation.results_hook import shared
from .prediction.frames import frames_of


@HOOKS.register_module()
class ValidationPicturesHook(Hook):
    """Write pictures of each validation to TensorBoard.

    ``val/confusion`` is the confusion matrix of ``ClipMetric``, and
    ``val/hard_clips`` a contact sheet of the clips of highest loss. The
    option ``tensorboard=True`` adds this hook; without a
    ``TensorboardVisBackend`` it writes nothing. Clips with several labels
    have no pictures, and other clips than RGB no sheet.

    Args:
        num_clips: Clips on the sheet, at least 1.

    Raises:
        UserError: If ``num_clips`` is out of range.
    """

    priority = 'LOW'  # after the hooks that change the validated model

    def __init__(self, num_clips: int = 12):
        if not is_count(num_clips):
            raise UserError(
                f'num_clips is {num_clips!r}; give a whole number of 1 or more'
            )
        self.num_clips = num_clips
        self.clips: list[HardClip] = []
        self.draws_clips = True

    def before_val_epoch(self, runner):
        self.clips = []
        self.draws_clips = runner.visualizer.get_backend(BACKEND) is not None

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if not self.draws_clips:
            return
        clips = zip(data_batch['inputs'], outputs, strict=True)
        for inputs, sample in clips:
            try:
                clip = hard_clip_of(inputs, sample)
            except UserError as problem:
                runner.logger.warning(f'no sheet of hard clips: {problem}')
                self.draws_clips = False
                return
            if clip is not None:
                self.clips.append(clip)
        # Frames of the other clips are not kept.
        self.clips = hardest(self.clips, self.num_clips)

    def after_val_epoch(self, runner, metrics=None):
        parts = all_gather_object(self.clips)
        self.clips = []
        backend = runner.visualizer.get_backend(BACKEND)
        if backend is None or not is_main_process():
            return
        # Importing matplotlib takes a second, and few runs draw.
        from .validation_pictures import draw_confusion, draw_hard_clips

        step = step_of(runner)
        names = class_names_of(runner)
        clips = [clip for part in parts for clip in part]
        if clips := hardest(clips, self.num_clips):
            picture = draw_hard_clips(clips, names)
            backend.add_image('val/hard_clips', picture, step)
        for metric in runner.val_loop.evaluator.metrics:
            report = metric.report if isinstance(metric, ClipMetric) else None
            if report and 'confusion_matrix' in report:
                picture = draw_confusion(report, names)
                backend.add_image('val/confusion', picture, step)
                break


def hard_clip_of(inputs, sample) -> HardClip | None:
    """Judge a clip of a batch; None if it is broken or has several labels.

    Args:
        inputs: What the pipeline made of the clip.
        sample: Its data sample, with the scores.

    Raises:
        UserError: If the clip is not RGB.
    """
    scores, label = sample.get('pred_score'), sample.get('gt_label')
    if scores is None or label.numel() > 1 or sample.get('broken'):
        return None
    scores = scores.float().cpu().numpy()
    scores = scores.reshape(-1, scores.shape[-1]).mean(0)  # over views
    frames = frames_of(inputs)
    return judge(
        scores,
        int(label),
        sample.get('filename') or f'clip {sample.get("sample_idx", "")}',
        frames[len(frames) // 2],
    )


def step_of(runner) -> int:
    """The step at which the logger puts the scalars of a validation."""
    loop = runner._train_loop
    if loop is None or isinstance(loop, dict):
        return 0  # a validation without a training
    by_epoch = isinstance(loop, EpochBasedTrainLoop)
    return runner.epoch if by_epoch else runner.iter


def class_names_of(runner) -> list[str] | None:
    """Names of the classes of the validation data, if known."""
    dataset = runner.val_dataloader.dataset
    parts = innermost_datasets(dataset)
    names = shared(getattr(part, 'class_names', None) for part in parts)
    return names or metainfo_names(getattr(dataset, 'metainfo', None))
