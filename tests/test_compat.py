"""The faults of MMAction2 and MMEngine are repaired where found."""

import importlib
import logging
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from torch.nn import functional as F

import dvfl_mmaction  # noqa: F401, applies the repairs
from dvfl_mmaction import compat


def run_python(code, **env):
    """Run code in a fresh interpreter; return the finished process."""
    return subprocess.run(
        [sys.executable, '-c', code],
        capture_output=True,
        text=True,
        env={**os.environ, **env},
    )


def write_package(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding='utf-8')


@pytest.fixture
def meta_path():
    """The finders without the DRN finder; restored after the test."""
    before = list(sys.meta_path)
    sys.meta_path[:] = [f for f in before if f is not compat.DRNFinder]
    yield sys.meta_path
    sys.meta_path[:] = before


def test_import_only_logs_each_repair_once_at_debug_level():
    done = run_python(
        'import logging\n'
        'logging.basicConfig(format="%(levelname)s:%(name)s:%(message)s")\n'
        'logging.getLogger("dvfl_mmaction").setLevel(logging.DEBUG)\n'
        'import dvfl_mmaction, mmaction.models\n'
        'from dvfl_mmaction import compat\n'
        'compat.apply()\n'
        'with compat.run_repairs, compat.run_repairs: pass\n'
    )
    lines = done.stderr.splitlines()
    assert done.returncode == 0, done.stderr
    assert done.stdout == '' and len(lines) == len(set(lines))
    assert all(line.startswith('DEBUG:dvfl_mmaction') for line in lines)
    assert any('half-precision logits' in line for line in lines)


def test_mmaction_alone_has_the_fault_that_is_repaired():
    fault = run_python('import mmaction.models')
    if fault.returncode == 0:
        pytest.skip('this MMAction2 has its DRN')
    assert "No module named 'mmaction.models.localizers.drn'" in fault.stderr


def test_drn_is_stubbed_last_when_the_wheel_lacks_it(
    tmp_path, monkeypatch, meta_path
):
    monkeypatch.setattr(compat, '_folder', lambda name: tmp_path)
    compat.supply_drn()
    assert meta_path[-1] is compat.DRNFinder
    compat.supply_drn()
    assert meta_path.count(compat.DRNFinder) == 1


def test_real_drn_is_kept_unless_it_needs_an_absent_torchvision(
    tmp_path, monkeypatch, meta_path
):
    monkeypatch.setattr(compat, '_folder', lambda name: tmp_path)
    monkeypatch.setattr(compat, 'find_spec', lambda name: None)
    drn = 'models/localizers/drn'
    write_package(tmp_path, {f'{drn}/drn.py': 'class DRN: pass\n'})
    compat.supply_drn()
    assert compat.DRNFinder not in meta_path
    write_package(tmp_path, {f'{drn}/drn_utils/loss.py': 'import torchvision'})
    compat.supply_drn()
    assert meta_path[0] is compat.DRNFinder


def test_building_the_stub_of_drn_names_what_to_install():
    if compat.DRNFinder not in sys.meta_path:
        pytest.skip('this MMAction2 has its DRN')
    importlib.import_module(f'{compat.DRN}.drn')
    with pytest.raises(ImportError, match='install torchvision'):
        MODELS.build({'type': 'mmaction.DRN'})


@pytest.fixture
def multimodal(tmp_path, monkeypatch):
    """An MMAction2 whose multimodal models import from two fake packages."""
    write_package(
        tmp_path,
        {
            'mmaction/models/multimodal/vindlu/bert.py': (
                'import os\n'
                'from transformers import BertTokenizer\n'
                'from transformers.modeling_utils import (PreTrainedModel,\n'
                '                                         apply_chunking)\n'
                'from timm.models.layers import DropPath\n'
            ),
            'transformers/__init__.py': '',
            'transformers/modeling_utils.py': (
                'class PreTrainedModel: pass\ndef apply_chunking(): pass\n'
            ),
            'timm/models/layers/__init__.py': '',
        },
    )
    dependency = SimpleNamespace(WITH_MULTIMODAL=True)
    folder = compat._folder
    monkeypatch.setattr(
        compat,
        '_folder',
        lambda name: (
            tmp_path / name if (tmp_path / name).is_dir() else folder(name)
        ),
    )
    monkeypatch.setattr(
        compat.importlib, 'import_module', lambda name: dependency
    )
    monkeypatch.delenv(compat.MULTIMODAL_VARIABLE, raising=False)
    return tmp_path, dependency


def test_multimodal_models_stay_if_their_imports_exist(multimodal):
    compat.hide_multimodal()
    assert multimodal[1].WITH_MULTIMODAL


def test_multimodal_models_are_hidden_if_a_name_or_package_is_absent(
    multimodal, monkeypatch, caplog
):
    folder, dependency = multimodal
    source = folder / 'transformers/modeling_utils.py'
    source.write_text('class PreTrainedModel: pass\n', encoding='utf-8')
    (folder / 'timm/models/layers/__init__.py').unlink()
    assert compat.missing_multimodal_names() == [
        'timm.models.layers',
        'transformers.modeling_utils.apply_chunking',
    ]
    with caplog.at_level(logging.DEBUG, 'dvfl_mmaction.compat'):
        compat.hide_multimodal()
    assert not dependency.WITH_MULTIMODAL
    assert 'modeling_utils.apply_chunking' in caplog.text


@pytest.mark.parametrize(('choice', 'visible'), [('1', True), ('0', False)])
def test_the_variable_shows_or_hides_multimodal_models(
    multimodal, monkeypatch, choice, visible
):
    monkeypatch.setenv(compat.MULTIMODAL_VARIABLE, choice)
    (multimodal[0] / 'transformers/modeling_utils.py').unlink()
    compat.hide_multimodal()
    assert multimodal[1].WITH_MULTIMODAL is visible


@pytest.fixture
def head():
    return MODELS.build(
        {
            'type': 'mmaction.I3DHead',
            'num_classes': 3,
            'in_channels': 4,
            'topk': (1,),
            'average_clips': 'prob',
            'loss_cls': {'type': 'mmaction.CrossEntropyLoss'},
        }
    )


def samples():
    return [
        ActionDataSample().set_gt_label(label)
        for label in (torch.tensor([0]), torch.tensor([2]))
    ]


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_the_head_casts_half_precision_logits_to_fp32_in_a_run(head, dtype):
    logits = torch.tensor([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0]])
    with compat.run_repairs:
        losses = head.loss_by_feat(logits.to(dtype), samples())
        scores = head.predict_by_feat(logits.to(dtype), samples())
    wanted = F.cross_entropy(logits, torch.tensor([0, 2]))
    assert losses['loss_cls'].dtype == torch.float32
    torch.testing.assert_close(losses['loss_cls'], wanted)
    assert losses['top1_acc'] == 0.5

    got = torch.stack([sample.pred_score for sample in scores])
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, logits.softmax(-1))


def test_the_head_keeps_fp64_logits_in_a_run(head):
    logits = torch.zeros(2, 3, dtype=torch.float64)
    with compat.run_repairs:
        losses = head.loss_by_feat(logits, samples())
    assert losses['loss_cls'].dtype == torch.float64


def test_a_head_that_takes_bfloat16_is_not_wrapped():
    class Head:
        def loss_by_feat(self, cls_scores, data_samples):
            return {}

    assert compat.takes_bfloat16(Head)


def test_a_head_that_passes_bfloat16_to_numpy_is_recognised():
    class Head:
        def loss_by_feat(self, cls_scores, data_samples):
            return cls_scores.numpy()

    assert not compat.takes_bfloat16(Head)
