import json

from builders.slides import draw_scene, write_svs
from napari_mmsubtype.slides.registry import open_slide

IMAGE = draw_scene()


def test_info_is_json_and_complete(tmp_path):
    write_svs(tmp_path / "a.svs", IMAGE)
    with open_slide(tmp_path / "a.svs") as slide:
        info = json.loads(json.dumps(slide.info()))
    assert info["levels"][1] == {
        "height": 384,
        "width": 512,
        "downsample": 2.0,
        "stored": True,
    }
    assert info["mpp"] == [0.5, 0.5]
    assert info["objective"] == "20"
    assert info["associated"] == ["thumbnail", "label", "macro"]
