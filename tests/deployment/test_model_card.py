"""The card of a package has what was measured, on which lists."""

from pathlib import Path

import pytest
import yaml

from dvfl_mmaction.deployment.model_card import (
    front_matter,
    limits,
    result_row,
    results_table,
    summary,
    usage,
)
from dvfl_mmaction.deployment.packaging import chosen_on, describe_training


def test_the_card_of_several_labels_promises_no_single_one(packaged):
    card = (packaged / 'README.md').read_text('utf-8')
    one = 'gives every video one of its 4 classes'
    assert one in card and 'gives a video one of 4 classes' in card
    facts = dict(
        backbone='VFLNetNano',
        num_classes=4,
        several_labels=True,
        class_names=None,
        training=dict(data=None, teacher=None),
        preprocessing=dict(frames=8),
        results=(),
        licence='mit',
    )
    assert 'gives a video any number of 4 classes' in summary(facts)
    assert 'Each of its 4 classes has a probability of its' in limits(facts)
    assert one not in limits(facts)


def test_the_card_of_several_labels_has_only_their_measure():
    results = dict(
        clips=4, views=dict(form='1x1'), mean_average_precision=0.25
    )
    facts = dict(
        name='m',
        licence='mit',
        training=dict(teacher=None),
        results=[result_row(results)],
    )
    front = yaml.safe_load(front_matter(facts).strip('-'))
    assert front['metrics'] == ['mean_average_precision']
    (entry,) = front['model-index'][0]['results']
    assert [m['type'] for m in entry['metrics']] == front['metrics']
    table = results_table(facts)
    assert '| 25.0 % |' in table and 'Unreadable clips rank last.' in table
    assert 'interval' not in table and 'wrong' not in table


def test_another_list_is_not_flattered():
    results = dict(
        clips=4,
        views=dict(form='1x1'),
        annotations=dict(path='data/b.txt'),
    )
    chose = [
        result_row(results, [Path(path)])['chose_checkpoint']
        for path in ('data/b.txt', 'data/./b.txt', 'b.txt')
    ]
    assert chose == [['b.txt'], ['b.txt'], []]
    assert result_row(results)['chose_checkpoint'] == []


def test_the_card_names_all_lists_of_wrapped_data_sets():
    parts = [
        dict(type='ClipDataset', data_root=root, ann_file=name)
        for root, name in (('data/one', 'a.txt'), ('data/two', 'b.txt'))
    ]
    concat = dict(type='ConcatDataset', datasets=parts)
    repeat = dict(type='RepeatDataset', times=2, dataset=concat)
    cfg = dict(
        model={},
        train_dataloader=dict(dataset=repeat),
        val_dataloader=dict(dataset=concat),
    )
    best = Path('best_acc_top1_epoch_1.pth')
    training = describe_training(cfg, Path('c.py'), best, {})
    assert training['data'] == 'one + two'
    assert training['annotations'] == 'a.txt + b.txt'
    lists = chosen_on(cfg, best)
    assert chosen_on(cfg, Path('epoch_1.pth')) == []
    for files, names in (
        (['data/two/b.txt'], ['b.txt']),
        (['data/one/a.txt', 'data/two/b.txt'], ['a.txt', 'b.txt']),
        (['data/two/b.txt', 'data/two/c.txt'], ['b.txt']),
        (['data/two/c.txt'], []),
    ):
        # As ResultsHook writes them.
        tested = [dict(path=file) for file in files]
        annotations = tested[0]
        if len(files) > 1:
            path = ' + '.join(Path(file).name for file in files)
            annotations = dict(path=path, files=tested)
        results = dict(
            clips=4, views=dict(form='1x1'), annotations=annotations
        )
        row = result_row(results, lists)
        assert row['chose_checkpoint'] == names
        data = 'one + two' if 'data/one/a.txt' in files else 'two'
        assert row['data'] == data


@pytest.mark.parametrize('several', [False, True])
def test_the_card_has_the_defaults_of_a_distillation(several):
    cfg = dict(model=dict(teacher=dict(config='t.py')))
    files = Path('c.py'), Path('epoch_1.pth')
    found = describe_training(cfg, *files, {}, several)['teacher']
    loss = 'BinaryDivergenceLoss' if several else 'KLDivergenceLoss'
    assert found == dict(names=['t'], losses=[dict(type=loss)], alpha=0.3)
    cfg['model'] |= dict(alpha=0, loss_kd=dict(type='DISTLoss'))
    found = describe_training(cfg, *files, {}, several)['teacher']
    assert found['losses'] == [dict(type='DISTLoss')] and found['alpha'] == 0


def test_the_use_prints_a_name_only_if_the_package_has_names():
    named, numbered = (
        usage(dict(folder="a b's", class_names=names))
        for names in (['x', 'y'], None)
    )
    assert "print(model.dataset_meta['classes'][int(result." in named
    assert '\nprint(int(result.pred_label))\n' in numbered
    for text in (named, numbered):
        assert """predict.py 'a b'"'"'s' video.mp4""" in text
        assert 'load_model("a b\'s")' in text
