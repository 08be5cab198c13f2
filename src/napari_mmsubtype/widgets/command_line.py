"""Write a request as the command that does the same."""

from __future__ import annotations

import os
import shlex
import subprocess

from napari_mmsubtype.core.recipe import AnalyzeRecipe

PROGRAM = "napari-mmsubtype"
_OPTIONS = {
    "patient": "--patient",
    "rna": "--rna",
    "methylation": "--methylation",
    "clinical": "--clinical",
    "rna_unit": "--rna-unit",
    "methylation_unit": "--methylation-unit",
    "rna_samples_in": "--rna-samples-in",
    "methylation_samples_in": "--methylation-samples-in",
    "mpp": "--mpp",
    "stride_px": "--stride",
    "min_tissue": "--min-tissue",
    "regions": "--regions",
    "tissue": "--tissue",
    "set_coverage": "--set-coverage",
    "cam_method": "--cam-method",
    "batch_size": "--batch-size",
    "out": "--out",
}


def command_line(recipe: AnalyzeRecipe) -> str:
    """Write a request as one line for a terminal.

    Parameters
    ----------
    recipe : AnalyzeRecipe
        The request.

    Returns
    -------
    str
        Quoted for the shell of this operating system.
    """
    words = [PROGRAM, "analyze", recipe.slide, "--bundle", recipe.bundle]
    for name, option in _OPTIONS.items():
        value = getattr(recipe, name)
        if value is not None:
            words += [option, str(value)]
    if recipe.edge != "cover":
        words += ["--edge", recipe.edge]
    if recipe.exclude is not None:
        words += ["--exclude", ",".join(recipe.exclude) or "none"]
    for name, value in (recipe.quality or {}).items():
        words += ["--quality", f"{name}={value}"]
    if recipe.device != "auto":
        words += ["--device", recipe.device]
    if recipe.fallback_cpu:
        words.append("--fallback-cpu")
    if recipe.precision != "auto":
        words += ["--precision", recipe.precision]
    # A Windows shell reads other quotes than a POSIX one.
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)
