"""An analysis whose network is recorded, as on a card, gives the same numbers."""

from functools import partial

import numpy as np

from builders.bundles import tiny_bundle
from builders.tape import Tape
from napari_mmsubtype.inference import recorded_encoder
from napari_mmsubtype.inference.recorded_encoder import choose_recorded
from napari_mmsubtype.workflows import analyze as workflow
from napari_mmsubtype.workflows.analyze import analyze

SLIDE = "synthetic:seed=5,size=1536"
BATCH = 5


def test_whole_batches_of_an_analysis_are_replayed(tmp_path, monkeypatch):
    bundle = tiny_bundle(tmp_path / "tiny")
    words = {"device": "cpu", "precision": "float32", "batch_size": BATCH}
    plain = analyze(SLIDE, bundle, out=tmp_path / "plain", **words)
    tapes = []

    def record(work, images):
        tapes.append(Tape(work, images))
        return tapes[-1]

    choose = partial(choose_recorded, record=record)
    monkeypatch.setenv("MMSUBTYPE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(recorded_encoder, "DEVICES", ("cpu",))
    monkeypatch.setattr(recorded_encoder, "MIN_BATCHES", 2)
    monkeypatch.setattr(recorded_encoder, "_seconds", lambda *_: 1.0)
    monkeypatch.setattr(recorded_encoder, "_CLEARLY_FASTER", np.inf)
    monkeypatch.setattr(workflow, "choose_recorded", choose)
    recorded = analyze(SLIDE, bundle, out=tmp_path / "recorded", **words)
    whole, rest = divmod(len(plain.grid), BATCH)
    assert whole >= 2
    assert rest
    (tape,) = tapes
    # One more, to compare it with the plain network.
    assert tape.replays == 1 + whole
    np.testing.assert_array_equal(plain.embeddings, recorded.embeddings)
    np.testing.assert_array_equal(plain.evidence_map(0), recorded.evidence_map(0))
    assert plain.prediction == recorded.prediction
