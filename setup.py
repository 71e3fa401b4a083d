"""Packaging; versions are in requirements/, the rest in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent


def read_requirements(group):
    """List the requirements of a group, without comments."""
    text = (ROOT / 'requirements' / f'{group}.txt').read_text('utf-8')
    lines = (line.partition('#')[0].strip() for line in text.splitlines())
    return [line for line in lines if line]


def read_version():
    """Read the version without importing the package."""
    text = (ROOT / 'dvfl_mmaction' / 'version.py').read_text('utf-8')
    return re.search(r"__version__ = '([^']+)'", text)[1]


def read_readme():
    """Read the long description, once there is one."""
    readme = ROOT / 'README.md'
    return readme.read_text('utf-8') if readme.is_file() else ''


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
    packages=find_packages(include=['dvfl_mmaction', 'dvfl_mmaction.*']),
    install_requires=read_requirements('install'),
    extras_require={
        group: read_requirements(group)
        for group in ('tests', 'export', 'web', 'pretrain')
    },
)
