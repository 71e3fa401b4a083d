"""Packaging; the versions required are in requirements/."""

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

ROOT = Path(__file__).resolve().parent
# What mim looks for in an installed package's .mim folder.
MIM_RESOURCES = ('configs', 'tools', 'model-index.yml')


def copy_mim_resources(package):
    """Copy configs and tools into the ``.mim`` folder of a built package.

    The shell scripts are left out, since they need a checkout.
    """
    folder = Path(package) / '.mim'
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in MIM_RESOURCES:
        source = ROOT / name
        if source.is_dir():
            ignore = shutil.ignore_patterns('__pycache__', '.*', '*.sh')
            shutil.copytree(source, folder / name, ignore=ignore)
        else:
            shutil.copy2(source, folder / name)


class BuildWithMim(build_py):
    """Build with ``.mim``; an editable install uses the checkout instead."""

    def run(self):
        super().run()
        if not self.editable_mode:
            copy_mim_resources(Path(self.build_lib) / 'dvfl_mmaction')


class SdistWithMim(sdist):
    """Add ``.mim`` to the source distribution."""

    def make_release_tree(self, base_dir, files):
        super().make_release_tree(base_dir, files)
        copy_mim_resources(Path(base_dir) / 'dvfl_mmaction')


def read_requirements(group):
    """List the requirements of a group, without comments.

    A line ``-r OTHER.txt`` stands for those of another group.
    """
    text = (ROOT / 'requirements' / f'{group}.txt').read_text('utf-8')
    found = []
    for line in text.splitlines():
        line = line.partition('#')[0].strip()
        if line.startswith('-r '):
            found += read_requirements(line[3:].removesuffix('.txt').strip())
        elif line:
            found.append(line)
    return found


def read_version():
    """Read the version without importing the package."""
    text = (ROOT / 'dvfl_mmaction' / 'version.py').read_text('utf-8')
    return re.search(r"__version__ = '([^']+)'", text)[1]


def read_readme():
    """Read the long description."""
    return (ROOT / 'README.md').read_text('utf-8')


setup(
    name='dvfl_mmaction',
    version=read_version(),
    description='Video-FocalNets and their distillation for MMAction2',
    long_description=read_readme(),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    classifiers=[
        'Programming Language :: Python :: 3',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
    ],
    python_requires='>=3.10',
    cmdclass=dict(build_py=BuildWithMim, sdist=SdistWithMim),
    packages=find_packages(include=['dvfl_mmaction', 'dvfl_mmaction.*']),
    install_requires=read_requirements('install'),
    extras_require={
        path.stem: read_requirements(path.stem)
        for path in sorted((ROOT / 'requirements').glob('*.txt'))
        if path.stem not in ('install', 'constraints')
    },
)
