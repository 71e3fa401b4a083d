"""Write the results of a test and what was tested."""

import hashlib
import importlib.metadata
import json
import os
import platform
from collections.abc import Iterable
from pathlib import Path

from mmaction.registry import HOOKS
from mmengine.dist import is_main_process
from mmengine.hooks import Hook

from ..datasets.stream import innermost_datasets
from ..engine.config_checks import nested_datasets, type_name
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
CROPS = dict(ThreeCrop=3, TenCrop=10)


@HOOKS.register_module()
class ResultsHook(Hook):
    """Write ``results.json`` and ``confusion.png`` after a test.

    They are written to the folder of the run's log, which MMEngine names by
    the time, so tests do not overwrite each other. The JSON contains the
    report of ``ClipMetric``, the config, the checkpoint with its SHA-256,
    the annotation file with its split and SHA-256, the views per clip and
    the versions of the libraries. The same test of the same files gives the
    same JSON. A test of several lists (``ConcatDataset``) has ``files`` in
    ``annotations``, a path and SHA-256 per list, and the split and header
    that all lists share. Nothing is written without a ``ClipMetric`` in
    ``test_evaluator``. Clips with several labels have no confusion, and no
    figure. Class names of another number than the model's classes are left
    out, with a warning before the test.
    """

    priority = 'LOW'  # after the hooks that change the tested model

    def before_test_epoch(self, runner):
        self.views = None
        self.class_names = class_names_of(runner)

    def after_test_iter(
        self, runner, batch_idx, data_batch=None, outputs=None
    ):
        if self.views is None:
            self.views = views_of(data_batch['inputs'], runner.cfg)

    def after_test_epoch(self, runner, metrics=None):
        if not is_main_process():
            return
        used = runner.test_loop.evaluator.metrics
        reports = [m.report for m in used if isinstance(m, ClipMetric)]
        if not reports:
            return
        results = run_facts(runner, self.views) | reports[0]
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
                title=figure_title(results),
            )
        runner.logger.info(
            f'results of {results["clips"]} clips, '
            f'{results["views"]["form"]}: {" and ".join(map(str, paths))}'
        )


def class_names_of(runner) -> list[str] | None:
    """Names of the tested classes, unless the model has another number."""
    datasets = innermost_datasets(runner.test_dataloader.dataset)
    names = shared(getattr(d, 'class_names', None) for d in datasets)
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


def figure_title(results: dict) -> str:
    """Config, views, and the accuracy of the first k of ``ClipMetric``."""
    name = next(iter(results['correct']))  # top1, top5, ...
    return (
        f'{Path(results["config"]).stem}, {results["views"]["form"]}: '
        f'{name.replace("top", "top-")} {100 * results[name]:.2f} %'
    )


def format_results(results: dict) -> str:
    """Results as readable JSON, a row of the confusion matrix per line."""
    rows = results.get('confusion_matrix')
    text = format_json(results | (dict(confusion_matrix=[]) if rows else {}))
    if rows:
        lines = ',\n'.join(f'  {json.dumps(row)}' for row in rows)
        key = '\n "confusion_matrix": ['
        text = text.replace(f'{key}]', f'{key}\n{lines}\n ]')
    return text + '\n'


def views_of(inputs, cfg) -> dict:
    """Clips and crops per video, of the first data set with a pipeline.

    Args:
        inputs: Of a batch: per video (V, C, T, H, W), V being clips x crops,
            or without an axis of views, such as NCHW; a dict of such lists
            for several modalities.
        cfg: The config.
    """
    datasets = nested_datasets(cfg.test_dataloader.dataset)
    piped = (d['pipeline'] for d in datasets if d.get('pipeline'))
    steps = next(piped, ())
    clips = max((step.get('num_clips', 1) for step in steps), default=1)
    first = next(iter(inputs.values())) if isinstance(inputs, dict) else inputs
    if first[0].ndim == 5:
        crops = len(first[0]) // clips
    else:
        kinds = map(type_name, steps)
        crops = max((CROPS.get(kind, 1) for kind in kinds), default=1)
    return dict(form=f'{clips}x{crops}', clips=clips, crops=crops)


def run_facts(runner, views: dict) -> dict:
    """Config, checkpoint, annotations, views and versions of a test."""
    datasets = innermost_datasets(runner.test_dataloader.dataset)
    headers = [getattr(dataset, 'header', {}) for dataset in datasets]
    header = {
        key: value
        for key, value in headers[0].items()
        if all(other.get(key) == value for other in headers)
    }
    return dict(
        config=str(runner.cfg.filename or ''),
        checkpoint=path_and_hash(getattr(runner, '_load_from', None)),
        annotations=lists_of(datasets),
        split=header.get('split', 'not stated'),
        dataset=header,
        views=views,
        versions=package_versions(),
    )


def lists_of(datasets: list) -> dict | None:
    """Path and SHA-256 of the list of clips, or of several together."""
    paths = dict.fromkeys(getattr(d, 'ann_file', None) for d in datasets)
    lists = [found for path in paths if (found := path_and_hash(path))]
    if len(lists) < 2:
        return lists[0] if lists else None
    digests = ' '.join(found['sha256'] for found in lists)
    return dict(
        path=' + '.join(Path(found['path']).name for found in lists),
        sha256=hashlib.sha256(digests.encode()).hexdigest(),
        files=lists,
    )


def shared(values: Iterable):
    """The value that all have, or None."""
    first, *others = values
    return first if all(other == first for other in others) else None


def path_and_hash(path) -> dict | None:
    """Path and SHA-256 of a file; None if it does not exist."""
    file = os.path.expanduser(path or '')  # as MMEngine's loaders do
    if not os.path.isfile(file):
        return None
    return dict(path=str(path), sha256=hash_file(file))


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
