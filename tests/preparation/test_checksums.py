"""Hashes are recorded and compared."""

import pytest
from miniature_datasets import make_ucf50, write_stand_in

from dvfl_mmaction import UserError
from dvfl_mmaction.preparation import checksums, prepare


def test_an_archive_that_changed_after_its_download_is_refused(tmp_path):
    make_ucf50(tmp_path, write_stand_in)
    checksums.record(tmp_path, 'UCF50.rar', '0' * 64)
    with pytest.raises(UserError, match='the one in .*checksums.txt is'):
        prepare('ucf50', tmp_path)
    assert not (tmp_path / 'UCF50').exists()


def test_the_record_has_the_format_of_sha256sum(tmp_path):
    checksums.record(tmp_path, 'b/c d.rar', 'ff')
    checksums.record(tmp_path, 'a.rar', '00')
    text = (tmp_path / 'checksums.txt').read_text()
    assert text == '00  a.rar\nff  b/c d.rar\n'
    assert checksums.read_record(tmp_path) == {
        'a.rar': '00',
        'b/c d.rar': 'ff',
    }
