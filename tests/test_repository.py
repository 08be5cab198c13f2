import ast
import importlib
import json
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml

import napari_mmsubtype

TOP = Path(__file__).resolve().parents[1]
PACKAGE = TOP / "src" / "napari_mmsubtype"
SOURCES = sorted(PACKAGE.rglob("*.py"))
MODULES = [path for path in SOURCES if path.name != "__init__.py"]
MAX_LINES = 400
NAME = "napari-mmsubtype"

# Their licences do not go with ours.
REFUSED = (
    "sksurv",
    "zennit",
    "clam",
    "mcat",
    "porpoise",
    "survpath",
    "trident",
    "stylegan2_ada",
    "cellpose",
)
HEAVY = ("torch", "napari", "qtpy", "openslide", "pandas", "dask", "zarr", "magicgui")


def short(path):
    return str(path.relative_to(TOP))


def imported_names(path):
    """List the top-level packages a file imports, wherever the statement stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def project():
    return tomllib.loads((TOP / "pyproject.toml").read_text())["project"]


def manifest():
    return yaml.safe_load((TOP / "napari.yaml").read_text(encoding="utf-8"))


def test_no_source_file_is_longer_than_one_can_read():
    long = {
        short(path): count
        for path in [*SOURCES, *(TOP / "tests").rglob("*.py"), TOP / "noxfile.py"]
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > MAX_LINES
    }
    assert long == {}


def test_every_module_has_its_test():
    missing = [
        short(path)
        for path in MODULES
        if not (
            TOP / "tests" / path.relative_to(PACKAGE).parent / f"test_{path.name}"
        ).is_file()
    ]
    assert missing == []


def test_every_test_has_its_module():
    elsewhere = {"contracts", "end_to_end", "builders", "fakes"}
    orphans = []
    for path in (TOP / "tests").rglob("test_*.py"):
        place = path.relative_to(TOP / "tests")
        if place.parts[0] in elsewhere or len(place.parts) == 1:
            continue
        if not (PACKAGE / place.parent / path.name.removeprefix("test_")).is_file():
            orphans.append(short(path))
    assert orphans == []


def test_subpackages_say_what_they_are_and_nothing_else():
    for path in SOURCES:
        if path.name != "__init__.py" or path.parent == PACKAGE:
            continue
        body = ast.parse(path.read_text(encoding="utf-8")).body
        assert len(body) == 1, short(path)
        assert ast.get_docstring(ast.Module(body, [])), short(path)


def test_no_file_is_a_drawer_for_everything():
    drawers = {"utils", "util", "helpers", "common", "base", "misc"}
    assert [short(path) for path in MODULES if path.stem in drawers] == []


def test_importing_the_package_is_light():
    script = (
        "import json, sys, napari_mmsubtype\n"
        f"print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == []


def test_reader_is_found_without_torch_and_qt():
    script = (
        "import json, sys\n"
        "from napari_mmsubtype.plugin.reader import get_reader\n"
        "assert get_reader('/does/not/exist.txt') is None\n"
        "print(json.dumps([m for m in ('torch', 'qtpy', 'pandas') "
        "if m in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == []


def test_public_names_are_sorted_and_each_resolves_to_its_own():
    names = napari_mmsubtype.__all__
    assert names == sorted(names)
    assert set(names) == set(napari_mmsubtype._PUBLIC)
    assert dir(napari_mmsubtype) == sorted([*names, "__version__"])
    for name in names:
        assert getattr(napari_mmsubtype, name).__name__ == name
    with pytest.raises(AttributeError, match="nonsense"):
        _ = napari_mmsubtype.nonsense


def test_versions_agree():
    assert napari_mmsubtype.__version__ == project()["version"]


def test_changelog_tells_of_what_is_unreleased():
    text = (TOP / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## \[Unreleased\]$", text, re.MULTILINE)


def test_manifest_is_the_one_at_the_top():
    """The installed package carries the same manifest as the repository's top."""
    try:
        metadata.distribution(NAME)
    except metadata.PackageNotFoundError:
        pytest.skip("the package is not installed; run the tests with 'nox -s test'")
    from npe2 import PluginManifest

    found = PluginManifest.from_distribution(NAME)
    written = PluginManifest.from_file(TOP / "napari.yaml")
    assert found.contributions == written.contributions
    assert found.name == NAME == project()["name"]


