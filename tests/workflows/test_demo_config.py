from napari_mmsubtype.workflows.demo_config import (
    CALIBRATION_SEED,
    CLASSES,
    PATCH,
    DemoBundleConfig,
)


def test_default_makes_the_bundle_that_ships() -> None:
    config = DemoBundleConfig()
    assert config.keep is None
    assert config.calibration > 0
    assert config.seed + CALIBRATION_SEED != config.seed
    assert config.validation + config.test < 1
    assert PATCH.stride_px == PATCH.size_px
    assert [subtype.name for subtype in CLASSES] == ["Luminal", "Basal/HER2"]
