"""Damaged HDF5 tables: a table or an error of ours, in good time, and nothing else.

HDF5 goes round in circles where the length of a word is damaged, and dies of other
damage. ``MMSUBTYPE_FUZZ=full`` (``nox -s fuzz``) tries many more damaged copies.
"""

import os
import random
import time

import psutil
import pytest

from builders.omics import log_frame
from builders.omics_portals import as_anndata, h5ad, h5mu
from napari_mmsubtype.errors import ConfigurationError, OmicsError
from napari_mmsubtype.omics.reader_process import LIMIT_VARIABLE
from napari_mmsubtype.omics.table import read_omics

FULL = os.environ.get("MMSUBTYPE_FUZZ") == "full"
WORDS, FLIPS = (1000, 500) if FULL else (2, 2)
LIMIT_S = 1.5
pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600 if FULL else 600)]


def word_lengths(content):
    """Give where the lengths of the first words stand, in HDF5's global heap."""
    place = content.index(b"GCOL") + 16
    found = []
    while len(found) < WORDS and int.from_bytes(content[place : place + 2], "little"):
        size = int.from_bytes(content[place + 8 : place + 16], "little")
        found.append(place + 8)
        place += 16 + -(-size // 8) * 8
    return found


def copies(content):
    """Damage one length after the other, then anything."""
    for place in word_lengths(content):
        damaged = bytearray(content)
        damaged[place + 1] ^= 0x0D
        yield bytes(damaged)
    rng = random.Random(0)
    for _ in range(FLIPS):
        damaged = bytearray(content)
        for _ in range(rng.choice([1, 4, 16])):
            damaged[rng.randrange(len(content))] = rng.randrange(256)
        yield bytes(damaged)


@pytest.mark.parametrize("kind", ["h5ad", "h5mu"])
def test_damage_is_told_in_time(kind, tmp_path, monkeypatch):
    monkeypatch.setenv(LIMIT_VARIABLE, str(LIMIT_S))
    if kind == "h5ad":
        whole = h5ad(tmp_path / "whole.h5ad", log_frame(6))
    else:
        whole = h5mu(tmp_path / "whole.h5mu", rna=as_anndata(log_frame(6)))
    before = psutil.Process().children()
    path = tmp_path / f"damaged.{kind}"
    outcomes = []
    for content in copies(whole.read_bytes()):
        path.write_bytes(content)
        begun = time.monotonic()
        try:
            outcomes.append(str(read_omics(path).shape))
        except (OmicsError, ConfigurationError) as err:
            outcomes.append(str(err))
        assert time.monotonic() - begun < 60
    assert len(outcomes) == len(set(word_lengths(whole.read_bytes()))) + FLIPS
    assert all("damaged" in said or said == "(6, 30)" for said in outcomes), outcomes
    assert any("damaged" in said for said in outcomes)
    assert psutil.Process().children() == before
