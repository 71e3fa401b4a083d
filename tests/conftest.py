"""MMAction2's scope, fixed random seeds, and a local server of files."""

import functools
import gc
import itertools
import random
import threading

import numpy as np
import pytest
import torch
from failing_server import DATA, Server
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

import dvfl_mmaction  # noqa: F401, repairs mmaction before a test imports it
from dvfl_mmaction import download

# About a minute or more each on two cores: started first, so that at the end
# no process waits for another.
SLOW_FILES = (
    'tests/deployment/test_export.py',
    'tests/tools/test_ablate.py',
    'tests/tools/test_commands.py',
    'tests/tools/test_web_demo.py',
    'tests/deployment/test_int8.py',
    'tests/datasets/test_video_reader_matrix.py',
    'tests/tools/test_benchmark.py',
    'tests/checkpoints/test_convert_file.py',
    'tests/models/test_video_focalnet_parity.py',
)


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: not item.nodeid.startswith(SLOW_FILES))


@pytest.fixture(scope='module', autouse=True)
def keep_what_was_imported():
    """Leave imported modules out of the garbage collections of tests.

    MMEngine makes one for every data set that it loads, 0.7 s each else.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def fixed_seed():
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def mmaction_scope():
    """Like ``default_scope = 'mmaction'`` in a config."""
    init_default_scope('mmaction')


@pytest.fixture(scope='session', autouse=True)
def leave_configs_unformatted():
    """MMEngine formats a config for the log and every checkpoint: 0.2 to 2 s.

    Programs that mim starts do format theirs.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            'mmengine.config.config.FormatCode', lambda text, **_: (text, True)
        )
        yield


@pytest.fixture(scope='session', autouse=True)
def name_each_run():
    """Give each run its own scalars and log.

    MMEngine finds them by the name and the second in which a run starts, and
    tests start several in one.
    """
    original, numbers = Runner.__init__, itertools.count()

    @functools.wraps(original)
    def init(self, *args, experiment_name=None, **kwargs):
        name = f'{experiment_name or "run"}_{next(numbers)}'
        original(self, *args, experiment_name=name, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Runner, '__init__', init)
        yield


@pytest.fixture
def server(monkeypatch):
    """A running server, with ``/a.rar``."""
    monkeypatch.setattr(download, 'FIRST_WAIT', 0.01)
    for name in ('http_proxy', 'HTTP_PROXY', 'all_proxy', 'ALL_PROXY'):
        monkeypatch.delenv(name, raising=False)
    server = Server()
    server.files['/a.rar'] = DATA
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
