"""The model card: README.md with the front matter of the Hugging Face hub."""

import os
import shlex
from collections.abc import Iterable
from pathlib import Path

import yaml

from ..analysis.tables import align
from ..evaluation.accuracy_interval import wilson_interval
from .package_files import (
    CLASS_LIST,
    CLASSES,
    CONFIG,
    EXPORTED,
    MANIFEST,
    PREPROCESSING,
    WEIGHTS,
)

LISTED_CLASSES = 20
NO_RESULT = (
    'No test of these weights was found, so their accuracy is not known.'
)


def result_row(results: dict, chosen_on: Iterable[Path] = ()) -> dict:
    """What the card has of a test.

    Args:
        results: Content of ``results.json``.
        chosen_on: The lists whose clips chose the checkpoint, if any did.

    Returns:
        Plain values; accuracies in [0, 1], None where not measured.
        ``chose_checkpoint`` has the names of the lists that chose it.
    """
    lists = results.get('annotations') or {}
    path = Path(lists.get('path') or '')
    tested = [part['path'] for part in lists.get('files') or [{'path': path}]]
    chose = {*map(os.path.normpath, chosen_on)}
    header = results.get('dataset') or {}
    correct = (results.get('correct') or {}).get('top1')
    clips = results['clips']
    return dict(
        data=str(
            header.get('dataset')
            or join_names(Path(name).parent for name in tested)
            or 'unknown'
        ),
        annotations=path.name,
        split=str(results.get('split', 'not stated')),
        views=results['views']['form'],
        clips=clips,
        top1=results.get('top1'),
        top1_interval=None
        if correct is None
        else list(wilson_interval(correct, clips)),
        top5=results.get('top5'),
        mean_average_precision=results.get('mean_average_precision'),
        ece=results.get('ece'),
        chose_checkpoint=[
            Path(name).name
            for name in tested
            if os.path.normpath(name) in chose
        ],
    )


def join_names(paths: Iterable[str | Path]) -> str:
    """The last parts of paths, each once; '' if there are none."""
    parts = (Path(path).name for path in paths)
    return ' + '.join(dict.fromkeys(filter(None, parts)))


def model_card(facts: dict) -> str:
    """Write the card.

    Args:
        facts: As :func:`.packaging.package_model` collects them.
    """
    parts = [
        front_matter(facts),
        f'# {facts["name"]}',
        summary(facts),
        '## Use',
        usage(facts),
        '## Results',
        results_table(facts),
        '## Model',
        model_table(facts),
        '## Limits',
        limits(facts),
        '## Files',
        files_table(facts),
    ]
    return '\n\n'.join(parts) + '\n'


def front_matter(facts: dict) -> str:
    """Metadata that the hub reads, in YAML."""
    metrics = dict(
        top1=('accuracy', 'top-1 accuracy'),
        top5=('accuracy', 'top-5 accuracy'),
        mean_average_precision=('mean_average_precision', 'mAP'),
    )
    results = [
        dict(
            task=dict(type='video-classification'),
            dataset=dict(
                name=row['data'],
                type=row['data'].lower().replace(' ', '-'),
                split=row['annotations'] or row['split'],
            ),
            metrics=[
                dict(
                    type=kind, value=row[key], name=f'{title}, {row["views"]}'
                )
                for key, (kind, title) in metrics.items()
                if row[key] is not None
            ],
        )
        for row in facts['results']
    ]
    data = dict(
        license=facts['licence'],
        library_name='dvfl_mmaction',
        pipeline_tag='video-classification',
        tags=['video-classification', 'mmaction2', 'video-focalnet'],
    )
    if facts['training']['teacher']:
        data['tags'].append('knowledge-distillation')
    if results:
        kinds = (m['type'] for r in results for m in r['metrics'])
        data['metrics'] = list(dict.fromkeys(kinds))
        data['model-index'] = [dict(name=facts['name'], results=results)]
    text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    return f'---\n{text}---'


USE = """```bash
python tools/predict.py {word} video.mp4
```

```python
import dvfl_mmaction
from mmaction.apis import inference_recognizer

model = dvfl_mmaction.load_model({text})  # a folder, or 'hf://owner/name'
result = inference_recognizer(model, 'video.mp4')
print({answer})
```"""


def usage(facts: dict) -> str:
    """Commands that load the package; its folder is quoted."""
    names = "model.dataset_meta['classes']"
    known = bool(facts['class_names'])
    if facts['several_labels']:  # a probability per class
        answer = 'result.pred_score.tolist()'
        answer = f'dict(zip({names}, {answer}))' if known else answer
    else:
        answer = 'int(result.pred_label)'
        answer = f'{names}[{answer}]' if known else answer
    folder = facts['folder']
    return USE.format(
        word=shlex.quote(folder), text=repr(folder), answer=answer
    )


def summary(facts: dict) -> str:
    """One paragraph: task, classes, data and teacher."""
    training = facts['training']
    task = 'gives a video one of'
    if facts['several_labels']:
        task = 'gives a video any number of'
    text = f'A {facts["backbone"]} that {task} {facts["num_classes"]} classes'
    if training['data']:
        text += f', trained on {training["data"]}'
    if training['teacher']:
        names = ' and '.join(training['teacher']['names'])
        text += f', distilled from {names}'
    names = facts['class_names']
    if not names:
        return f'{text}. The names of the classes are not known.'
    shown = ', '.join(names[:LISTED_CLASSES])
    more = f', ... ({CLASS_LIST})' if len(names) > LISTED_CLASSES else ''
    return f'{text}: {shown}{more}.'


