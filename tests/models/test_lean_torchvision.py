from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest


def run(code, *, path=None):
    """Run code in a new process, which has imported nothing yet."""
    ahead = f"import sys; sys.path.insert(0, {str(path)!r})\n" if path else ""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ahead + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.split()


START = """
    import sys, torch
    from napari_mmsubtype.models.lean_torchvision import import_torchvision
    import_torchvision()
"""


def test_an_encoder_is_made_and_followed_without_the_compiler():
    said = run("""
        import sys, torch
        from napari_mmsubtype.inference.device import choose_processor
        from napari_mmsubtype.inference.encode import prepare
        from napari_mmsubtype.inference.fused_graph import fuse_encoder
        from napari_mmsubtype.models.registry import create_encoder
        encoder = create_encoder("resnet18", input_size=64)
        encoder = prepare(encoder, choose_processor("cpu", "float32"))
        with torch.inference_mode():
            (fuse_encoder(encoder) or encoder).feature_map(torch.zeros(1, 3, 64, 64))
        print("torchvision" in sys.modules, "torch._dynamo" in sys.modules)
        """)
    assert said == ["True", "False"]


def test_what_stood_for_the_compiler_gives_way_to_it():
    said = run(
        START
        + """
    from torchvision.ops import roi_align
    ask = sys.modules["torchvision.ops.roi_align"].is_compile_supported
    boxes = torch.tensor([[0.0, 0.0, 0.0, 4.0, 4.0]])
    print(*roi_align(torch.ones(1, 1, 8, 8), boxes, (2, 2)).flatten().tolist())
    print("torch._dynamo" in sys.modules)
    print(ask("cpu"), ask("meta"))
    import torch._dynamo.utils
    print(torch._dynamo.utils.is_compile_supported("cpu"), len(torch._dynamo.__path__))
    """
    )
    assert said == ["1.0"] * 4 + ["False", "True", "False", "True", "1"]


@pytest.mark.parametrize(
    "asks",
    [
        "from torch._dynamo.utils import counters",
        "import torch._dynamo.config",
        "import torch; torch._dynamo.is_compiling",
    ],
)
def test_another_torchvision_may_ask_for_more(tmp_path, asks):
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(asks)
    said = run(
        START
        + """
    real = sys.modules["torch._dynamo"]
    print(type(real).__name__, real.__file__ is not None)
    """,
        path=tmp_path,
    )
    assert said == ["module", "True"]


def test_the_compiler_stays_where_it_is_loaded_already():
    said = run("""
        import torch._dynamo, torch._dynamo.utils, sys
        real = sys.modules["torch._dynamo"]
        from napari_mmsubtype.models.lean_torchvision import import_torchvision
        import_torchvision()
        print(sys.modules["torch._dynamo"] is real)
        """)
    assert said == ["True"]
