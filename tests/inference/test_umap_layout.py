import numpy as np
import pytest
from sklearn.decomposition import PCA

from builders.umaps import use_stand_in
from napari_mmsubtype.inference import umap_layout
from napari_mmsubtype.inference.umap_layout import lay_out
from napari_mmsubtype.results.patch_map import MapSpec


class Watched:
    """An array that tells which rows were read at a time."""

    def __init__(self, rows):
        self.rows = rows
        self.reads = []

    def __getitem__(self, part):
        self.reads.append(part.stop - part.start)
        return self.rows[part]


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    monkeypatch.setattr(umap_layout, "BLOCK", 64)
    return use_stand_in(tmp_path, monkeypatch)


@pytest.fixture
def rows():
    return np.random.default_rng(0).normal(size=(500, 6)).astype(np.float16)


def test_unused_patches_have_no_place_and_others_theirs(stand_in, rows):
    used = np.ones(500, bool)
    used[[0, 77, 499]] = False
    watched, told = Watched(rows), []
    points, reference = lay_out(
        watched, used, MapSpec(), lambda *words: told.append(words)
    )
    assert max(watched.reads) <= 64
    assert reference.shape == (0, 2)
    assert np.isnan(points[~used]).all()
    kept = rows[used].astype(np.float32)
    own = PCA(6, svd_solver="covariance_eigh").fit_transform(kept)[:, :2]
    np.testing.assert_allclose(points[used], own, atol=1e-4)
    assert [stage for stage, *_ in told] == ["read"] * 8 + ["fit"]
    assert told[0] == ("read", 0, 497)


def test_many_patches_are_thinned_and_the_others_placed(stand_in, rows):
    used = np.ones(500, bool)
    told = []
    spec = MapSpec(fit_limit=100)
    points, _ = lay_out(rows, used, spec, lambda *words: told.append(words))
    assert np.isfinite(points).all()
    assert {total for stage, _, total in told if stage == "read"} == {100}
    places = [done for stage, done, _ in told if stage == "place"]
    assert places[0] == 100
    assert places == sorted(places)
    # The components are those of the thinned patches, for all alike.
    draw = np.random.default_rng(0)
    chosen = np.sort(draw.choice(500, 100, replace=False))
    model = PCA(6, svd_solver="covariance_eigh").fit(rows[chosen].astype(np.float32))
    own = model.transform(rows.astype(np.float32))[:, :2]
    np.testing.assert_allclose(points, own, atol=1e-4)


def test_patches_are_placed_on_the_map_of_a_reference(stand_in, rows):
    used = np.ones(500, bool)
    known = np.random.default_rng(1).normal(size=(80, 6)).astype(np.float16)
    points, places = lay_out(rows, used, MapSpec(), lambda *_: None, reference=known)
    model = PCA(6, svd_solver="covariance_eigh").fit(known.astype(np.float32))
    for found, given in ((points, rows), (places, known)):
        own = model.transform(given.astype(np.float32))[:, :2]
        np.testing.assert_allclose(found, own, atol=1e-4)


@pytest.mark.parametrize(("count", "neighbors"), [(3, 2), (9, 8), (40, 15)])
def test_few_patches_have_fewer_neighbors(
    stand_in, rows, count, neighbors, monkeypatch
):
    asked = []
    made = stand_in.UMAP.__init__

    def note(self, **options):
        asked.append(options)
        made(self, **options)

    monkeypatch.setattr(stand_in.UMAP, "__init__", note)
    used = np.zeros(500, bool)
    used[:count] = True
    points, _ = lay_out(rows, used, MapSpec(seed=4), lambda *_: None)
    assert np.isfinite(points[:count]).all()
    assert asked[0]["n_neighbors"] == neighbors
    assert asked[0]["init"] == "random"
    assert asked[0]["random_state"] == asked[0]["transform_seed"] == 4