def results_table(facts: dict) -> str:
    """Accuracies with their intervals, a row per test."""
    if not facts['results']:
        return NO_RESULT
    rows = [
        ('data', 'list (split)', 'views', 'clips', 'top-1 (95 %)', 'top-5')
    ]
    several = any(
        r['mean_average_precision'] is not None for r in facts['results']
    )
    if several:
        rows = [('data', 'list (split)', 'views', 'clips', 'mAP')]
    for row in facts['results']:
        cells = (
            row['data'],
            f'{row["annotations"]} ({row["split"]})',
            row['views'],
            str(row['clips']),
        )
        if several:
            cells += (percent(row['mean_average_precision']),)
        else:
            cells += (percent_with_interval(row), percent(row['top5']))
        rows.append(cells)
    text = align(rows) + '\n\nViews are clips x crops per video. '
    if several:
        text += 'Unreadable clips rank last.'
    else:
        text += (
            'The interval is that of the share of so many clips (Wilson); it '
            'says nothing of another training. Unreadable clips count as '
            'wrong.'
        )
    flattered = {
        name for row in facts['results'] for name in row['chose_checkpoint']
    }
    if flattered:
        text += (
            ' The checkpoint is the best of its training on '
            f'{", ".join(sorted(flattered))}, so the result on these clips '
            'is flattered.'
        )
    return text


def percent(share: float | None) -> str:
    return '-' if share is None else f'{100 * share:.1f} %'


def percent_with_interval(row: dict) -> str:
    if row['top1_interval'] is None:
        return percent(row['top1'])
    low, high = row['top1_interval']
    return f'{percent(row["top1"])} ({100 * low:.1f} to {100 * high:.1f})'


def model_table(facts: dict) -> str:
    """Size, cost, input and training."""
    given, training = facts['preprocessing'], facts['training']
    sampling = ', '.join(
        f'{key} {value}' for key, value in given['sampling'].items()
    )
    rows = [
        ('property', 'value'),
        ('parameters', f'{facts["parameters"] / 1e6:.2f} M'),
        ('GMACs per clip', f'{facts["macs"] / 1e9:.3g}'),
        (
            'input',
            f'{given["frames"]} frames of {given["height"]} x '
            f'{given["width"]} pixels, {given["colour_order"]}, 0 to 255',
        ),
        ('sampling', sampling),
        ('mean', ', '.join(map(str, given['mean'])) or '-'),
        ('standard deviation', ', '.join(map(str, given['std'])) or '-'),
        ('config', training['config']),
        ('checkpoint', training['checkpoint']),
    ]
    if training['annotations']:
        rows.append(('training list', training['annotations']))
    if training['epoch'] is not None:
        rows.append(('epochs', str(training['epoch'])))
    if teacher := training['teacher']:
        losses = '; '.join(describe_loss(loss) for loss in teacher['losses'])
        rows += [
            ('teacher', ', '.join(teacher['names'])),
            ('distillation', f'{losses}; alpha {teacher["alpha"]}'),
        ]
    rows.append(
        ('versions', ', '.join(map(' '.join, facts['versions'].items())))
    )
    return align(rows)


def describe_loss(loss: dict) -> str:
    rest = [f'{k} {v}' for k, v in loss.items() if k != 'type']
    return ' '.join([str(loss.get('type')), *rest])


def limits(facts: dict) -> str:
    """What the model cannot do, and what was not measured."""
    given, training = facts['preprocessing'], facts['training']
    task = (
        f'It gives every video one of its {facts["num_classes"]} classes, '
        'also a video that shows none of them.'
    )
    if facts['several_labels']:
        task = (
            f'Each of its {facts["num_classes"]} classes has a probability '
            'of its own. They need not sum to 1, and no threshold was chosen.'
        )
    lines = [
        task,
        f'It sees {given["frames"]} frames per clip; what happens between '
        'them has no effect.',
        f'It learned from {training["data"] or "one data set"} only. Its '
        'accuracy on other cameras, places and people was not measured.',
    ]
    row = facts['results'][0] if facts['results'] else None
    if row is None:
        lines.append(NO_RESULT)
    elif row['ece'] is not None:
        lines.append(
            'Its probabilities differ from its accuracy by '
            f'{100 * row["ece"]:.1f} points on average (ECE, '
            f'{row["clips"]} clips).'
        )
    lines.append(
        f'The licence ({facts["licence"]}) is that of the weights. The '
        'videos they were trained on have terms of their own.'
    )
    return '\n'.join(f'- {line}' for line in lines)


def files_table(facts: dict) -> str:
    """The files of the package."""
    rows = [
        ('file', 'content'),
        (WEIGHTS, 'weights'),
        (CONFIG, 'config of the recognizer, as data'),
        (CLASSES, 'names of the classes, or null'),
        (PREPROCESSING, 'size, frames, sampling, mean, deviation'),
        (MANIFEST, 'sizes and SHA-256 of all files'),
    ]
    if facts['class_names']:
        rows.insert(4, (CLASS_LIST, 'the same, a name per line'))
    rows += [
        (f'{EXPORTED}/{name}', 'exported form') for name in facts['exported']
    ]
    return align(rows)
