"""A lock is held by one process, and leaves no file."""

import errno
import os

import pytest

from dvfl_mmaction import locks
from dvfl_mmaction.errors import UserError
from dvfl_mmaction.locks import hold


def test_a_held_lock_is_refused_and_then_free_again(tmp_path):
    path = tmp_path / 'new' / '.lock'
    for _ in range(2):
        with hold(path, 'first'):
            with (
                pytest.raises(UserError, match='^second$'),
                hold(path, 'second'),
            ):
                raise AssertionError('the lock was held twice')
            assert path.exists()
        assert not path.exists()


def test_the_file_of_a_killed_process_is_no_obstacle(tmp_path):
    path = tmp_path / '.lock'
    path.touch()
    with hold(path, 'refused'):
        pass
    assert not path.exists()


def test_a_file_that_its_holder_removed_meanwhile_locks_nothing(
    tmp_path, monkeypatch
):
    """Else a third process would lock the new file of that name."""
    path, try_lock = tmp_path / '.lock', locks.try_lock
    tries = []

    def lock_late(descriptor):
        tries.append(descriptor)
        if len(tries) == 1:
            path.unlink()
        return try_lock(descriptor)

    monkeypatch.setattr(locks, 'try_lock', lock_late)
    with hold(path, 'first'):
        assert len(tries) == 2 and path.exists()
        monkeypatch.undo()
        with pytest.raises(UserError, match='second'), hold(path, 'second'):
            raise AssertionError('the lock was held twice')


def test_a_lock_ends_with_an_error_and_its_descriptor_is_closed(tmp_path):
    path, before = tmp_path / '.lock', os.listdir('/proc/self/fd')
    for _ in range(2):
        with pytest.raises(KeyError), hold(path, 'refused'):
            raise KeyError
    with hold(path, 'first'), pytest.raises(UserError):
        hold(path, 'second').__enter__()
    assert len(os.listdir('/proc/self/fd')) == len(before)


def test_a_lock_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / 'file').touch()
    with (
        pytest.raises(UserError, match='lock cannot be written'),
        hold(tmp_path / 'file' / '.lock', 'refused'),
    ):
        raise AssertionError('there is no lock')


@pytest.mark.parametrize('code', [errno.ENOSYS, errno.ENOLCK])
def test_a_disk_without_locks_can_be_used(tmp_path, monkeypatch, code):
    def fail(descriptor, operation):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(locks.fcntl, 'flock', fail)
    path = tmp_path / '.lock'
    with hold(path, 'refused'), hold(path, 'refused'):
        pass
    assert not path.exists()


def test_a_system_without_locks_can_be_used(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, 'fcntl', None)
    with hold(tmp_path / '.lock', 'refused'):
        assert list(tmp_path.iterdir()) == []


def test_a_child_of_a_killed_process_holds_no_lock(tmp_path):
    path = tmp_path / '.lock'
    to_parent, to_child = os.pipe(), os.pipe()
    killed = os.fork()
    if not killed:
        context = hold(path, 'refused')
        context.__enter__()
        if not os.fork():
            os.close(to_child[1])
            os.write(to_parent[1], b'1')
            os.read(to_child[0], 1)  # until the test ends
        os._exit(0)
    os.waitpid(killed, 0)
    os.read(to_parent[0], 1)
    assert path.exists()
    with hold(path, 'refused'):
        pass
    for descriptor in (*to_parent, *to_child):
        os.close(descriptor)
