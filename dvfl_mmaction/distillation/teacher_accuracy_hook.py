"""Hook that measures the teacher's accuracy before training."""

import torch
from mmaction.registry import HOOKS
from mmengine.dataset import pseudo_collate
from mmengine.dist import master_only
from mmengine.hooks import Hook
from scipy import stats

from ..errors import UserError
from ..random_state import preserve_rng_state
from .class_names import training_class_names
from .distill_recognizer import distilling_model


@HOOKS.register_module()
class TeacherAccuracyHook(Hook):
    """Log the teacher's accuracy before training.

    A teacher with a wrong head, another order of classes or other
    preprocessing harms the student without any error. The hook tests the
    teacher on validation clips, through the student's data path, and logs
    a warning if its accuracy is at chance. The clips are spread evenly over
    the list, since lists are often sorted by class. A recorded teacher is
    not tested.

    Args:
        num_clips: Number of validation clips, >= 1.

    Raises:
        UserError: If ``num_clips`` is out of range; before training, if the
            model has no teacher, or one of other classes.
    """

    def __init__(self, num_clips: int = 32):
        if num_clips < 1:
            raise UserError(
                f'teacher_accuracy.num_clips is {num_clips}; give 1 or more, '
                'or set default_hooks.teacher_accuracy=None to test none'
            )
        self.num_clips = num_clips

    def before_train(self, runner):
        student = distilling_model(runner.model)
        if student is None:
            raise UserError(
                'TeacherAccuracyHook found no teacher; remove it from '
                'default_hooks, or train a DistillRecognizer3D or '
                'DistillRecognizer2D'
            )
        # In every process, and for teachers that are not tested, too.
        student.teacher.match_classes(training_class_names(runner))
        self.test_teacher(runner, student)

    @master_only
    def test_teacher(self, runner, student):
        """Test the teacher in the first process, and log its accuracy."""
        if runner.val_loop is None:
            runner.logger.info('no validation data to test the teacher on')
            return
        if not student.teacher.can_predict:
            runner.logger.info(f'{student.teacher.name}: not tested')
            return
        with preserve_rng_state():
            hits, total, chance = count_hits(
                student, runner.val_loop.dataloader, self.num_clips
            )
        if not total:
            return  # BrokenClipsHook reports it
        num_classes = student.cls_head.num_classes
        runner.logger.info(
            f'teacher: top-1 {hits / total:.1%} on {total} validation clips'
        )
        if chance_reaches(hits, total, chance) > 0.01:
            runner.logger.warning(
                f'the teacher is at chance: {hits} of {total} clips correct '
                f'with {num_classes} classes; check its checkpoint, the '
                'order of its classes and its preprocessing'
            )


@torch.no_grad()
def count_hits(student, dataloader, num_clips: int) -> tuple[int, int, float]:
    """Count correct predictions of the teacher on at most ``num_clips``.

    Unreadable clips are skipped. With several labels per clip, each of them
    is correct.

    Returns:
        Numbers of correctly classified clips and of all tested clips, and
        the mean share of the classes that are correct, in [0, 1].
    """
    dataset = dataloader.dataset
    wanted = min(num_clips, len(dataset))
    picks = [i * len(dataset) // wanted for i in range(wanted)]
    size = dataloader.batch_size or 1
    hits = total = correct = 0
    for start in range(0, wanted, size):
        clips = [dataset[i] for i in picks[start:][:size]]
        clips = [c for c in clips if not c['data_samples'].get('broken')]
        if not clips:
            continue
        total += len(clips)
        batch = student.data_preprocessor(
            pseudo_collate(clips), training=False
        )
        logits = student.teacher.predict(batch['inputs'])
        samples = batch['data_samples']
        # (B * V, K) -> (B, K), the views of a clip averaged
        scores = logits.softmax(-1).unflatten(0, (len(samples), -1)).mean(1)
        for best, sample in zip(
            scores.argmax(-1).tolist(), samples, strict=True
        ):
            label = sample.gt_label.flatten()
            if label.numel() == 1:
                label = torch.eye(scores.shape[-1])[int(label)]
            hits += int(label[best] > 0)  # zeros and ones, (K,)
            correct += int(label.sum()) / len(label)
    return hits, total, correct / max(total, 1)


def chance_reaches(hits: int, total: int, probability: float) -> float:
    """Probability that guessing gets ``hits`` or more of ``total`` right."""
    return float(stats.binom.sf(hits - 1, total, probability))
