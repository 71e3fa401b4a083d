"""Mistakes of the user are printed as one line."""

import pytest
from mmaction.registry import MODELS, RUNNERS
from small_recipe import (
    distiller,
    recipe,
    recognizer,
    write_dataset,
    write_teacher,
)
from torch.utils.data import DataLoader, Dataset
from warm_process import run_code, run_in_parallel

from dvfl_mmaction import UserError
from dvfl_mmaction.checkpoints.safe_loading import CheckpointError
from dvfl_mmaction.errors import user_error_line


def caught(call):
    try:
        call()
    except Exception as error:
        return error
    raise AssertionError('nothing was raised')


def test_a_users_mistake_becomes_one_line():
    assert user_error_line(UserError('came\n  wanted')) == 'came wanted'


class Refusing(Dataset):
    """Its samples are refused, with the error of a subclass if named."""

    def __init__(self, kind):
        self.kind = kind

    def __len__(self):
        return 1

    def __getitem__(self, index):
        try:
            raise UserError('came UserError: of another')
        except UserError:
            raise self.kind('came\n  wanted') from None


@pytest.mark.parametrize('kind', [UserError, CheckpointError])
def test_a_mistake_that_a_worker_finds_becomes_one_line(kind):
    loader = DataLoader(Refusing(kind), num_workers=1)
    error = caught(lambda: next(iter(loader)))
    assert 'Traceback' in str(error)
    assert user_error_line(error) == 'came wanted'


def test_a_misspelt_argument_is_reported(tmp_path):
    teacher = write_teacher(tmp_path / 'teacher.pth')
    error = caught(lambda: MODELS.build(distiller(teacher, alhpa=0.5)))
    assert user_error_line(error) == (
        "DistillRecognizer3D has no argument 'alhpa'; did you mean 'alpha'?"
    )


def test_a_misspelt_type_is_reported():
    error = caught(lambda: MODELS.build(dict(type='VideoFocalNett')))
    assert user_error_line(error) == (
        "type 'VideoFocalNett' is not registered; did you mean "
        "'VideoFocalNet'?"
    )


def test_a_misspelt_option_of_the_loader_is_reported(tmp_path):
    data = write_dataset(tmp_path / 'clips', clips_per_class=1)
    config = recipe(recognizer(), data, tmp_path / 'run')
    config['train_dataloader']['batchsize'] = config['train_dataloader'].pop(
        'batch_size'
    )
    config['train_dataloader']['batch_size'] = 2
    error = caught(lambda: RUNNERS.build(config).train())
    assert "unexpected keyword argument 'batchsize'" in user_error_line(error)


def test_a_bug_keeps_its_traceback():
    def faulty():
        return dict(a=1)['b']

    assert user_error_line(caught(faulty)) is None
    assert user_error_line(caught(lambda: sorted([1, 'a']))) is None
    assert user_error_line(caught(lambda: sorted([1], kee=1))) is None


@pytest.mark.parametrize('show', ['0', '1'])
def test_an_uncaught_mistake_is_printed_as_one_line(show):
    code = (
        'from dvfl_mmaction import UserError\n'
        'from dvfl_mmaction.errors import print_user_errors\n'
        'print_user_errors(); print_user_errors()\n'
        "raise UserError('alpha is 2; give 0 to 1')\n"
    )
    env = dict(DVFL_TRACEBACK=show)
    (out,) = run_in_parallel(run_code, [(code, [])], envs=[env])
    assert out.returncode == 1
    lines = out.stderr.strip().splitlines()
    assert lines[-1] == 'error: alpha is 2; give 0 to 1'
    assert ('Traceback' in out.stderr) == (show == '1')
    assert len(lines) == 1 or show == '1'