def test_manifest_commands_are_ours_and_importable():
    commands = manifest()["contributions"]["commands"]
    assert commands
    for command in commands:
        assert command["id"].startswith(f"{NAME}."), command["id"]
        module, _, attribute = command["python_name"].partition(":")
        # Qt may be absent or without a display: read the source, do not import it.
        path = TOP / "src" / Path(*module.split(".")).with_suffix(".py")
        tree = ast.parse(path.read_text(encoding="utf-8"))
        defined = {
            node.name
            for node in tree.body
            if isinstance(node, ast.FunctionDef | ast.ClassDef)
        }
        assert attribute in defined, command["python_name"]


def test_manifest_contributions_name_known_commands():
    contributions = manifest()["contributions"]
    known = {command["id"] for command in contributions["commands"]}
    used = [
        entry["command"]
        for kind in ("readers", "writers", "widgets", "sample_data")
        for entry in contributions.get(kind, [])
        if "command" in entry
    ]
    used += [
        entry["command"]
        for entries in contributions.get("menus", {}).values()
        for entry in entries
        if "command" in entry
    ]
    assert set(used) <= known
    assert known <= set(used), "a command that nothing offers"


@pytest.mark.gui
def test_manifest_commands_import():
    for command in manifest()["contributions"]["commands"]:
        module, _, attribute = command["python_name"].partition(":")
        assert callable(getattr(importlib.import_module(module), attribute))


def test_command_line_answers():
    script = "import sys; from napari_mmsubtype.cli.main import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", script, "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "analyze" in done.stdout
    assert project()["scripts"] == {NAME: "napari_mmsubtype.cli.main:main"}


def test_only_the_command_line_prints():
    printing = [
        short(path)
        for path in MODULES
        if path.parent.name != "cli"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]
    assert printing == []


def test_nothing_of_an_unfit_licence_is_imported_or_required():
    imported = {name.lower() for path in SOURCES for name in imported_names(path)}
    assert imported.isdisjoint(REFUSED)
    required = [*project()["dependencies"]]
    for extra in project()["optional-dependencies"].values():
        required += extra
    names = {
        re.split(r"[^a-z0-9_]", name.lower().replace("-", "_"))[0] for name in required
    }
    assert names.isdisjoint({*REFUSED, "scikit_survival"})


def test_base_install_brings_no_qt():
    base = " ".join(project()["dependencies"]).lower()
    for name in ("pyside", "pyqt", "napari"):
        assert not re.search(rf"\b{name}", base), name


def test_no_package_index_is_named_or_pinned():
    for name in ("pyproject.toml", "noxfile.py", ".ci/run", "README.md"):
        text = (TOP / name).read_text(encoding="utf-8")
        assert "index-url" not in text, name
        assert "download.pytorch.org" not in text, name


def test_models_are_never_unpickled():
    """`torch.load` occurs with ``weights_only=True``, an unpickler not at all."""
    refused = {"dill", "cloudpickle", "joblib"}
    unpicklers = {"pickle.load", "pickle.loads", "pickle.Unpickler"}
    for path in SOURCES:
        assert refused.isdisjoint(imported_names(path)), short(path)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            assert called not in unpicklers, short(path)
            if called == "torch.load":
                given = {k.arg: ast.unparse(k.value) for k in node.keywords}
                assert given.get("weights_only") == "True", short(path)


def test_short_benchmarks_are_benchmarks():
    tree = ast.parse((TOP / "noxfile.py").read_text(encoding="utf-8"))
    short = next(
        ast.literal_eval(ast.unparse(node.value).replace("_SLIDE", "''"))
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "SHORT"
    )
    scripts = {path.stem: path for path in (TOP / "benchmarks").glob("*.py")}
    assert set(short) <= set(scripts)
    for name, arguments in short.items():
        known = scripts[name].read_text(encoding="utf-8")
        for option in (word for word in arguments if word.startswith("--")):
            assert f'"{option}"' in known, f"{name} {option}"


def test_continuous_integration_runs_the_documented_commands():
    script = (TOP / ".ci" / "run").read_text()
    assert (TOP / ".ci" / "run").stat().st_mode & 0o111
    readme = (TOP / "README.md").read_text(encoding="utf-8")
    for command in ("nox -s test", "nox -s demo"):
        assert f"pip install nox && {command}" in readme
        assert command in script
    assert "nox -s lint" in script
