"""Configs that are no recognizer's are rejected."""

import pytest

from dvfl_mmaction.analysis.configs import load_config
from dvfl_mmaction.errors import UserError


def test_a_config_without_a_recognizer_is_rejected(tmp_path):
    (tmp_path / 'other.py').write_text("model = dict(type='Mimic')\n")
    with pytest.raises(UserError, match='no model with a backbone'):
        load_config(str(tmp_path / 'other.py'))
    with pytest.raises(UserError, match='absent.py not found'):
        load_config(str(tmp_path / 'absent.py'))
