"""Write the results of a test and what was tested."""

import importlib.metadata
import json
import os
import platform
from pathlib import Path

from mmaction.registry import HOOKS
from mmengine.dist import is_main_process
from mmengine.hooks import Hook

from ..files import format_json, hash_file, write_whole
from .clip_metric import ClipMetric

PACKAGES = (
    'dvfl_mmaction',
    'mmaction2',
    'mmengine',
    'torch',
    'numpy',
    'av',
    'decord',
)


@HOOKS.register_module()
class ResultsHook(Hook):
    """Write ``results.json`` and ``confusion.png`` after a test.

    They are written to the folder of the run's log, which MMEngine names by
    the time, so tests do not overwrite each other. The JSON contains the
    report of ``ClipMetric``, the config, the checkpoint with its SHA-256,
    the annotation file with its split and SHA-256, the views per clip and
    the versions of the libraries. The same test of the same files gives the
    same JSON. Nothing is written without a ``ClipMetric`` in
    ``test_evaluator``. Clips with several labels have no confusion, and no
    figure. Class names of another number than the model's classes are left
    out, with a warning before the test.
    """

    priority = 'LOW'  # after the hooks that change the tested model

    def before_test_epoch(self, runner):
        self.num_views = None
        self.class_names = class_names_of(runner)

    def after_test_iter(
        self, runner, batch_idx, data_batch=None, outputs=None
    ):
        if self.num_views is None:
            self.num_views = len(data_batch['inputs'][0])

    def after_test_epoch(self, runner, metrics=None):
        if not is_main_process():
            return
        used = runner.test_loop.evaluator.metrics
        reports = [m.report for m in used if isinstance(m, ClipMetric)]
        if not reports:
            return
        results = run_facts(runner, self.num_views) | reports[0]
        add_class_names(results, self.class_names)
        folder = Path(runner.log_dir)
        paths = [folder / 'results.json']
        write_whole(paths[0], format_results(results))
        if 'confusion_matrix' in results:
            # Importing matplotlib takes a second.
            from .confusion_figure import save_confusion_figure

            paths.append(folder / 'confusion.png')
            save_confusion_figure(
                paths[1],
                results['confusion_matrix'],
                results['hardest_pairs'],
                class_names=self.class_names,
                title=f'{Path(results["config"]).stem}, '
                f'{results["views"]["form"]}: '
                f'top-1 {100 * results["top1"]:.2f} %',
            )
        runner.logger.info(
            f'results of {results["clips"]} clips, '
            f'{results["views"]["form"]}: {" and ".join(map(str, paths))}'
        )


def class_names_of(runner) -> list[str] | None:
    """Names of the tested classes, unless the model has another number."""
    names = getattr(runner.test_dataloader.dataset, 'class_names', None)
    model = runner.cfg.get('model') or {}
    number = (model.get('cls_head') or {}).get('num_classes')
    if names and number is not None and len(names) != number:
        runner.logger.warning(
            f'classes.txt beside the test list has {len(names)} names but '
            f'the model has {number} classes; the results number them; give '
            'one line per class'
        )
        return None
    return names


def format_results(results: dict) -> str:
    """Results as readable JSON, a row of the confusion matrix per line."""
    rows = results.get('confusion_matrix')
    text = format_json(results | (dict(confusion_matrix=[]) if rows else {}))
    if rows:
        lines = ',\n'.join(f'  {json.dumps(row)}' for row in rows)
        key = '\n "confusion_matrix": ['
        text = text.replace(f'{key}]', f'{key}\n{lines}\n ]')
    return text + '\n'


def run_facts(runner, num_views: int) -> dict:
    """Config, checkpoint, annotations, views and versions of a test."""
    dataset = runner.test_dataloader.dataset
    steps = runner.cfg.test_dataloader.dataset.get('pipeline', ())
    clips = max((step.get('num_clips', 1) for step in steps), default=1)
    crops = num_views // clips
    return dict(
        config=str(runner.cfg.filename or ''),
        checkpoint=path_and_hash(getattr(runner, '_load_from', None)),
        annotations=path_and_hash(getattr(dataset, 'ann_file', None)),
        split=getattr(dataset, 'header', {}).get('split', 'not stated'),
        dataset=dict(getattr(dataset, 'header', {})),
        views=dict(form=f'{clips}x{crops}', clips=clips, crops=crops),
        versions=package_versions(),
    )


def path_and_hash(path) -> dict | None:
    """Path and SHA-256 of a file; None if it does not exist."""
    if not path or not os.path.isfile(path):
        return None
    return dict(path=str(path), sha256=hash_file(path))


def package_versions() -> dict[str, str]:
    """Versions of Python and of the installed packages."""
    versions = {'python': platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue  # decord has no wheel for some platforms
    return versions


def add_class_names(results: dict, names):
    """Add the names of the classes to their numbers, if known."""
    if not names:
        return
    for row in results['per_class'] + results.get('hardest_pairs', []):
        for key in ('label', 'predicted'):
            if key in row and row[key] < len(names):
                row[f'{key}_name'] = names[row[key]]
