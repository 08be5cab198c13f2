from __future__ import annotations

import os
import shlex

import pytest

from napari_mmsubtype.core.recipe import AnalyzeRecipe
from napari_mmsubtype.widgets.command_line import command_line

FULL = AnalyzeRecipe(
    slide="/data/a slide.svs",
    bundle="/models/it's mine",
    patient="TCGA-E2-A14V",
    rna="/data/rna.csv",
    methylation="/data/meth.csv",
    clinical="/data/clin.tsv",
    rna_unit="log2(tpm+1)",
    methylation_unit="m-value",
    rna_samples_in="columns",
    methylation_samples_in="rows",
    mpp=0.2512345678,
    stride_px=64,
    regions="/data/r.geojson",
    min_tissue=0.25,
    edge="inside",
    quality={"blur_ratio": 0.05},
    exclude=("pen", "fold"),
    tissue="/data/a slide.tissue.zarr",
    cam_method="layer-cam",
    set_coverage=0.95,
    device="cuda",
    fallback_cpu=True,
    precision="bfloat16",
    batch_size=32,
    out="/results",
)


def test_short_request_is_a_short_line() -> None:
    line = command_line(AnalyzeRecipe(slide="a.svs"))
    assert line == "napari-mmsubtype analyze a.svs --bundle demo"


@pytest.mark.skipif(os.name == "nt", reason="quoting of POSIX shells")
def test_names_survive_the_shell() -> None:
    words = shlex.split(command_line(FULL))
    assert words[2] == FULL.slide
    assert words[words.index("--bundle") + 1] == FULL.bundle


@pytest.mark.skipif(os.name == "nt", reason="quoting of POSIX shells")
def test_the_command_builds_the_same_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    testing = pytest.importorskip("typer.testing")
    main = pytest.importorskip("napari_mmsubtype.cli.main")
    analyze = pytest.importorskip("napari_mmsubtype.cli.analyze")
    built: list[AnalyzeRecipe] = []
    monkeypatch.setattr(
        analyze, "analyze_and_print", lambda recipe, **_: built.append(recipe)
    )
    words = shlex.split(command_line(FULL))
    outcome = testing.CliRunner().invoke(main.app, words[1:])
    assert outcome.exit_code == 0, outcome.output
    assert built == [FULL]
