"""Files for LiteRT, in the environment of docs/deployment.md."""

import numpy as np
import pytest

from dvfl_mmaction.deployment.export import eager_probabilities, export_model
from dvfl_mmaction.deployment.exported_model import load_exported

REASON = "needs the environment of pip install -e '.[litert]'"
pytest.importorskip('litert_torch', reason=REASON)
pytest.importorskip('ai_edge_litert', reason=REASON)


def test_a_file_predicts_what_the_checkpoint_does(tmp_path, source):
    path = tmp_path / 'model.tflite'
    agreement = export_model(source, path, 'litert')
    assert agreement.difference < 1e-5
    model = load_exported(path, threads=1)
    assert (model.kind, model.clip_len) == ('clip', 4)
    frames = np.random.default_rng(0).integers(
        0, 256, (2, 4, 32, 32, 3), np.uint8
    )
    wanted = eager_probabilities(source.recognizer, frames)
    np.testing.assert_allclose(model.predict(frames), wanted, atol=1e-5)
