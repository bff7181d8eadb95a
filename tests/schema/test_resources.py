from __future__ import annotations

from pathlib import Path

import pytest

from edgemoe_appliance.errors import HostError
from edgemoe_appliance.schema import resources


def install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, checkout: bool
) -> tuple[Path, Path]:
    """Lay out a package, inside a checkout or not; return the checkout and the package."""
    root = tmp_path / "somewhere"
    package = root / "cli" / "edgemoe_appliance"
    package.mkdir(parents=True)
    if checkout:
        (root / "configs").mkdir()
        (root / "configs" / "engines.yaml").touch()
        (root / "pyproject.toml").touch()
    monkeypatch.setattr(resources, "_PACKAGE", package)
    monkeypatch.setattr(resources, "_CHECKOUT", root)
    return root, package


def test_this_checkout_is_found() -> None:
    root = resources.checkout_root()
    assert root is not None
    assert (root / "cli" / "edgemoe_appliance").is_dir()
    assert resources.resource_folder("configs") == root / "configs"
    assert (resources.resource_folder("configs") / "studies.yaml").is_file()
    assert resources.work_root() == root


def test_a_checkout_comes_before_what_the_wheel_carries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, package = install(tmp_path, monkeypatch, checkout=True)
    (package / "_resources" / "configs").mkdir(parents=True)
    assert resources.resource_folder("configs") == root / "configs"


def test_an_installed_package_uses_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, package = install(tmp_path, monkeypatch, checkout=False)
    own = package / "_resources" / "configs"
    own.mkdir(parents=True)
    assert resources.checkout_root() is None
    assert resources.resource_folder("configs") == own


def test_an_installed_package_writes_where_the_user_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch, checkout=False)
    monkeypatch.chdir(tmp_path)
    assert resources.work_root() == tmp_path


def test_a_folder_that_is_nowhere_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, checkout=True)
    with pytest.raises(HostError) as caught:
        resources.resource_folder("docker")
    assert str(caught.value) == "the folder docker is missing from this installation; reinstall it"
