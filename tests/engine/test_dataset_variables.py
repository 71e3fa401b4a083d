"""Variables of the data sets' configs that would change nothing."""

import pytest
from mmaction.registry import RUNNERS
from mmengine.config import Config
from project_configs import CONFIGS, LOADERS, load

from dvfl_mmaction import UserError
from dvfl_mmaction.engine.dataset_variables import check_dataset_variables

VARIABLES = {'split', 'num_classes', 'data_root'}


@pytest.mark.parametrize(
    ('option', 'message'),
    [
        (
            dict(split=2),
            'split is 2 but train_dataloader reads '
            'ucf101_train_split_1_videos.txt; set '
            'train_dataloader.dataset.ann_file',
        ),
        (
            dict(num_classes=10),
            'num_classes is 10 but the model has 101 classes; set '
            'model.cls_head.num_classes instead',
        ),
        (
            dict(data_root='/data'),
            'data_root is /data but the data sets are in data/ucf101; set '
            'train_dataloader.dataset.data_root, val_dataloader',
        ),
    ],
)
def test_a_variable_that_changes_nothing_is_refused(option, message, tmp_path):
    cfg = load('vflnet_ucf101.py')
    cfg.merge_from_dict(option | dict(work_dir=str(tmp_path)))
    with pytest.raises(UserError, match=message):
        RUNNERS.build(cfg)
    (tmp_path / 'leaf.py').write_text(
        f"_base_ = '{CONFIGS}/vflnet_ucf101.py'\n"
        + '\n'.join(f'{key} = {value!r}' for key, value in option.items())
    )
    with pytest.raises(UserError, match=message):
        check_dataset_variables(Config.fromfile(tmp_path / 'leaf.py'))


def test_a_split_that_one_loader_lacks_is_refused():
    cfg = load('vflnet_ucf101.py')
    cfg.split = 2
    for loader in ('train_dataloader', 'test_dataloader'):
        dataset = cfg[loader].dataset
        dataset.ann_file = dataset.ann_file.replace('_1_', '_2_')
    with pytest.raises(UserError, match='but val_dataloader reads ucf101_val'):
        check_dataset_variables(cfg)
    dataset = cfg.val_dataloader.dataset
    dataset.ann_file = dataset.ann_file.replace('_1_', '_2_')
    check_dataset_variables(cfg)


OWN = """
_base_ = '{configs}/vflnet_ucf101.py'
num_classes = 7
split = 'b'
data_root = '/data/mine/'
model = dict(cls_head=dict(num_classes=num_classes))
train_dataloader = dict(dataset=dict(
    data_root=data_root + 'train', ann_file=f'train_{{split}}.txt'))
val_dataloader = dict(dataset=dict(
    data_root='', ann_file=f'{{data_root}}val_{{split}}.txt'))
test_dataloader = val_dataloader
"""


def test_variables_that_a_leaf_uses_itself_are_accepted(tmp_path):
    (tmp_path / 'own.py').write_text(OWN.format(configs=CONFIGS))
    cfg = Config.fromfile(tmp_path / 'own.py')
    assert set(cfg) >= VARIABLES
    check_dataset_variables(cfg)
    # Options may change what the leaf has made of them, and a run may be
    # tested with the config that it has written.
    changes = {f'{name}.dataset.data_root': '/else' for name in LOADERS}
    changes |= {f'{name}.dataset.ann_file': 'all.txt' for name in LOADERS}
    cfg.merge_from_dict({'model.cls_head.num_classes': 4} | changes)
    check_dataset_variables(cfg)
    cfg.dump(tmp_path / 'dumped.py')
    dumped = Config.fromfile(tmp_path / 'dumped.py')
    check_dataset_variables(dumped)
    dumped.num_classes = 10
    with pytest.raises(UserError, match='num_classes is 10 .* has 4 classes'):
        check_dataset_variables(dumped)


def test_configs_without_the_bases_may_use_the_names_otherwise(tmp_path):
    cfg = Config(load('vflnet_ucf101.py').to_dict())
    cfg.pop('prepare_command')
    cfg.dump(tmp_path / 'other.py')
    cfg = Config.fromfile(tmp_path / 'other.py')
    cfg.merge_from_dict(dict(split=2, num_classes=10, data_root='/data'))
    check_dataset_variables(cfg)


@pytest.mark.parametrize(
    'path', sorted(CONFIGS.glob('*.py')), ids=lambda path: path.stem
)
def test_a_config_has_no_variable_that_changes_nothing(path):
    assert not VARIABLES & set(load(path.name))


@pytest.mark.parametrize(
    'path', sorted(CONFIGS.glob('recipes/*.py')), ids=lambda path: path.stem
)
def test_a_recipe_is_accepted(path):
    check_dataset_variables(Config.fromfile(path))
