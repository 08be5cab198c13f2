import numpy as np

from napari_mmsubtype.results.sanity_picture import draw_sanity


def make_record():
    share = np.linspace(0, 1, 5).tolist()
    curve = {
        "share": share,
        "by_evidence": [3, 1, 0, -1, 0],
        "at_random": [[3, 2.5, 2, 1, 0], [3, 2, 2, 1.5, 0]],
        "area": 0.5,
        "random_areas": [1.8, 1.9],
    }
    parts = [
        {"layer": "head", "correlation": 0.5, "correlations": [0.4, 0.6]},
        {"layer": "body", "correlation": 0.0, "correlations": [-0.1, 0.1]},
    ]
    return {
        "slide": "a $5 slide",
        "method": "layer-cam",
        "class": "Luminal",
        "deletion": curve,
        "randomization": parts,
    }


def test_there_is_a_panel_per_check_with_the_numbers_of_the_record():
    figure = draw_sanity(make_record())
    down, parts = figure.axes
    by_evidence = down.get_lines()[1]
    np.testing.assert_array_equal(by_evidence.get_ydata(), [3, 1, 0, -1, 0])
    mean = down.get_lines()[0].get_ydata()
    np.testing.assert_allclose(mean, [3, 2.25, 2, 1.25, 0])
    labels = [text.get_text() for text in down.get_legend().get_texts()]
    assert labels == ["2 random orders, area 1.85", "by evidence, area 0.50"]
    ticks = [tick.get_text() for tick in parts.get_xticklabels()]
    assert ticks == ["head", "body"]
    title = r"a \$5 slide: map by layer-cam for Luminal"
    assert figure._suptitle.get_text() == title
