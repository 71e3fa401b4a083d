"""The card of a package has what was measured, on which lists."""

from pathlib import Path

import pytest
import yaml

from dvfl_mmaction.deployment.model_card import (
    files_table,
    front_matter,
    limits,
    model_table,
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
    losses = [dict(type='DISTLoss'), dict(type='DKDLoss', beta=2)]
    for given, wanted in ((losses[0], losses[:1]), (losses, losses)):
        cfg['model'] |= dict(alpha=0, loss_kd=given)
        found = describe_training(cfg, *files, {}, several)['teacher']
        assert found['losses'] == wanted and found['alpha'] == 0


def test_the_use_prints_a_name_only_if_the_package_has_names():
    named, numbered = (
        usage(dict(folder="a b's", class_names=names, several_labels=False))
        for names in (['x', 'y'], None)
    )
    assert "print(model.dataset_meta['classes'][int(result." in named
    assert '\nprint(int(result.pred_label))\n' in numbered
    for text in (named, numbered):
        assert """predict.py 'a b'"'"'s' video.mp4""" in text
        assert 'load_model("a b\'s")' in text


def test_the_use_with_several_labels_prints_a_probability_per_class():
    named, numbered = (
        usage(dict(folder='m', class_names=names, several_labels=True))
        for names in (['x', 'y'], None)
    )
    assert (
        "print(dict(zip(model.dataset_meta['classes'], "
        'result.pred_score.tolist())))'
    ) in named
    assert '\nprint(result.pred_score.tolist())\n' in numbered


def test_a_test_on_the_card_has_its_own_numbers():
    results = dict(
        clips=40,
        views=dict(form='4x3'),
        annotations=dict(path='data/mine/test.txt'),
        correct=dict(top1=20, top5=36),
        top1=0.5,
        top5=0.9,
        ece=0.0625,
        split='1',
    )
    row = result_row(results)
    facts = dict(
        results=[row],
        num_classes=4,
        several_labels=False,
        preprocessing=dict(frames=8),
        training=dict(data='mine'),
        licence='mit',
    )
    # Wilson's interval of 20 in 40, by hand.
    line = (
        '| mine | test.txt (1) | 4x3 | 40 | 50.0 % (35.2 to 64.8) | 90.0 % |'
    )
    assert line in ' '.join(results_table(facts).split())
    assert '6.2 points on average (ECE, 40 clips)' in limits(facts)
    assert 'It learned from mine only.' in limits(facts)
    front = front_matter(dict(facts, name='m', training=dict(teacher=None)))
    assert 'value: 0.5' in front and 'split: test.txt' in front


def test_the_card_lists_20_names_at_most():
    facts = dict(
        backbone='VFLNetNano',
        several_labels=False,
        training=dict(data=None, teacher=None),
    )
    for count, end in ((20, ', n18, n19.'), (21, ', n19, ... (classes.txt).')):
        names = [f'n{i}' for i in range(count)]
        facts |= dict(num_classes=count, class_names=names)
        assert summary(facts).endswith(end)


def test_the_tables_of_the_card_say_what_is_known():
    files = [
        [row.split('|')[1].strip() for row in files_table(f).splitlines()[2:]]
        for f in (
            dict(class_names=names, exported=['m.onnx'])
            for names in (['a'], None)
        )
    ]
    assert files[0][2:4] == ['classes.json', 'classes.txt']
    assert files[0][-1] == 'exported/m.onnx'
    assert files[1] == [n for n in files[0] if n != 'classes.txt']
    facts = dict(
        preprocessing=dict(
            sampling=dict(type='SampleFrames', clip_len=4),
            frames=4,
            height=32,
            width=48,
            colour_order='RGB',
            mean=[],
            std=[1.5, 2],
        ),
        training=dict(
            config='c.py',
            checkpoint='e.pth',
            annotations=None,
            epoch=0,
            teacher=dict(
                names=['a', 'b'],
                losses=[dict(type='DISTLoss', beta=1), dict(type='KLLoss')],
                alpha=0.5,
            ),
        ),
        parameters=1234567,
        macs=27.14e9,
        versions=dict(torch='2.13', mmaction2='1.2.0'),
    )
    cells = [row.split('|')[1:3] for row in model_table(facts).splitlines()]
    rows = {name.strip(): value.strip() for name, value in cells}
    assert rows['parameters'] == '1.23 M'
    assert rows['GMACs per clip'] == '27.1'
    assert rows['input'] == '4 frames of 32 x 48 pixels, RGB, 0 to 255'
    assert rows['sampling'] == 'type SampleFrames, clip_len 4'
    assert (rows['mean'], rows['standard deviation']) == ('-', '1.5, 2')
    assert 'training list' not in rows and rows['epochs'] == '0'
    assert rows['teacher'] == 'a, b'
    assert rows['distillation'] == 'DISTLoss beta 1; KLLoss; alpha 0.5'
    assert rows['versions'] == 'torch 2.13, mmaction2 1.2.0'
