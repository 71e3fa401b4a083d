"""Is the teacher worth learning from?"""

import math

import torch
from mmaction.registry import HOOKS
from mmengine.dataset import pseudo_collate
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper

from ..random_state import preserve_rng_state


@HOOKS.register_module()
class TeacherAccuracyHook(Hook):
    """Log the teacher's accuracy before the student starts to learn.

    A teacher with a wrong head, other classes' order or other
    preprocessing trains a student that looks fine and is not. So it is
    tried on validation clips first, through the student's own data path,
    and a warning is logged if it is no better than chance. The clips are
    spread evenly over the list, since a list is often sorted by class.

    Args:
        num_clips: Validation clips to try, >= 1.
    """

    def __init__(self, num_clips: int = 32):
        self.num_clips = num_clips

    @master_only
    def before_train(self, runner):
        if runner.val_loop is None:
            runner.logger.info('no validation data to try the teacher on')
            return
        model = runner.model
        student = model.module if is_model_wrapper(model) else model
        if not hasattr(student.teacher, 'answer'):  # a recording has no model
            runner.logger.info(f'{student.teacher.name}: not tried')
            return
        with preserve_rng_state():
            hits, total = count_hits(
                student, runner.val_loop.dataloader, self.num_clips
            )
        if not total:
            return  # BrokenClipsHook tells it
        num_classes = student.cls_head.num_classes
        runner.logger.info(
            f'teacher: top-1 {hits / total:.1%} on {total} validation clips'
        )
        if chance_reaches(hits, total, 1 / num_classes) > 0.01:
            runner.logger.warning(
                f'the teacher is at chance: {hits} of {total} clips right, '
                f'with {num_classes} classes; check its checkpoint, the '
                'order of its classes and its preprocessing'
            )


@torch.no_grad()
def count_hits(student, dataloader, num_clips: int) -> tuple[int, int]:
    """Clips that the teacher gets right, of at most ``num_clips``.

    Clips that cannot be read are left out of both numbers.
    """
    dataset = dataloader.dataset
    wanted = min(num_clips, len(dataset))
    picks = [i * len(dataset) // wanted for i in range(wanted)]
    size = dataloader.batch_size or 1
    hits = total = 0
    for start in range(0, wanted, size):
        clips = [dataset[i] for i in picks[start:][:size]]
        clips = [c for c in clips if not c['data_samples'].get('broken')]
        if not clips:
            continue
        total += len(clips)
        batch = student.data_preprocessor(
            pseudo_collate(clips), training=False
        )
        logits = student.teacher.answer(batch['inputs'])
        samples = batch['data_samples']
        # (B * V, K) -> (B, K), the views of a clip averaged
        scores = logits.softmax(-1).unflatten(0, (len(samples), -1)).mean(1)
        labels = torch.cat([s.gt_label.flatten() for s in samples])
        hits += int((scores.argmax(-1) == labels.to(scores.device)).sum())
    return hits, total


def chance_reaches(hits: int, total: int, probability: float) -> float:
    """Probability that guessing gets at least ``hits`` of ``total``."""
    return sum(
        math.comb(total, k) * probability**k * (1 - probability) ** (total - k)
        for k in range(hits, total + 1)
    )
