"""Retrieval of clips by VFL-Net's pooled features."""

from mmaction.registry import RUNNERS
from small_recipe import NUM_CLASSES, write_dataset
from small_task_recipes import load_small, shrink_test_clips


def test_a_test_of_the_recipe_gives_the_recalls(tmp_path):
    data = write_dataset(tmp_path / 'clips', clips_per_class=2)
    cfg = load_small('vflnet_retrieval_ucf101', tmp_path)
    shrink_test_clips(cfg, data, 'list.txt')
    cfg.test_evaluator.topk = (1, 2 * NUM_CLASSES - 1)
    cfg.load_from = str(tmp_path / 'absent.pth')  # as mim test sets it
    runner = RUNNERS.build(cfg)
    runner._load_from = None
    metrics = runner.test()
    assert metrics['retrieval/Recall@7'] == 100.0
    assert 0 <= metrics['retrieval/Recall@1'] <= 100
