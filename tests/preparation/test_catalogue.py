"""Links and classes of the catalogue."""

from dvfl_mmaction.preparation import catalogue


def test_every_public_link_is_https():
    links = [
        archive.url
        for dataset in catalogue.CATALOGUE.values()
        for archive in dataset.archives
        if archive.url
    ]
    assert len(links) == 10
    assert all(link.startswith('https://') for link in links)


def test_class_names_are_sorted_and_as_many_as_published():
    for dataset in catalogue.CATALOGUE.values():
        if dataset.class_names:
            assert len(set(dataset.class_names)) == dataset.num_classes
            assert list(dataset.class_names) == sorted(dataset.class_names)
