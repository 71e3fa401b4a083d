"""Version and citation are the same wherever they stand."""

import re
from pathlib import Path

import pytest
import yaml

from dvfl_mmaction import __version__

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope='module')
def citation():
    return yaml.safe_load((ROOT / 'CITATION.cff').read_text('utf-8'))


def test_the_citation_is_of_this_version(citation):
    assert citation['cff-version'] == '1.2.0'
    assert citation['version'] == __version__
    assert citation['license'] == 'Apache-2.0'
    assert citation['message'] and citation['title'] and citation['authors']


def test_a_release_has_a_date_and_a_development_version_none(citation):
    released = 'dev' not in __version__
    assert ('date-released' in citation) == released
    heading = re.search(
        r'^## (.+)$', (ROOT / 'CHANGELOG.md').read_text(), re.M
    )
    version, _, rest = heading[1].partition(' ')
    assert version == __version__.removesuffix('.dev0')
    assert (rest == '(unreleased)') == (not released)


def test_the_references_are_the_papers_of_the_readme(citation):
    readme = (ROOT / 'README.md').read_text()
    titles = re.findall(r'^  title += \{(.+)\},$', readme, re.M)
    authors = re.findall(r'^  author += \{(.+)\},$', readme, re.M)
    assert len(titles) == 2
    references = citation['references']
    for reference, title, names in zip(
        references, titles, authors, strict=True
    ):
        assert reference['title'] == re.sub('[{}]', '', title)
        assert [
            f'{author["family-names"]}, {author["given-names"]}'
            for author in reference['authors']
        ] == names.split(' and ')
        assert reference['url'] in readme
