"""Recording a teacher without training a student."""

from pathlib import Path

from mmengine.config import Config
from recorded_runs import distillation, recorded
from small_recipe import NUM_CLASSES, run
from warm_process import run_script

from dvfl_mmaction.distillation.logit_recording import LogitRecording

TOOL = Path(__file__).parents[2] / 'tools' / 'record_teacher.py'


def test_the_tool_records_what_training_records_and_resumes(
    data, recordings, tmp_path
):
    folder = recordings.folder
    config = distillation(data, tmp_path / 'unused', recordings.teacher)
    config['custom_imports'] = dict(
        imports=['dvfl_mmaction'], allow_failed_imports=False
    )
    Config(config).dump(str(tmp_path / 'kd.py'))
    words = [TOOL, 'kd.py', '--to', 'rec']
    words += ['--dtype', 'float32', '--cfg-options', 'randomness.seed=0']
    done = run_script(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    path = tmp_path / 'rec' / 'rank_0.logits'
    by_training = LogitRecording.open(folder / 'float32' / 'rank_0.logits')
    by_tool = LogitRecording.open(path)
    assert by_tool.count() == by_training.count() == 6
    for i in range(6):
        assert (by_tool.read(i) == by_training.read(i)).all()
    # Stopped after four iterations: only the other two are recorded.
    whole = path.read_bytes()
    path.write_bytes(whole[: 4096 + 4 * (8 + 4 * NUM_CLASSES * 4) - 3])
    done = run_script(*words, cwd=tmp_path)
    assert done.returncode == 0 and path.read_bytes() == whole
    assert 'Epoch(train) [1]' not in done.stdout
    # A student trains with it.
    run(distillation(data, tmp_path / 'run', recorded(tmp_path / 'rec')))
