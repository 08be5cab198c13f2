import json

import pytest

from napari_mmsubtype.core.quality_spec import (
    DEFAULT_EXCLUDE,
    FLAG_WORDS,
    FLAGS,
    QualitySpec,
    checked_flags,
    flag_bits,
    flag_names,
)
from napari_mmsubtype.errors import ConfigurationError


def test_thresholds_survive_json():
    spec = QualitySpec(pen_share=0.25, fold_ratio=2.5)
    assert QualitySpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
    assert QualitySpec.from_dict({}) == QualitySpec()


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"blur": 0.1}, "unknown quality threshold 'blur'"),
        ({"blur_ratio": 0}, "blur_ratio = 0 cannot be used"),
        ({"pen_share": 2}, "pen_share = 2"),
        ({"pen_share": True}, "pen_share = True"),
        ({"mpp": float("nan")}, "mpp = nan"),
        ({"mpp": "1"}, "mpp = '1'"),
    ],
)
def test_thresholds_that_mean_nothing_are_refused(entry, says):
    with pytest.raises(ConfigurationError, match=says):
        QualitySpec.from_dict(entry)


def test_bits_and_names_are_each_others_inverse():
    for bits in range(1 << len(FLAGS)):
        assert flag_bits(flag_names(bits)) == bits
    assert flag_bits(["pen", "pen"]) == 1
    assert set(FLAG_WORDS) == set(FLAGS) >= set(DEFAULT_EXCLUDE)


def test_flags_are_put_in_order_and_unknown_ones_refused():
    assert checked_flags(["bubble", "pen", "bubble"]) == ("pen", "bubble")
    assert checked_flags("fold") == ("fold",)
    assert checked_flags([]) == ()
    with pytest.raises(ConfigurationError, match=r"'ink'.*pen, blur, fold, bubble"):
        checked_flags(["pen", "ink"])
